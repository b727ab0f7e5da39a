package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// victim is a Kuryr, with a network and an endpoint, that is sent what nobody
// should send.
type victim struct {
	*testkit.Kuryr
	t      *testing.T
	engine *http.Client // as Docker calls it
	tcp    *http.Client // on the machine's loopback
	pool   string
}

// Where the victim listens on its loopback.
const (
	victimEngine  = "127.0.0.1:23750"
	victimNeutron = "127.0.0.1:9696"
)

// The victim's network and endpoint, as Docker names them.
const (
	victimNetwork  = "7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a7d3c2b1a"
	victimEndpoint = "e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3"
	victimPair     = `"NetworkID":"` + victimNetwork + `","EndpointID":"` + victimEndpoint + `"`
)

func newVictim(t *testing.T) *victim {
	t.Helper()
	binary(t)
	ctx := t.Context()
	m, err := testkit.NewMachine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil { // the test's own context is over
			t.Error(err)
		}
	})
	k, err := testkit.StartKuryr(ctx, m, binary(t), testkit.KuryrOptions{Listen: victimNeutron, Config: "kuryr_uri = http://" + victimEngine})
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{Kuryr: k, t: t, engine: testkit.UnixClient(k.PluginSocket()), tcp: &http.Client{Transport: &http.Transport{DialContext: m.Dial}}}
	t.Cleanup(func() {
		v.engine.CloseIdleConnections()
		v.tcp.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the end of the log:\n%s", k.Log(30))
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	v.furnish(m)
	return v
}

// furnish makes a network with an endpoint.
func (v *victim) furnish(m *testkit.Machine) {
	v.t.Helper()
	var pool struct{ PoolID string }
	v.must("IpamDriver.RequestPool", `{"Pool":"10.99.0.0/24"}`, &pool)
	v.pool = pool.PoolID
	v.must("NetworkDriver.CreateNetwork", `{"NetworkID":"`+victimNetwork+`","Options":{},"IPv4Data":[{"Pool":"10.99.0.0/24","Gateway":"10.99.0.1/24"}]}`, nil)
	v.must("IpamDriver.RequestAddress", `{"PoolID":"`+v.pool+`","Address":"10.99.0.7"}`, nil)
	v.must("NetworkDriver.CreateEndpoint", `{`+victimPair+`,"Interface":{"Address":"10.99.0.7/24"}}`, nil)
	var joined struct{ InterfaceName struct{ SrcName string } }
	v.must("NetworkDriver.Join", `{`+victimPair+`,"SandboxKey":"/run/netns/x"}`, &joined)
	// In a sandbox, or the reconciler would take the container for gone.
	sandbox := testkit.NewNS(v.t)
	if out, err := m.Output(v.t.Context(), "ip", "link", "set", joined.InterfaceName.SrcName, "netns", sandbox.Path()); err != nil {
		v.t.Fatalf("%v: %s", err, out)
	}
}

func (v *victim) must(method, body string, answer any) {
	v.t.Helper()
	status, got, err := send(v.t.Context(), v.engine, "http://plugin/"+method, body, nil)
	if err != nil || status != http.StatusOK || strings.Contains(got, `"Err"`) {
		v.t.Fatalf("%s: %d %s %v", method, status, got, err)
	}
	if answer != nil {
		if err := json.Unmarshal([]byte(got), answer); err != nil {
			v.t.Fatal(err)
		}
	}
}

// send posts a body and returns the answer's status and text.
func send(ctx context.Context, c *http.Client, url, body string, header map[string]string) (status int, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for k, x := range header {
		if r.Header.Set(k, x); k == "Host" {
			r.Host = x
		}
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(b)), err
}

// footing is what the process takes of the machine.
type footing struct {
	rss        int // MiB
	peak       int // MiB
	heap       int // KiB in use after a collection: RSS lags far behind that
	goroutines int
	files      int
}

func (v *victim) footing() footing {
	v.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(v.PID()))
	text, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		v.t.Fatal(err)
	}
	open, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		v.t.Fatal(err)
	}
	f := footing{files: len(open)}
	for line := range strings.Lines(string(text)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			f.rss = kib >> 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			f.peak = kib >> 10
		}
	}
	f.heap = v.number("/debug/pprof/heap?gc=1&debug=1", `(?m)^# HeapAlloc = (\d+)`) >> 10
	f.goroutines = v.number("/debug/pprof/goroutine?debug=1", `^goroutine profile: total (\d+)`)
	return f
}

