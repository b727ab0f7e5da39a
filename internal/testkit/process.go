package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a daemon that runs on a machine. It is known, signalled and
// waited for by its PID.
type process struct {
	cmd    *exec.Cmd
	log    string        // the path of what it prints
	exited chan struct{} // closed when it has ended
	err    error         // how it ended; valid once exited is closed
}

// start starts cmd, with what it prints appended to the file log.
func start(cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	// A group of its own: an interrupt from the keyboard ends the test, which
	// then stops its daemons in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and waits. One that has not ended in time is
// killed, which is an error; so is an exit code other than 0.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%s: %w; its log ends with:\n%s", p.cmd.Path, p.err, tail(p.log, 20))
		}
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%v did not end within %s of SIGTERM; its log ends with:\n%s", p.cmd.Args, patience, tail(p.log, 20))
	}
}

// kill ends the process at once, with no chance to clean up.
func (p *process) kill() {
	// It may have ended by itself; then there is nothing to do.
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// waitFor calls ready until it returns nil, the process ends or time is up.
func (p *process) waitFor(patience time.Duration, ready func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if p.ended() {
			return fmt.Errorf("%v ended early: %v; its log ends with:\n%s", p.cmd.Args, p.err, tail(p.log, 40))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v is not ready after %s: %w; its log ends with:\n%s", p.cmd.Args, patience, err, tail(p.log, 40))
		}
		time.Sleep(25 * time.Millisecond)
	}
}
