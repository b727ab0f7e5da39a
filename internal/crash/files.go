package crash

// Variable names the variable of the environment with the directory of the two
// files below, for builds that can be killed. Without it nothing is written
// down, and nobody is killed.
const Variable = "KURYR_CRASH_DIR"

const (
	// PassedFile gets a line for each point that is passed.
	PassedFile = "passed"
	// ArmedFile tells at which point to die, as "N POINT": at the Nth time that
	// it is passed since the file says so. It is read at each point, so that a
	// process that runs can be told.
	ArmedFile = "armed"
	// Killed begins the last line in PassedFile of a process that has killed itself.
	Killed = "killed "
)