// number finds one in what the admin API answers.
func (v *victim) number(path, pattern string) int {
	v.t.Helper()
	c := testkit.UnixClient(v.AdminSocket())
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://kuryr" + path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	found := regexp.MustCompile(pattern).FindSubmatch(b)
	if err != nil || found == nil {
		v.t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		v.t.Fatal(err)
	}
	return n
}

// settled waits until the process has no more open files than before: every
// connection is gone, and with it its goroutine.
func (v *victim) settled(before footing) footing {
	v.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		now := v.footing()
		if now.files <= before.files {
			return now
		}
		if time.Now().After(deadline) {
			v.t.Fatalf("%d files are open, and were %d before", now.files, before.files)
		}
	}
}

// TestBadInput sends a Kuryr everything that a hostile, or broken, client can,
// on all that it listens on. Each request has its answer, nothing changes
// outside, who behaves is served all the while, and nothing grows.
func TestBadInput(t *testing.T) {
	v := newVictim(t)
	before, err := v.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v.closeIdle()
	start := v.footing()
	v.misuse()
	v.closeIdle()
	first := v.settled(start)
	// The same again: what the first round has not filled, the others must not.
	for range 2 {
		v.misuse()
		v.closeIdle()
	}
	last := v.settled(start)
	t.Logf("at first %+v; after one round %+v; after three %+v", start, first, last)
	if last.heap > first.heap+grows || last.goroutines > first.goroutines+goroutines {
		t.Errorf("it grows: %+v after one round, %+v after three", first, last)
	}
	if last.peak > most {
		t.Errorf("it had %d MiB at a time", last.peak)
	}
	v.AssertNothingLeft(t, before, 10*time.Second)
}

// Bounds of what two more rounds may add: less than one request's worth, and
// the goroutines of work that comes and goes. The bound of memory at a time, in
// MiB, is for a binary with the race detector, too, which takes several times
// what another does.
const (
	grows      = 4 << 10 // KiB
	goroutines = 10
	most       = 1500
)

func (v *victim) closeIdle() {
	v.engine.CloseIdleConnections()
	v.tcp.CloseIdleConnections()
}

// misuse is one round of everything. Beside it the endpoint is asked for all
// the time, as Docker may.
func (v *victim) misuse() {
	stop := make(chan struct{})
	var well sync.WaitGroup
	var slowest time.Duration
	calls := 0
	well.Go(func() {
		for {
			began := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			status, got, err := send(ctx, v.engine, "http://plugin/NetworkDriver.EndpointOperInfo", `{`+victimPair+`}`, nil)
			cancel()
			if err != nil || status != http.StatusOK || !strings.Contains(got, `"Value":{`) {
				v.t.Errorf("who behaves got %d %s %v", status, got, err)
			}
			slowest = max(slowest, time.Since(began))
			calls++
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	v.askForHarm()
	v.speakNoHTTP()
	v.sendLargeAtOnce()
	v.crowd()
	close(stop)
	well.Wait()
	v.t.Logf("who behaves made %d calls; the slowest took %s", calls, slowest.Round(time.Millisecond))
}

// askForHarm sends the table's requests, to Docker's socket and over TCP.
func (v *victim) askForHarm() {
	v.t.Helper()
	for _, h := range hostile(v.pool) {
		for face, c := range map[string]*http.Client{"http://plugin/": v.engine, "http://" + victimEngine + "/": v.tcp} {
			status, got, err := send(v.t.Context(), c, face+h.method, h.body, nil)
			var answer struct{ Err, Error string }
			if err == nil {
				err = json.Unmarshal([]byte(got), &answer)
			}
			if err != nil || status != h.status() || answer.Err != h.want || answer.Error != h.want {
				v.t.Errorf("%s: %d %.300s %v\nwant %d %s", h.what, status, got, err, h.status(), h.want)
			}
		}
	}
	for _, h := range hostileToNeutron() {
		status, got, err := send(v.t.Context(), v.tcp, "http://"+victimNeutron+h.path, h.body, h.header)
		if err != nil || status != h.status || !strings.Contains(got, h.want) {
			v.t.Errorf("Neutron: %s: %d %.300s %v\nwant %d %s", h.what, status, got, err, h.status, h.want)
		}
	}
}

// sendLargeAtOnce has many of the longest requests, that take the most memory,
// come in at once. Each is answered: refused, or told to try again.
func (v *victim) sendLargeAtOnce() {
	body := `{` + victimPair + `,"Options":{"com.docker.network.endpoint.exposedports":[` + strings.Repeat("{},", 900_000) + `{}]}}`
	ports := `{"port":{"network_id":"x","fixed_ips":[` + strings.Repeat("{},", 450_000) + `{}]}}`
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			c, url, text := v.engine, "http://plugin/NetworkDriver.ProgramExternalConnectivity", body
			if i%2 == 1 {
				c, url, text = v.tcp, "http://"+victimNeutron+"/v2.0/ports", ports
			}
			status, got, err := send(v.t.Context(), c, url, text, nil)
			if err != nil || status == http.StatusOK && !strings.Contains(got, `"Err":"cannot publish ports of endpoint`) ||
				status != http.StatusOK && status != http.StatusBadRequest && status != http.StatusNotFound && status != http.StatusServiceUnavailable {
				v.t.Errorf("a large request: %d %.300s %v", status, got, err)
			}
		})
	}
	all.Wait()
}

