package chaos

// foreign is what is on a site and nobody's of Kuryr: resources by their IDs,
// links by their names.
type foreign struct{ known map[string]bool }

func (f *foreign) has(id string) bool { return f != nil && f.known[id] }
