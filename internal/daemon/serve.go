package daemon

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// serve opens the sockets, Docker's own last, and serves until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	servers, err := d.listen()
	if err != nil {
		for _, s := range servers {
			s.listener.Close()
		}
		return err
	}
	failed := make(chan error, len(servers))
	var running sync.WaitGroup
	for _, s := range servers {
		running.Go(func() {
			if err := s.run(); err != nil {
				failed <- err
			}
		})
	}
	d.log.Info("kuryr is ready", observe.Version, d.opt.Version, observe.Host, d.cfg.Host, "neutron", d.kind, observe.Listen, names(servers))
	if d.opt.Ready != nil {
		d.opt.Ready()
	}
	d.systemd.ready(d.serving())
	if every := d.systemd.beats(); every > 0 {
		d.running.Go(func() { d.systemd.watch(d.background, every, d.look) })
	}
	select {
	case <-ctx.Done():
		d.log.Info("kuryr is stopping")
		err = nil
	case err = <-failed:
	}
	d.systemd.stopping()
	// Engines first; who looks on may do so until they are answered.
	var engines, others []*server
	for _, s := range servers {
		if s.engine {
			engines = append(engines, s)
		} else {
			others = append(others, s)
		}
	}
	shutdownAll(d.cfg.RequestTimeout+drainMargin, d.log, engines...)
	shutdownAll(probeTimeout, d.log, others...)
	running.Wait()
	return err
}

// serving is what the daemon does, for systemctl status.
func (d *daemon) serving() string {
	if !d.drain.began().IsZero() {
		return "Drained: no container is started on this host"
	}
	return "Serving Docker from the " + d.kind + " Neutron"
}

// look goes where every call goes: through the locks of the courier and the
// journal. It comes back unless one of them is held for ever.
func (d *daemon) look() {
	_ = d.journal.Err() // a full disk is no reason to restart
	d.courier.Status()
}

// listen opens all sockets. With an error it returns those that it has opened.
func (d *daemon) listen() (servers []*server, err error) {
	in := newIntake()
	add := func(name string, l net.Listener, most int, h http.Handler) *server {
		s := newServer(name, l, most, in.before(h), d.log)
		servers = append(servers, s)
		return s
	}
	if d.api != nil && d.cfg.NeutronListen != "" {
		l, err := listenTCP(d.cfg.NeutronListen)
		if err != nil {
			return servers, err
		}
		add("http://"+d.cfg.NeutronListen, l, maxConnections, localOnly(d.api))
		d.log.Warn("the embedded Neutron has no authentication: every user of this host can use it", observe.Listen, d.cfg.NeutronListen)
	}
	admin, err := d.listenUnix(d.cfg.AdminSocket)
	if err != nil {
		return servers, err
	}
	add(d.cfg.AdminSocket, admin, maxAdminConnections, d.admin())
	engine := d.engine()
	if d.cfg.KuryrURI != "" {
		u, err := url.Parse(d.cfg.KuryrURI)
		if err != nil {
			return servers, &courier.Error{Kind: courier.Invalid, Op: "listen on", Subject: d.cfg.KuryrURI, Err: err}
		}
		l, h, err := d.listenEngine(u.Host, engine)
		if err != nil {
			return servers, err
		}
		add(d.cfg.KuryrURI, l, maxConnections, h).forEngines()
	}
	if d.socket, err = d.listenUnix(d.cfg.DockerSocket); err != nil {
		return servers, err
	}
	add(d.cfg.DockerSocket, d.socket, maxConnections, engine).forEngines()
	return servers, nil
}

// listenEngine listens for the engine on a TCP address: one of loopback or,
// with TLS, any, for clients with a certificate.
func (d *daemon) listenEngine(address string, engine http.Handler) (net.Listener, http.Handler, error) {
	if !d.cfg.EnableSSL {
		l, err := listenTCP(address)
		return l, localOnly(engine), err
	}
	conf, err := TLSFiles{Cert: d.cfg.SSLCertFile, Key: d.cfg.SSLKeyFile, ClientCA: d.cfg.SSLCAFile}.config(d.log)
	if err != nil {
		return nil, nil, err
	}
	l, err := listenTCP(address)
	if err != nil {
		return nil, nil, err
	}
	return tls.NewListener(l, conf), noWebPages(engine), nil
}

func names(servers []*server) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.name
	}
	return all
}

func listenTCP(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &courier.Error{Kind: courier.Conflict, Op: "listen on", Subject: address, Public: cause(err), Err: err,
			Hint: "choose an address and port of this host that are free"}
	}
	return l, nil
}

// noWebPages refuses requests that a browser sends for a page: their authors
// are not who may use this host's sockets.
func noWebPages(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Origin"] != nil {
			http.Error(w, "requests of web pages are refused", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// localOnly refuses, on a loopback address, requests for a host by name: a
// page whose name suddenly leads here (DNS rebinding) needs no Origin to read.
func localOnly(h http.Handler) http.Handler {
	return noWebPages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r.Host) {
			http.Error(w, "requests for a host other than this one are refused", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	}))
}

// local reports whether a Host header names this host as such. Docker 20.10
// sends an empty one.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	if name == "" || name == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(name)
	return err == nil && a.IsLoopback()
}
