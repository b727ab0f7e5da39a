package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/journal"
)

const (
	networkID  = "7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a"
	endpointID = "e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3"
	mac        = "02:42:0a:63:00:07"
)

// story is what Docker calls for one container on one network, from the
// network's making to its removal. What a call answers, later ones name.
type story struct {
	pool, address string
}

// step is one call, with what is done with its answer.
type step struct {
	method  string
	request func(*story) object
	learn   func(*story, object)
}

func same(o object) func(*story) object { return func(*story) object { return o } }

var endpoint = object{"NetworkID": networkID, "EndpointID": endpointID}

// steps are in Docker 20.10's order: it releases the pool before it deletes the
// network.
func steps() []step {
	none := func(*story, object) {}
	return []step{
		{"IpamDriver.RequestPool", same(object{"Pool": "10.99.0.0/24", "AddressSpace": "no_address_space"}),
			func(s *story, a object) { s.pool = a["PoolID"].(string) }},
		{"IpamDriver.RequestAddress", func(s *story) object {
			return object{"PoolID": s.pool, "Address": "10.99.0.1", "Options": object{"RequestAddressType": "com.docker.network.gateway"}}
		}, none},
		{"NetworkDriver.CreateNetwork", same(object{"NetworkID": networkID, "Options": object{},
			"IPv4Data": []object{{"Pool": "10.99.0.0/24", "Gateway": "10.99.0.1/24", "AddressSpace": "no_address_space"}}, "IPv6Data": []object{}}), none},
		{"IpamDriver.RequestAddress", func(s *story) object { return object{"PoolID": s.pool, "Address": "", "Options": object{}} },
			func(s *story, a object) { s.address = a["Address"].(string) }},
		{"NetworkDriver.CreateEndpoint", func(s *story) object {
			return object{"NetworkID": networkID, "EndpointID": endpointID,
				"Interface": object{"Address": s.address, "MacAddress": mac}, "Options": object{"com.docker.network.portmap": []object{{"Proto": 6, "Port": 80}}}}
		}, none},
		{"NetworkDriver.Join", same(object{"NetworkID": networkID, "EndpointID": endpointID, "SandboxKey": "/run/netns/x"}), none},
		{"NetworkDriver.EndpointOperInfo", same(endpoint), none},
		{"NetworkDriver.Leave", same(endpoint), none},
		{"NetworkDriver.DeleteEndpoint", same(endpoint), none},
		{"IpamDriver.ReleaseAddress", func(s *story) object {
			return object{"PoolID": s.pool, "Address": strings.TrimSuffix(s.address, "/24")}
		}, none},
		{"IpamDriver.ReleaseAddress", func(s *story) object { return object{"PoolID": s.pool, "Address": "10.99.0.1"} }, none},
		{"IpamDriver.ReleasePool", func(s *story) object { return object{"PoolID": s.pool} }, none},
		{"NetworkDriver.DeleteNetwork", same(object{"NetworkID": networkID}), none},
	}
}

// attached is how many steps it takes until the container is attached.
const attached = 7

func (s *story) tell(p *process, all []step) {
	p.h.t.Helper()
	for _, x := range all {
		x.learn(s, p.call(x.method, x.request(s)))
	}
}

