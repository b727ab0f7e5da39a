package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"

	"kuryr/internal/testkit"
)

// stage is where the demo plays: an engine and a Kuryr.
type stage struct {
	*screen
	machine        *testkit.Machine
	engine         *testkit.Engine
	kuryr          *testkit.Kuryr
	neutronAddress string
	prefix         string // before each name in Docker, where the engine has other users
	containers     []container
}

// engineSocket is where an engine of this machine listens.
const engineSocket = "/var/run/docker.sock"

// setUp builds Kuryr, finds or starts an engine and starts Kuryr beside it.
func setUp(ctx context.Context, s *screen) (_ *stage, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("the demo needs root, for Docker and for network interfaces")
	}
	st := &stage{screen: s, containers: []container{
		{name: "alice", network: "red"}, {name: "bob", network: "red"}, {name: "carol", network: "blue"},
	}}
	defer func() {
		if err != nil {
			err = errors.Join(err, st.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	s.title("Kuryr and Docker")
	s.command("make build")
	if out, err := exec.CommandContext(ctx, "make", "build").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make build: %w: %s", err, out)
	}
	if err := st.findEngine(ctx); err != nil {
		return nil, err
	}
	s.command("kuryr serve --neutron-listen " + st.neutronAddress)
	st.kuryr, err = testkit.StartKuryr(ctx, st.machine, "bin/kuryr", testkit.KuryrOptions{Name: "kuryr-demo", Listen: st.neutronAddress})
	if err != nil {
		return nil, err
	}
	s.say("Kuryr is Docker's plugin %s now, with a Neutron of its own inside.", st.kuryr.Name)
	return st, nil
}

// findEngine takes the engine that runs, or starts a private one.
func (st *stage) findEngine(ctx context.Context) (err error) {
	if c, err := net.Dial("unix", engineSocket); err == nil {
		c.Close()
		return st.useEngine(ctx)
	}
	st.neutronAddress = "127.0.0.1:9696"
	if st.machine, err = testkit.NewMachine(ctx); err != nil {
		return err
	}
	if st.engine, err = testkit.StartEngine(ctx, st.machine, testkit.EngineOptions{}); err != nil {
		return err
	}
	st.say("No Docker engine runs here: a private one does now, with its own data, in a network namespace of its own.")
	return nil
}

func (st *stage) useEngine(ctx context.Context) (err error) {
	if st.machine, err = testkit.RealMachine("demo"); err != nil {
		return err
	}
	if st.engine, err = testkit.RunningEngine(ctx, st.machine, engineSocket); err != nil {
		return err
	}
	st.prefix = "kuryr-demo-"
	st.neutronAddress, err = freeAddress()
	st.say("The Docker engine of this machine is used; all that is made there is named %s...", st.prefix)
	return err
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tearDown removes what is left and stops what was started.
func (st *stage) tearDown(ctx context.Context) error {
	var errs []error
	if st.engine != nil && st.kuryr != nil {
		// After a good end there is nothing: that docker complains is of no interest.
		for _, c := range st.containers {
			_, _ = st.engine.Docker(ctx, "rm", "--force", st.real(c.name))
		}
		_, _ = st.engine.Docker(ctx, "network", "rm", st.real("red"), st.real("blue"))
	}
	if st.kuryr != nil {
		errs = append(errs, st.kuryr.Close())
	}
	if st.engine != nil {
		errs = append(errs, st.engine.Close(ctx))
	}
	if st.machine != nil {
		errs = append(errs, st.machine.Close(ctx))
	}
	return errors.Join(errs...)
}

// real is the name in Docker of a thing of the demo's.
func (st *stage) real(name string) string { return st.prefix + name }

// docker shows and runs a docker command, with the real names of the demo's
// containers and networks.
func (st *stage) docker(ctx context.Context, args ...string) (string, error) {
	args = slices.Clone(args)
	for i, a := range args {
		switch a {
		case "alice", "bob", "carol", "red", "blue":
			args[i] = st.real(a)
		}
	}
	st.command("docker " + strings.Join(args, " "))
	return st.engine.Docker(ctx, args...)
}
