package daemon

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/observe"
)

// NeutronOptions of RunNeutron.
type NeutronOptions struct {
	// Listen is a loopback "ADDRESS:PORT", or "unix://PATH": a socket that is
	// the user's alone. Required.
	Listen string
	// StateDir is the directory of the database. Required.
	StateDir string
	// Host is where ports are bound. "": this machine's name.
	Host  string
	Log   *slog.Logger // required
	Ready func()       // called once, when it is served; may be nil
}

// neutronDrain is how long requests in flight have when RunNeutron stops.
const neutronDrain = 20 * time.Second

// RunNeutron serves the embedded Neutron alone until ctx ends, then answers
// what is in flight, and returns nil.
func RunNeutron(ctx context.Context, o NeutronOptions) (err error) {
	if o.Host == "" {
		if o.Host, err = os.Hostname(); err != nil {
			return &courier.Error{Op: "find out this machine's name", Err: err}
		}
	}
	if err := makeStateDirs(o.StateDir); err != nil {
		return err
	}
	neutron, err := embedded.Open(embedded.Options{StateDir: o.StateDir, Host: o.Host, Log: o.Log})
	if err != nil {
		return &courier.Error{Op: "open the embedded Neutron", Subject: "in " + o.StateDir, Err: err}
	}
	d := &daemon{log: o.Log}
	d.background, d.halt = context.WithCancel(context.WithoutCancel(ctx))
	d.onClose("the embedded Neutron", neutron.Close)
	defer d.halt()
	defer d.close()
	d.keep("port status", neutron.Run, nil)
	l, unix, err := listenNeutron(o.Listen)
	if err != nil {
		return err
	}
	handler := localOnly(neutron.Handler())
	if unix {
		handler = noWebPages(neutron.Handler())
	}
	s := newServer(o.Listen, l, handler, o.Log)
	failed := make(chan error, 1)
	go func() { failed <- s.run() }()
	o.Log.Warn("this Neutron has no authentication: whoever can connect may do everything", observe.Listen, o.Listen)
	o.Log.Info("neutron is ready", observe.Listen, o.Listen, observe.Host, o.Host)
	if o.Ready != nil {
		o.Ready()
	}
	select {
	case <-ctx.Done():
	case err := <-failed:
		return err
	}
	o.Log.Info("neutron is stopping")
	shutdownAll(neutronDrain, o.Log, s)
	return <-failed
}

func listenNeutron(address string) (l net.Listener, unix bool, err error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		l, err = listenUnix(path, "")
		return l, true, err
	}
	if err := config.CheckLoopback("the address", address); err != nil {
		return nil, false, &courier.Error{Kind: courier.Invalid, Op: "listen on", Subject: address, Err: err}
	}
	l, err = listenTCP(address)
	return l, false, err
}
