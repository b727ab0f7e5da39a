package dataplane_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// flood is packets that one host sends to another as fast as is of use: some
// thousand a second.
type flood struct {
	in, out   *net.UDPConn
	sent, got atomic.Int64
	stop      chan struct{}
	done      chan struct{}
}

func startFlood(t *testing.T, from, to *host, port int) *flood {
	t.Helper()
	f := &flood{stop: make(chan struct{}), done: make(chan struct{})}
	address := &net.UDPAddr{IP: to.v4().AsSlice(), Port: port}
	var err error
	to.ns.Do(func() { f.in, err = net.ListenUDP("udp4", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.in.Close() })
	raw, err := f.in.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error // room for all: none may be lost because the receiver is late
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	})
	if err := errors.Join(err, set); err != nil {
		t.Fatal(err)
	}
	from.ns.Do(func() { f.out, err = net.DialUDP("udp4", nil, address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.out.Close() })
	go f.receive()
	go f.send()
	return f
}

func (f *flood) receive() {
	packet := make([]byte, 16)
	for {
		if _, err := f.in.Read(packet); err != nil {
			return
		}
		f.got.Add(1)
	}
}

func (f *flood) send() {
	defer close(f.done)
	for {
		select {
		case <-f.stop:
			return
		case <-time.After(50 * time.Microsecond):
		}
		for range 20 {
			if _, err := f.out.Write([]byte("packet")); err == nil {
				f.sent.Add(1)
			}
		}
	}
}

// end returns how many packets were sent, and how many of them did not come.
func (f *flood) end() (sent, lost int64) {
	close(f.stop)
	<-f.done
	for deadline := time.Now().Add(2 * time.Second); f.got.Load() < f.sent.Load() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return f.sent.Load(), f.sent.Load() - f.got.Load()
}

// TestRestartLosesNothing: where the next agent makes the tables anew, one
// restart in four costs a packet of such a flood.
func TestRestartLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.group("client", rule(egress))
	w.group("server", rule(proto(17), ports(80, 80)))
	a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
	a.address()
	b.address()
	w.apply()
	before := w.handle()
	f := startFlood(t, a, b, 80)
	for range 40 {
		w.stop()
		w.start()
		w.apply()
	}
	if sent, lost := f.end(); sent == 0 || lost > 0 {
		t.Errorf("of %d packets %d were lost", sent, lost)
	}
	if after := w.handle(); after != before {
		t.Errorf("the tables were made anew: %q, then %q", before, after)
	}
}

// handle is what the kernel calls our table of the bridge family; another one
// of the same name has another.
func (w *world) handle() string {
	out := w.ns.Run("nft", "-a", "list", "table", "bridge", "kuryr-ports")
	first, _, _ := strings.Cut(out, "\n")
	return first
}

// TestRestartAmongStrangers: what others have changed in our tables while there
// was no agent is put right by the next.
func TestRestartAmongStrangers(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   []string // to nft
		anew bool     // the tables can't be changed in place
	}{
		{"a rule", []string{"insert rule bridge kuryr-ports from-ports accept"}, false},
		{"an element", []string{`add element bridge kuryr-ports to { "lo" : accept }`}, false},
		{"an element's value", []string{
			`delete element bridge kuryr-ports from { "tapaaaaaaaa-00" : drop }`,
			`add element bridge kuryr-ports from { "tapaaaaaaaa-00" : accept }`,
		}, false},
		{"a chain that is jumped to", []string{
			"add chain bridge kuryr-ports theirs", "add rule bridge kuryr-ports theirs accept",
			"insert rule bridge kuryr-ports to-ports jump theirs",
		}, false},
		{"a set that is looked up", []string{
			"add set bridge kuryr-ports theirs { type ifname; }", `add element bridge kuryr-ports theirs { "lo" }`,
			"insert rule bridge kuryr-ports to-ports iifname @theirs accept",
		}, false},
		{"no rules", []string{"flush chain bridge kuryr-ports from-ports"}, false},
		{"another hook", []string{
			"flush chain bridge kuryr-ports from-ports", "delete chain bridge kuryr-ports from-ports",
			"add chain bridge kuryr-ports from-ports { type filter hook forward priority 100; }",
		}, true},
		{"a set of another type", []string{
			"flush chain bridge kuryr-ports to-ports", "flush chain bridge kuryr-ports from-ports", "delete map bridge kuryr-ports to",
			"add map bridge kuryr-ports to { type ether_addr : verdict; }",
		}, true},
		{"no map", []string{
			"flush chain bridge kuryr-ports to-ports", "flush chain bridge kuryr-ports from-ports", "delete map bridge kuryr-ports to",
			"add set bridge kuryr-ports to { type ifname; }",
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.group("client", rule(egress))
			w.group("server", rule(proto(6), ports(80, 80)))
			a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
			w.apply()
			handle, before := w.handle(), w.tables()
			w.stop()
			for _, command := range tt.do {
				w.ns.Run("nft", strings.ReplaceAll(command, "tapaaaaaaaa-00", a.port.HostEnd))
			}
			if w.tables() == before {
				t.Fatal("nothing was changed: the test shows nothing")
			}
			w.start()
			w.apply()
			if after := w.tables(); after != before {
				t.Errorf("the tables were\n%s\nand are\n%s", before, after)
			}
			if anew := w.handle() != handle; anew != tt.anew {
				t.Errorf("made anew: %t, want %t", anew, tt.anew)
			}
			expect(t, "a port that is permitted", a, b, a.to(b, tcp(ap(a.v4(), w.newPort()), ap(b.v4(), 80), 2)), true)
			expect(t, "a port that is not", a, b, a.to(b, udp(ap(a.v4(), w.newPort()), ap(b.v4(), 80))), false)
		})
	}
}

