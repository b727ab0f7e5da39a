package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kuryr/internal/testkit"
)

// The networks of a lab, as Docker knows them; the last two are Docker's own.
const (
	onKuryr   = "kuryr"
	onBridge  = "user-bridge"
	onVeth    = "veth-only"
	onDefault = "bridge"
	onNone    = "none"
)

// lab is a machine with a Docker engine, a Kuryr and the driver that only
// makes a veth, and a network of each.
type lab struct {
	south   south
	machine *testkit.Machine
	engine  *testkit.Engine
	kuryr   *testkit.Kuryr
	before  testkit.Inventory // of Kuryr, with no network yet

	veth    *exec.Cmd // the driver that only makes a veth
	socket  string    // of that driver
	network bool      // the networks are made
}

// newLab makes a lab; config is added to its kuryr.conf.
func newLab(ctx context.Context, s south, binary, config string) (l *lab, err error) {
	l = &lab{south: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close(ctx))
		}
	}()
	if l.machine, err = s.machine(ctx); err != nil {
		return l, err
	}
	if l.engine, err = testkit.StartEngine(ctx, l.machine, testkit.EngineOptions{}); err != nil {
		return l, err
	}
	if l.kuryr, err = testkit.StartKuryr(ctx, l.machine, binary, s.options(l.machine, testkit.KuryrOptions{Config: config})); err != nil {
		return l, err
	}
	if l.before, err = l.kuryr.Take(ctx); err != nil {
		return l, err
	}
	if err := l.startVeth(ctx); err != nil {
		return l, err
	}
	return l, l.createNetworks(ctx)
}

// startVeth starts this very program as the driver that only makes a veth.
func (l *lab) startVeth(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := l.machine.Name + "-veth"
	l.socket = filepath.Join(filepath.Dir(l.kuryr.PluginSocket()), name+".sock")
	l.veth = l.machine.Command(context.WithoutCancel(ctx), self, "-veth-only", l.socket)
	l.veth.Stderr = os.Stderr
	if err := l.veth.Start(); err != nil {
		l.veth = nil
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err = os.Stat(l.socket); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the driver that only makes a veth does not listen: %w", err)
}

func (l *lab) createNetworks(ctx context.Context) error {
	veth := l.machine.Name + "-veth"
	for _, args := range [][]string{
		{"--driver", l.kuryr.Name, "--ipam-driver", l.kuryr.Name, "--subnet", "10.220.0.0/16", onKuryr},
		{"--subnet", "10.221.0.0/16", onBridge},
		{"--driver", veth, "--ipam-driver", veth, "--subnet", "10.222.0.0/16", "--gateway", "10.222.0.1", onVeth},
	} {
		if _, err := l.engine.Docker(ctx, append([]string{"network", "create"}, args...)...); err != nil {
			return err
		}
	}
	l.network = true
	return nil
}

// close removes the networks and checks that Kuryr has left nothing, and then
// removes the lab.
func (l *lab) close(ctx context.Context) (err error) {
	ctx = context.WithoutCancel(ctx)
	if l.network {
		err = l.removeNetworks(ctx)
	}
	if l.engine != nil {
		err = errors.Join(err, l.engine.Close(ctx))
	}
	if err != nil && l.kuryr != nil {
		fmt.Fprintln(os.Stderr, l.kuryr.Log(20))
	}
	if l.kuryr != nil {
		err = errors.Join(err, l.kuryr.Close())
	}
	if l.veth != nil {
		err = errors.Join(err, l.stopVeth())
	}
	if l.machine != nil {
		err = errors.Join(err, l.machine.Close(ctx))
	}
	return err
}

// stopVeth ends the driver that only makes a veth, and waits for it.
func (l *lab) stopVeth() error {
	err := l.veth.Process.Signal(os.Interrupt)
	err = errors.Join(err, l.veth.Wait())
	if gone := os.Remove(l.socket); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

func (l *lab) removeNetworks(ctx context.Context) error {
	if _, err := l.engine.Docker(ctx, "network", "rm", onKuryr, onBridge, onVeth); err != nil {
		return err
	}
	left, err := l.kuryr.Left(ctx, l.before, l.south.gone())
	if err != nil {
		return err
	}
	// Docker's own bridges and the driver's links are links of this machine, too.
	if len(left) > 0 {
		return fmt.Errorf("left behind: %v", left)
	}
	return nil
}