// nothingLeft waits until the daemon has removed everything, stops it, and
// looks for what it left in the kernel, in Neutron and in the journal.
func (h *host) nothingLeft(p *process) {
	h.t.Helper()
	h.within(10*time.Second, "nothing is left", func() error {
		if c := p.status().Courier; len(c.Networks)+len(c.Pools)+len(c.Attachments)+c.Pending > 0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	if l := h.links(); len(l) > 0 {
		h.t.Errorf("links left: %v", l)
	}
	p.stop()
	j, err := journal.Open(filepath.Join(h.cfg.StateDir, "journal", "entries"), journal.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer j.Close()
	entries, err := j.Load(h.t.Context())
	if err != nil || len(entries) != 1 || entries[0].Kind != "identity" { // which stays
		h.t.Errorf("journal: %v, %v", entries, err)
	}
	if !h.cfg.Cloud.Real() {
		h.emptyNeutron()
	}
}

// emptyNeutron wants nothing in the embedded Neutron but the default pools.
func (h *host) emptyNeutron() {
	h.t.Helper()
	s, err := embedded.Open(embedded.Options{StateDir: filepath.Join(h.cfg.StateDir, "neutron"), Host: h.cfg.Host, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer s.Close()
	var got []string
	for _, collection := range []string{"networks", "subnets", "subnetpools", "ports"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2.0/"+collection, nil))
		var body map[string][]struct{ Name, Description string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			h.t.Fatal(err)
		}
		for _, x := range body[collection] {
			got = append(got, collection+" "+x.Name+" "+x.Description)
		}
	}
	slices.Sort(got)
	want := []string{"subnetpools kuryr kuryr:h1:default-pool", "subnetpools kuryr6 kuryr:h1:default-pool"}
	if d := cmp.Diff(want, got); d != "" {
		h.t.Errorf("left in Neutron (-want +got):\n%s", d)
	}
}

func TestOneContainerFromBeginToEnd(t *testing.T) {
	h := newHost(t)
	h.cfg.NeutronListen = "127.0.0.1:9696"
	p := h.start()
	if got := fmt.Sprint(p.call("Plugin.Activate", nil)["Implements"]); got != "[NetworkDriver IpamDriver]" {
		t.Errorf("Activate: %s", got)
	}
	if code, body := p.get("/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %s", code, body)
	}
	if code, body := p.get("/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("readyz: %d %s", code, body)
	}
	all := steps()
	s := &story{}
	s.tell(p, all[:attached])
	h.checkAttached(p, s)
	s.tell(p, all[attached:])
	h.nothingLeft(p)
	for _, path := range []string{h.cfg.DockerSocket, h.cfg.AdminSocket} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after the end: %v", path, err)
		}
	}
}

// checkAttached looks at a container that runs from every side.
func (h *host) checkAttached(p *process, s *story) {
	t := h.t
	t.Helper()
	st := p.status()
	if len(st.Courier.Networks) != 1 || len(st.Courier.Attachments) != 1 {
		t.Fatalf("status: %+v", st.Courier)
	}
	a := st.Courier.Attachments[0]
	if a.MAC.String() != mac || len(a.Addresses) != 1 || a.Addresses[0].String()+"/24" != s.address || a.VIFType != "bridge" || a.State != "attached" {
		t.Errorf("attachment: %+v, address %s", a, s.address)
	}
	if !slices.Contains(h.links(), a.Link) {
		t.Errorf("links: %v, want %s", h.links(), a.Link)
	}
	if st.Version != "test" || st.Host != "h1" || st.Neutron != (NeutronStatus{Kind: "embedded", Endpoint: "http://127.0.0.1:9696"}) || time.Since(st.StartedAt) > time.Minute {
		t.Errorf("status: %+v", st)
	}
	want := []string{"1 published port is not forwarded: networks have no router yet (docker run -p)"}
	if d := cmp.Diff(want, st.Notices); d != "" {
		t.Error(d)
	}
	tcp := h.tcpClient()
	h.within(5*time.Second, "the port is ACTIVE", func() error {
		_, body, err := fetch(tcp, "http://127.0.0.1:9696/v2.0/ports?fields=status&id="+string(a.Port), nil)
		if err != nil || strings.ReplaceAll(body, " ", "") != `{"ports":[{"status":"ACTIVE"}]}` {
			return fmt.Errorf("%s (%v)", body, err)
		}
		return nil
	})
	var names []string
	for _, c := range st.Health {
		names = append(names, fmt.Sprint(c.Name, " ", c.OK))
	}
	if d := cmp.Diff([]string{"neutron true", "journal true", "docker socket true", "ports true", "firewall true", "reconciler true"}, names); d != "" {
		t.Error(d)
	}
}

func TestKilledAfterEachCall(t *testing.T) {
	all := steps()
	for i := range all {
		t.Run(fmt.Sprintf("%d %s", i+1, all[i].method), func(t *testing.T) {
			h := newHost(t)
			p := h.start()
			s := &story{}
			s.tell(p, all[:i+1])
			p.kill()
			if _, err := os.Lstat(h.cfg.DockerSocket); err != nil {
				t.Fatal(err) // a killed process leaves it, and the next one has to cope
			}
			p = h.start()
			s.tell(p, all[i+1:])
			h.nothingLeft(p)
		})
	}
}

func TestSocketModes(t *testing.T) {
	g, err := user.LookupGroup("daemon")
	if err != nil {
		t.Skip("this system has no group daemon")
	}
	h := newHost(t)
	describe := func(path string) string {
		st, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		return fmt.Sprintf("%v %d:%d", st.Mode(), sys.Uid, sys.Gid)
	}
	p := h.start()
	for path, want := range map[string]string{
		h.cfg.DockerSocket:               "Srw-rw---- 0:" + g.Gid,
		h.cfg.AdminSocket:                "Srw-rw---- 0:" + g.Gid,
		filepath.Dir(h.cfg.DockerSocket): "drwxr-xr-x 0:0",
		h.cfg.StateDir:                   "drwx------ 0:0",
	} {
		if got := describe(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	p.stop()
	h.cfg.SocketGroup = "no-such-group"
	h.start()
	if got := describe(h.cfg.DockerSocket); got != "Srw------- 0:0" {
		t.Errorf("without the group: %s", got)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	h := newHost(t)
	first := h.start()
	second := *h
	second.cfg.DockerSocket += "2"
	second.cfg.AdminSocket += "2"
	p := second.spawn()
	err := p.cmd.Wait()
	want := fmt.Sprintf("error: cannot lock the journal %s/journal/entries: another Kuryr (process %d) uses this state directory\n"+
		"hint: stop the other one, or give this one another state directory\n", h.cfg.StateDir, first.cmd.Process.Pid)
	if err == nil || p.out.String() != want {
		t.Errorf("%v: %s, want %s", err, p.out.String(), want)
	}
	second.cfg = h.cfg
	second.cfg.StateDir += "2"
	p = second.spawn()
	err = p.cmd.Wait()
	if err == nil || !strings.HasPrefix(p.out.String(), "error: cannot listen on "+h.cfg.AdminSocket+": another process listens there\n") {
		t.Errorf("%v: %s", err, p.out.String())
	}
	first.call("Plugin.Activate", nil)
	if code, body := first.get("/readyz"); code != 200 {
		t.Errorf("the first one: %d %s", code, body)
	}
}

// A Neutron that holds a call back shows what a stop does to it.
func TestStopAnswersWhatIsInFlight(t *testing.T) {
	h := newHost(t)
	neutron, err := embedded.Open(embedded.Options{StateDir: t.TempDir(), Host: "h1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer neutron.Close()
	arrived, release := make(chan struct{}), make(chan struct{})
	h.serveNeutron(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/v2.0/subnetpools" {
			close(arrived)
			<-release
		}
		neutron.Handler().ServeHTTP(w, r)
	}))
	p := h.start()
	if got := p.status().Neutron; got != (NeutronStatus{Kind: "real", Endpoint: h.cfg.Cloud.EndpointOverride + "/v2.0/"}) {
		t.Errorf("neutron: %+v", got)
	}
	answered := make(chan error, 1)
	var pool object
	go func() {
		var err error
		pool, err = p.try("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
		answered <- err
	}()
	<-arrived
	p.cmd.Process.Signal(syscall.SIGTERM)
	h.within(5*time.Second, "nobody else is let in", func() error {
		if c, err := net.Dial("unix", h.cfg.DockerSocket); err == nil {
			c.Close()
			return errors.New("connected")
		}
		return nil
	})
	if code, body := p.get("/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "docker socket: ") {
		t.Errorf("readyz while it stops: %d %s", code, body)
	}
	close(release)
	if err := <-answered; err != nil || pool["PoolID"] == "" {
		t.Errorf("the call in flight: %v, %v", pool, err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// serveNeutron serves a handler inside the namespace, as the Neutron to use.
func (h *host) serveNeutron(handler http.Handler) {
	h.t.Helper()
	var l net.Listener
	var err error
	h.ns.Do(func() { l, err = net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		h.t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go s.Serve(l)
	h.t.Cleanup(func() { s.Close() })
	h.cfg.Cloud.AuthType, h.cfg.Cloud.EndpointOverride = "none", "http://"+l.Addr().String()
}

func TestUnreachableNeutronShowsInHealth(t *testing.T) {
	h := newHost(t)
	h.cfg.Cloud.AuthType, h.cfg.Cloud.EndpointOverride = "none", "http://127.0.0.1:9"
	p := h.start()
	code, body := p.get("/readyz")
	want := "neutron: cannot reach Neutron at http://127.0.0.1:9/v2.0/: not ready yet: Neutron cannot be reached: dial tcp 127.0.0.1:9: connect: connection refused\n"
	if code != http.StatusServiceUnavailable || body != want {
		t.Errorf("readyz: %d %s, want %s", code, body, want)
	}
	if code, _ := p.get("/healthz"); code != 200 {
		t.Errorf("healthz: %d", code)
	}
	_, err := p.try("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	if err == nil || !strings.Contains(err.Error(), "Neutron cannot be reached") {
		t.Errorf("RequestPool: %v", err)
	}
	if err := os.Remove(h.cfg.DockerSocket); err != nil {
		t.Fatal(err)
	}
	if _, body := p.get("/readyz"); !strings.Contains(body, "docker socket: "+h.cfg.DockerSocket+" was removed or replaced: restart kuryr\n") {
		t.Errorf("readyz without the socket: %s", body)
	}
	p.stop()
}

func TestTCPListenersAndWebPages(t *testing.T) {
	h := newHost(t)
	h.cfg.KuryrURI, h.cfg.NeutronListen = "http://127.0.0.1:23750", "127.0.0.1:9696"
	p := h.start()
	tcp := h.tcpClient()
	origin := http.Header{"Origin": {"http://evil.example"}}
	for _, tt := range []struct {
		client *http.Client
		url    string
		header http.Header
		want   int
	}{
		{tcp, "http://127.0.0.1:9696/v2.0/networks", nil, 200},
		{tcp, "http://127.0.0.1:9696/v2.0/networks", origin, 403},
		{tcp, "http://127.0.0.1:23750/Plugin.Activate", nil, 405}, // a GET
		{tcp, "http://127.0.0.1:23750/Plugin.Activate", origin, 403},
		{p.engine, "http://plugin/Plugin.Activate", origin, 403},
		{p.admin, "http://kuryr/v1/status", nil, 200},
		{p.admin, "http://kuryr/v1/status", origin, 403},
		{p.admin, "http://kuryr/v1/nonesuch", nil, 404},
	} {
		code, body, err := fetch(tt.client, tt.url, tt.header)
		if err != nil || code != tt.want {
			t.Errorf("%s %v: %d %s (%v), want %d", tt.url, tt.header, code, body, err, tt.want)
		}
	}
	for host, want := range map[string]int{"evil.example:9696": 403, "localhost:9696": 200, "[::1]:9696": 200, "10.0.0.1": 403} {
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:9696/v2.0/networks", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := tcp.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
	if got := p.status().Neutron.Endpoint; got != "http://127.0.0.1:9696" {
		t.Errorf("endpoint: %s", got)
	}
	p.stop()
}

func TestDefaultPoolsAreMadeOnce(t *testing.T) {
	h := newHost(t)
	h.start().stop()
	p := h.start()
	v4, v6 := p.call("IpamDriver.RequestPool", object{}), p.call("IpamDriver.RequestPool", object{"V6": true})
	if v4["Pool"] != "10.64.0.0/24" || !strings.HasPrefix(v6["Pool"].(string), "fd") || !strings.HasSuffix(v6["Pool"].(string), "::/64") {
		t.Errorf("pools: %v, %v", v4, v6)
	}
	for _, pool := range []object{v4, v6} {
		p.call("IpamDriver.ReleasePool", object{"PoolID": pool["PoolID"]})
	}
	h.nothingLeft(p)
}

func TestStartFailsClearly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*host)
		want   string
	}{
		{"state directory is a file", func(h *host) {
			os.WriteFile(h.cfg.StateDir, nil, 0o600)
		}, "error: cannot make the state directory DIR/state: not a directory\n"},
		{"journal of a newer Kuryr", func(h *host) {
			os.MkdirAll(filepath.Join(h.cfg.StateDir, "journal"), 0o700)
			j, err := journal.Open(filepath.Join(h.cfg.StateDir, "journal", "entries"), journal.Options{Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				h.t.Fatal(err)
			}
			defer j.Close()
			if err := j.Write(h.t.Context(), courier.Entry{Kind: "zone", ID: "1", Data: []byte("{}")}); err != nil {
				h.t.Fatal(err)
			}
		}, "error: cannot read the journal's zone 1: a newer Kuryr wrote it\n" +
			"hint: start the Kuryr that wrote it, or give this one another state directory\n"},
		{"socket is a file", func(h *host) {
			os.MkdirAll(filepath.Dir(h.cfg.DockerSocket), 0o755)
			os.WriteFile(h.cfg.DockerSocket, nil, 0o600)
		}, "error: cannot listen on DIR/plugins/kuryr.sock: the file is there, and is no socket\n"},
		{"port of others", func(h *host) {
			h.cfg.NeutronListen = "192.0.2.1:9696"
		}, "error: cannot listen on 192.0.2.1:9696: cannot assign requested address\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			tt.change(h)
			p := h.spawn()
			err := p.cmd.Wait()
			got := strings.ReplaceAll(p.out.String(), h.dir, "DIR")
			if err == nil || !strings.HasPrefix(got, tt.want) {
				t.Errorf("%v: %s, want %s", err, got, tt.want)
			}
			if _, err := os.Lstat(h.cfg.AdminSocket); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the admin socket is left: %v", err)
			}
		})
	}
}
