package docker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

func TestWhatIsNoCall(t *testing.T) {
	for _, x := range []struct {
		name, method, path, origin string
		code                       int
		want                       string
	}{
		{"unknown", "POST", "/NetworkDriver.Fly", "", 404, `cannot serve "NetworkDriver.Fly": Kuryr has no such method`},
		{"case matters", "POST", "/networkdriver.join", "", 404, `cannot serve "networkdriver.join": Kuryr has no such method`},
		{"root", "POST", "/", "", 404, `cannot serve "": Kuryr has no such method`},
		{"not a clean path", "POST", "/a/../Plugin.Activate", "", 404, `cannot serve "a/../Plugin.Activate": Kuryr has no such method`},
		{"not POST", "GET", "/Plugin.Activate", "", 405, `cannot serve "Plugin.Activate": the HTTP method is "GET", not POST`},
		{"a web page", "POST", "/NetworkDriver.DeleteNetwork", "http://evil.example", 403, `cannot serve "NetworkDriver.DeleteNetwork": requests of web pages are refused`},
		{"a local file", "POST", "/NetworkDriver.DeleteNetwork", "null", 403, `cannot serve "NetworkDriver.DeleteNetwork": requests of web pages are refused`},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := furnished(t)
			r := httptest.NewRequestWithContext(t.Context(), x.method, "http://h/", strings.NewReader(`{`+refNet+`}`))
			r.URL.Path = x.path
			if x.origin != "" {
				r.Header.Set("Origin", x.origin)
			}
			w := httptest.NewRecorder()
			New(m, Options{}).ServeHTTP(w, r)
			text := strings.ReplaceAll(x.want, `"`, `\"`)
			want := fmt.Sprintf(`{"Err":"%s","Error":"%s"}`, text, text)
			if got := strings.TrimSpace(w.Body.String()); w.Code != x.code || got != want {
				t.Errorf("%d %s\nwant %d %s", w.Code, got, x.code, want)
			}
			if allow := w.Header().Get("Allow"); (allow == "POST") != (x.code == 405) {
				t.Errorf("Allow: %q", allow)
			}
			if m.asked != nil {
				t.Errorf("the courier was asked %v", m.asked)
			}
		})
	}
}

func TestPanicIsAnswered(t *testing.T) {
	m := furnished(t)
	m.fault = func(string) error { panic("a bug\nin two lines") }
	var log lines
	_, got := post(t, New(unlocked{m}, Options{Log: log.logger()}), "NetworkDriver.Join", `{`+refs+`}`)
	const text = "cannot join endpoint 250bdf5ab099 on network 4aa1af9a5359: unexpected error (a fault of Kuryr's own: its log says more)"
	if want := `{"Err":"` + text + `","Error":"` + text + `"}`; got != want {
		t.Errorf("got %s", got)
	}
	want := `level=ERROR msg="a call panicked" method=NetworkDriver.Join docker_network=4aa1af9a5359 endpoint=250bdf5ab099 panic="a bug\nin two lines" stack=true
level=WARN msg="a call failed" method=NetworkDriver.Join docker_network=4aa1af9a5359 endpoint=250bdf5ab099 ms=T kind=internal err="cannot join endpoint 250bdf5ab099 on network 4aa1af9a5359: unexpected error: panic: a bug\nin two lines"
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// unlocked is a memory whose Join panics before it locks anything.
type unlocked struct{ *memory }

func (u unlocked) Join(context.Context, courier.EngineNetworkID, courier.EndpointID) (courier.Joined, error) {
	return courier.Joined{}, u.fault("Join")
}

// waiting is a memory whose Attach blocks until its context ends.
type waiting struct {
	*memory
	started chan struct{}
	ended   error
}

func (w *waiting) Attach(ctx context.Context, _ courier.AttachRequest) (courier.Attached, error) {
	close(w.started)
	<-ctx.Done()
	w.ended = ctx.Err()
	return courier.Attached{}, &courier.Error{Op: "create port", Err: ctx.Err()}
}

// TestDeadline: a call ends at its own deadline, not when Docker goes away.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &waiting{memory: newMemory(), started: make(chan struct{})}
		h := New(c, Options{Timeout: 7 * time.Second})
		ctx, goAway := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/NetworkDriver.CreateEndpoint", strings.NewReader(`{`+refs+`}`))
		w := httptest.NewRecorder()
		start, done := time.Now(), make(chan time.Duration)
		go func() { h.ServeHTTP(w, r); done <- time.Since(start) }()
		<-c.started
		goAway()
		if took := <-done; took != 7*time.Second || c.ended != context.DeadlineExceeded {
			t.Errorf("took %v, ended by %v", took, c.ended)
		}
		if want := "cannot create port: context deadline exceeded (try again; kuryr status shows what is down)"; !strings.Contains(w.Body.String(), want) {
			t.Errorf("got %s", w.Body)
		}
	})
}

// TestOverASocket speaks HTTP as dockerd 20.10 does, byte for byte: no value
// for Host, keep-alive, and many connections at once.
func TestOverASocket(t *testing.T) {
	m := newMemory()
	pool, err := m.RequestPool(t.Context(), courier.PoolRequest{CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kuryr.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: New(m, Options{})}
	go s.Serve(l) // until Close
	defer s.Close()
	body := fmt.Sprintf(`{"PoolID":%q,"Address":"","Options":null}`, pool.ID)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			c, err := net.Dial("unix", path)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			for range 10 {
				fmt.Fprintf(c, "POST /IpamDriver.RequestAddress HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n"+
					"Content-Length: %d\r\nAccept: application/vnd.docker.plugins.v1.2+json\r\nAccept-Encoding: gzip\r\n\r\n%s", len(body), body)
				r, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(r.Body)
				if err != nil || r.StatusCode != 200 || !strings.HasPrefix(string(got), `{"Address":"10.0.`) {
					t.Errorf("%d %s %v", r.StatusCode, got, err)
				}
			}
		})
	}
	all.Wait()
	if got := len(m.pools[pool.ID].taken); got != 320 {
		t.Errorf("%d addresses were given in 320 calls", got)
	}
}

