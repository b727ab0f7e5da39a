package daemon

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/embedded/identity"
	"kuryr/internal/observe"
)

// NeutronOptions of RunNeutron.
type NeutronOptions struct {
	// Listen is "ADDRESS:PORT", or "unix://PATH": a socket that is the user's
	// alone. An address that others reach wants a TokenFile, Keystone, or TLS
	// with a ClientCA. Required.
	Listen string
	// StateDir is the directory of the database. Required.
	StateDir string
	// Host is where ports are bound. "": this machine's name.
	Host string
	// Enforce puts security groups and port security in force on this host,
	// which takes CAP_NET_ADMIN. Without it ports say that they are unprotected.
	Enforce bool
	// TokenFile holds the token that requests must bring in X-Auth-Token.
	// "": none is wanted.
	TokenFile string
	// Keystone is the file of the users of a minimal Keystone, which is then
	// served at the same address (embedded/identity). "": there is none. It does
	// not go with a TokenFile, nor with a Unix socket.
	Keystone string
	TLS      TLSFiles // of TCP only
	// Faults is a file of rules of what goes wrong on purpose (embedded/faults),
	// read again on each value from Reload. "": nothing does.
	Faults string
	Reload <-chan os.Signal // may be nil
	Log    *slog.Logger     // required
	Ready  func()           // called once, when it is served; may be nil
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
	door, err := newDoor(o)
	if err != nil {
		return err
	}
	var lab *faultLab
	if o.Faults != "" {
		if lab, err = newFaultLab(o.Faults, o.Log); err != nil {
			return err
		}
	}
	if err := makeStateDirs(o.StateDir); err != nil {
		return err
	}
	neutron, err := embedded.Open(embedded.Options{StateDir: o.StateDir, Host: o.Host, Enforce: o.Enforce, Log: o.Log})
	if err != nil {
		return &courier.Error{Op: "open the embedded Neutron", Subject: "in " + o.StateDir, Err: err}
	}
	d := &daemon{log: o.Log}
	d.background, d.halt = context.WithCancel(context.WithoutCancel(ctx))
	d.onClose("the embedded Neutron", neutron.Close)
	defer d.halt()
	defer d.close()
	if !o.Enforce {
		o.Log.Warn("security groups and port security are not in force: this process lacks CAP_NET_ADMIN")
	}
	d.keep("ports", neutron.Run, neutron.Health)
	api := neutron.Handler()
	if lab != nil {
		api = lab.before(api)
		d.running.Go(func() { lab.reloading(d.background, o.Reload) })
	}
	l, err := door.listen()
	if err != nil {
		return err
	}
	return serveAlone(ctx, o, newServer(o.Listen, l, maxConnections, newIntake().before(door.guard(api)), o.Log))
}

// serveAlone serves until ctx ends or the server fails.
func serveAlone(ctx context.Context, o NeutronOptions, s *server) error {
	failed := make(chan error, 1)
	go func() { failed <- s.run() }()
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

// door is where requests come in, and who is let in.
type door struct {
	address  string            // "ADDRESS:PORT", or ""
	socket   string            // path of a Unix socket, or ""
	token    []byte            // nil: none is wanted
	keystone *identity.Service // nil: there is none
	tls      *tls.Config
}

// newDoor reads what the door needs, and refuses an open one.
func newDoor(o NeutronOptions) (d door, err error) {
	if d.tls, err = o.TLS.config(o.Log); err != nil {
		return d, err
	}
	if o.TokenFile != "" {
		if d.token, err = readToken(o.TokenFile); err != nil {
			return d, err
		}
	}
	if o.Keystone != "" {
		if d.keystone, err = readKeystone(o.Keystone); err != nil {
			return d, err
		}
	}
	if path, unix := strings.CutPrefix(o.Listen, "unix://"); unix {
		d.socket = path
	} else {
		d.address = o.Listen
	}
	refuse := config.CheckLoopback
	if d.closed() {
		refuse = config.CheckAddress
	}
	if err := refuse("the address", d.address); d.socket == "" && err != nil {
		return d, &courier.Error{Kind: courier.Invalid, Op: "listen on", Subject: o.Listen, Err: err}
	}
	d.warn(o.Log)
	return d, nil
}

// closed reports whether strangers are kept out.
func (d door) closed() bool {
	return d.token != nil || d.keystone != nil || d.tls != nil && d.tls.ClientAuth == tls.RequireAndVerifyClientCert
}

// warn tells of what a person may not expect.
func (d door) warn(log *slog.Logger) {
	listen := d.address + d.socket
	switch {
	case !d.closed():
		log.Warn("this Neutron has no authentication: whoever can connect may do everything", observe.Listen, listen)
	case d.tls != nil || d.socket != "" || config.IsLoopback(d.address):
	case d.keystone != nil:
		log.Warn("passwords and tokens cross the network in the clear; use TLS too", observe.Listen, listen)
	default:
		log.Warn("the token crosses the network in the clear; use TLS too", observe.Listen, listen)
	}
}

func (d door) listen() (net.Listener, error) {
	if d.socket != "" {
		return listenUnix(d.socket, "")
	}
	l, err := listenTCP(d.address)
	if err != nil || d.tls == nil {
		return l, err
	}
	return tls.NewListener(l, d.tls), nil
}

// guard lets in whom the door is for.
func (d door) guard(h http.Handler) http.Handler {
	switch {
	case d.keystone != nil:
		h = d.keystone.Handler(h)
	case d.token != nil:
		h = identity.StaticToken(d.token, h)
	}
	if d.socket == "" && !d.closed() {
		return localOnly(h)
	}
	return noWebPages(h)
}