// dialers connects to each place where the victim listens.
func (v *victim) dialers() map[string]func() (net.Conn, error) {
	unix := func(path string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return net.Dial("unix", path) }
	}
	tcp := func(address string) func() (net.Conn, error) {
		return func() (net.Conn, error) { return v.Machine.Dial(v.t.Context(), "tcp", address) }
	}
	return map[string]func() (net.Conn, error){
		"Docker's socket": unix(v.PluginSocket()), "the admin socket": unix(v.AdminSocket()),
		"Docker's address": tcp(victimEngine), "Neutron's address": tcp(victimNeutron),
	}
}

// speakNoHTTP sends what is not, or hardly, HTTP, everywhere.
func (v *victim) speakNoHTTP() {
	v.t.Helper()
	for place, dial := range v.dialers() {
		for _, x := range notHTTP() {
			conn, err := dial()
			if err != nil {
				v.t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			go io.WriteString(conn, x.bytes) // the answer may come before it has all been taken
			got, err := io.ReadAll(io.LimitReader(conn, 64))
			conn.Close()
			if !bytes.HasPrefix(got, []byte(x.want)) {
				v.t.Errorf("%s on %s: %q %v, want %q", x.what, place, got, err, x.want)
			}
		}
	}
}

// crowd opens a thousand connections at each place at once, that are idle, slow,
// half a request, or half open, and looks whether a newcomer is served there.
func (v *victim) crowd() {
	v.t.Helper()
	lines := []string{
		"",                            // idle
		"POST /NetworkDriver.Join HT", // half a line
		"POST /NetworkDriver.Join HTTP/1.1\r\nHost: \r\nX-A: ",                      // half a header
		"POST /NetworkDriver.Join HTTP/1.1\r\nHost: \r\nContent-Length: 64\r\n\r\n", // half a request
		"\x16\x03\x01\x00\xff\x01",                                                  // half of TLS
	}
	for place, dial := range v.dialers() {
		var open []net.Conn
		for i := range 1000 {
			conn, err := dial()
			if err != nil {
				v.t.Fatalf("%s: connection %d: %v", place, i, err)
			}
			open = append(open, conn)
			// Who is closed to make room can't be written to any more.
			_, _ = io.WriteString(conn, lines[i%len(lines)])
			if half, ok := conn.(interface{ CloseWrite() error }); ok && i%7 == 0 {
				_ = half.CloseWrite()
			}
		}
		conn, err := dial()
		if err != nil {
			v.t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n")
		got, err := io.ReadAll(conn)
		if !bytes.HasPrefix(got, []byte("HTTP/1.1 ")) || bytes.HasPrefix(got, []byte("HTTP/1.1 503")) {
			v.t.Errorf("in a crowd on %s: %.80q %v", place, got, err)
		}
		conn.Close()
		for _, c := range open {
			c.Close()
		}
	}
}