// TestStalledBody: half a request is answered, at the call's deadline.
func TestStalledBody(t *testing.T) {
	s := httptest.NewServer(New(newMemory(), Options{Timeout: 50 * time.Millisecond}))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "POST /NetworkDriver.DeleteNetwork HTTP/1.1\r\nHost: \r\nContent-Length: 100\r\n\r\n{")
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r.Body)
	if want := `"Err":"cannot delete network: the request broke off (try again)"`; err != nil || !strings.Contains(string(got), want) {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestIdleConnectionIsKept: a connection outlives the deadlines of the calls on it.
func TestIdleConnectionIsKept(t *testing.T) {
	s := httptest.NewServer(New(newMemory(), Options{Timeout: 20 * time.Millisecond}))
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for range 3 {
		fmt.Fprint(c, "POST /NetworkDriver.DeleteNetwork HTTP/1.1\r\nHost: \r\nContent-Length: 17\r\n\r\n{\"NetworkID\":\"n\"}")
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r.Body); err != nil || strings.TrimSpace(string(got)) != "{}" {
			t.Errorf("got %s, %v", got, err)
		}
		time.Sleep(40 * time.Millisecond)
	}
}

func TestLog(t *testing.T) {
	m := furnished(t)
	var log lines
	h := New(m, Options{Log: log.logger()})
	for _, c := range [][2]string{
		{"NetworkDriver.Join", `{` + refs + `}`},
		{"IpamDriver.RequestPool", `{"Options":{"x":"secret","y":"1"}}`},
		{"IpamDriver.RequestPool", `{"Options":{"x":"secret"}}`},
		{"IpamDriver.ReleasePool", `{` + refPool + `}`},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.portmap":[{},{}]}}`},
		{"NetworkDriver.Join", `{"NetworkID":"a b"}`},
		{"NetworkDriver.Fly", ``},
	} {
		post(t, h, c[0], c[1])
	}
	m.fault = func(string) error {
		return &courier.Error{Kind: courier.Unavailable, Op: "create port", Public: "Neutron does not answer", Err: io.ErrUnexpectedEOF}
	}
	post(t, h, "NetworkDriver.Join", `{`+refs+`}`)
	post(t, h, "NetworkDriver.EndpointOperInfo", `{`+refs+`}`)
	want := `level=DEBUG msg="served a call" method=NetworkDriver.Join docker_network=4aa1af9a5359 endpoint=250bdf5ab099 ms=T
level=INFO msg="ignored an option that has no meaning here" option=x
level=INFO msg="ignored an option that has no meaning here" option=y
level=DEBUG msg="served a call" method=IpamDriver.RequestPool ms=T
level=DEBUG msg="served a call" method=IpamDriver.RequestPool ms=T
level=DEBUG msg="served a call" method=IpamDriver.ReleasePool pool=00000000-0000-4000-8000-000000000001 ms=T
level=WARN msg="published ports are not forwarded" count=2 docker_network=4aa1af9a5359 endpoint=250bdf5ab099
level=DEBUG msg="served a call" method=NetworkDriver.ProgramExternalConnectivity docker_network=4aa1af9a5359 endpoint=250bdf5ab099 ms=T
level=WARN msg="a call failed" method=NetworkDriver.Join docker_network="a b" endpoint="" ms=T kind=invalid err="cannot join endpoint: \"a b\" is no NetworkID"
level=WARN msg="refused a request" method=NetworkDriver.Fly err="cannot serve \"NetworkDriver.Fly\": Kuryr has no such method"
level=WARN msg="a call failed" method=NetworkDriver.Join docker_network=4aa1af9a5359 endpoint=250bdf5ab099 ms=T kind=unavailable err="cannot create port: Neutron does not answer: unexpected EOF"
level=WARN msg="an endpoint can't be described" docker_network=4aa1af9a5359 endpoint=250bdf5ab099 err="cannot create port: Neutron does not answer: unexpected EOF"
level=DEBUG msg="served a call" method=NetworkDriver.EndpointOperInfo docker_network=4aa1af9a5359 endpoint=250bdf5ab099 ms=T
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestNotesAreBounded: names of options come from users.
func TestNotesAreBounded(t *testing.T) {
	var log lines
	h := New(newMemory(), Options{Log: log.logger()})
	for i := range 2 * maxNotes {
		post(t, h, "IpamDriver.RequestPool", fmt.Sprintf(`{"Options":{"x%d":""}}`, i))
	}
	if got := strings.Count(log.String(), "level=INFO"); got != maxNotes {
		t.Errorf("%d names were logged", got)
	}
}