// TestRestartAmongUnknownSets: a set that can't even be read doesn't keep the
// filter from its start, nor connections from going on. Tables of others keep theirs.
func TestRestartAmongUnknownSets(t *testing.T) {
	const many = " theirs { type ipv4_addr . ipv4_addr . inet_service . inet_service . mark . inet_proto; }"
	w := newWorld(t)
	w.group("client", rule(egress))
	w.group("server", rule(proto(6), ports(80, 80)))
	other := w.host(networkB, 3)
	w.apply() // so that the zone of the other network is not the first
	a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
	a.address()
	b.address()
	w.apply()
	w.hosts = slices.DeleteFunc(w.hosts, func(h *host) bool { return h == other })
	w.apply()
	s := connect(t, a, b, 80)
	zones := w.zones()
	w.stop()
	for _, foreign := range []string{"bridge another", "ip kuryr-ports"} {
		w.ns.Run("nft", "add table "+foreign)
		w.ns.Run("nft", "add set "+foreign+many)
	}
	w.ns.Run("nft", "add set bridge kuryr-ports"+many)
	if strings.Contains(w.ns.Run("nft", "list tables"), "inet kuryr-ports") { // where the zones are, then
		w.ns.Run("nft", "add set inet kuryr-ports"+many)
	}
	w.logged = make(chan string, 100)
	w.start()
	w.apply()
	if strings.Contains(w.tables(), "theirs") {
		t.Errorf("the set is there still:\n%s", w.tables())
	}
	if after := w.zones(); after != zones {
		t.Errorf("zones were %q and are %q", zones, after)
	}
	if !s.works(time.Second) {
		t.Error("a connection is cut")
	}
	for _, foreign := range []string{"bridge another", "ip kuryr-ports"} {
		if out := w.ns.Run("nft", "list table "+foreign); !strings.Contains(out, "theirs") {
			t.Errorf("of table %s is left: %s", foreign, out)
		}
	}
	expect(t, "a port that is permitted", a, b, a.to(b, tcp(ap(a.v4(), w.newPort()), ap(b.v4(), 80), 2)), true)
	expect(t, "a port that is not", a, b, a.to(b, udp(ap(a.v4(), w.newPort()), ap(b.v4(), 80))), false)
	w.stop()
	close(w.logged)
	told := 0
	for line := range w.logged {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "a set in table kuryr-ports") {
			told++
		}
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the log says %s", line)
		}
	}
	if told != 1 {
		t.Errorf("the log tells %d times what was found", told)
	}
}

// tables are ours as nft lists them, without what says when something was made:
// handles, and the order of all but the rules of a chain.
func (w *world) tables() string {
	var all []string
	for _, family := range []string{"bridge", "inet"} {
		out, err := w.ns.Try("nft", "-j", "list", "table", family, "kuryr-ports")
		if err != nil {
			continue
		}
		var listing struct {
			Nftables []map[string]map[string]any `json:"nftables"`
		}
		if err := json.Unmarshal([]byte(out), &listing); err != nil {
			w.t.Fatal(err)
		}
		rules := map[any]int{} // of each chain
		for _, object := range listing.Nftables {
			for kind, fields := range object {
				delete(fields, "handle")
				line := fmt.Sprint(kind, " ", fields)
				if kind == "rule" {
					rules[fields["chain"]]++
					line = fmt.Sprintf("%s, number %d", line, rules[fields["chain"]])
				}
				all = append(all, line)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
