package store

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const victimEnv = "KURYR_TEST_STORE_VICTIM"

// victim is the process that is killed. It makes and deletes ports, several
// at a time, and says what was answered.
func victim(path string) {
	s, err := Open(Options{Path: path, Host: testHost})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ctx := context.Background()
	nets, err := s.Networks(ctx, nil, nil)
	if err != nil || len(nets) != 1 {
		fmt.Println("error", err, len(nets))
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				p, err := s.CreatePorts(ctx, []PortSpec{{NetworkID: Some(nets[0].ID)}, {NetworkID: Some(nets[0].ID)}})
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Printf("made %s\nmade %s\n", p[0].ID, p[1].ID)
				fmt.Println("deleting", p[1].ID)
				if err := s.DeletePort(ctx, p[1].ID, Match{}); err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Println("deleted", p[1].ID)
			}
		})
	}
	wg.Wait()
}

// TestKilledWhileWriting kills a process that writes, again and again: all
// that it was told to be done is there at the next start, and nothing half.
func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	s := openAt(t, Options{Path: path})
	network(t, s, "10.0.0.0/8")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	answered := map[string]bool{} // port -> exists, as far as the process was told
	for round := range 6 {
		unknown := kill(t, path, time.Duration(60+round*35)*time.Millisecond, answered)
		s, err := Open(Options{Path: path, Host: testHost})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		checkSurvivors(t, s, answered, unknown)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// kill runs the victim for a while, kills it, and returns the ports whose
// deletion was asked for and not answered.
func kill(t *testing.T, path string, after time.Duration, answered map[string]bool) (unknown map[string]bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	unknown = map[string]bool{}
	made := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		verb, id, _ := strings.Cut(lines.Text(), " ")
		if len(id) != 36 && verb != "error" {
			continue // the line that was being written
		}
		switch verb {
		case "made":
			answered[id] = true
			made++
		case "deleting":
			unknown[id] = true
		case "deleted":
			delete(unknown, id)
			answered[id] = false
		case "error":
			t.Fatal(lines.Text())
		}
	}
	_ = cmd.Wait() // killed
	if made == 0 {
		t.Logf("nothing was answered within %v", after)
	}
	return unknown
}

func checkSurvivors(t *testing.T, s *Store, answered, unknown map[string]bool) {
	t.Helper()
	ports, err := s.Ports(context.Background(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	addresses := map[string]string{}
	for _, p := range ports {
		there[p.ID] = true
		a := p.FixedIPs[0].Address.String()
		if other := addresses[a]; other != "" {
			t.Errorf("%s and %s both have %s", p.ID, other, a)
		}
		addresses[a] = p.ID
		if s.state.spaces[p.FixedIPs[0].SubnetID].used[p.FixedIPs[0].Address] != p.ID {
			t.Errorf("%s is not known to be the holder of %s", p.ID, a)
		}
	}
	for id, want := range answered {
		if there[id] != want && !unknown[id] {
			t.Errorf("port %s: there is %v, the answer was %v", id, there[id], want)
		}
	}
	for id := range unknown {
		answered[id] = there[id] // from now on it is known
	}
}

func TestSecondProcessIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	openAt(t, Options{Path: path})
	_, err := Open(Options{Path: path, Host: testHost, LockTimeout: 10 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("got %v", err)
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	s := openAt(t, Options{Path: path})
	network(t, s, "10.0.0.0/24")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(raw); i++ { // all behind the two meta pages
		raw[i] ^= 0x5a
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Options{Path: path, Host: testHost}); err == nil {
		_ = s.Close()
		t.Error("a damaged file was opened")
	}
}

// dump is all that a store holds.
func dump(s *Store) map[string]any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]any{}
	for id, v := range s.state.networks.rows {
		out["network "+id] = *v
	}
	for id, v := range s.state.subnets.rows {
		out["subnet "+id] = *v
	}
	for id, v := range s.state.pools.rows {
		out["pool "+id] = *v
	}
	for id, v := range s.state.ports.rows {
		out["port "+id] = *v
	}
	return out
}

// derived is what a store has worked out from its rows.
func derived(s *Store) map[string]any {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string]any{}
	indexes := map[string]index{
		"network name": s.state.networkName, "subnet network": s.state.subnetNetwork, "subnet pool": s.state.subnetPool,
		"port network": s.state.portNetwork, "port mac": s.state.portMAC, "port device": s.state.portDevice,
		"port mark": s.state.portMark, "port name": s.state.portName,
	}
	for name, x := range indexes {
		for value := range x {
			ids := x.list(value)
			slices.Sort(ids)
			out[name+" "+value] = ids
		}
	}
	out["taps"] = maps.Clone(s.state.taps)
	for id, sp := range s.state.spaces {
		out["used "+id] = maps.Clone(sp.used)
		out["free "+id] = runs(&sp.free)
	}
	for id, free := range s.state.cuttable {
		out["cuttable "+id] = runs(free)
	}
	return out
}

func runs(s *freeSet) (out []string) {
	s.each(func(r Range) bool {
		out = append(out, r.String())
		return true
	})
	return out
}

// checkSame compares a store with what a start from its file gives.
func checkSame(t *testing.T, s *Store, path string) {
	t.Helper()
	rows, worked := dump(s), derived(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, Options{Path: path})
	opt := cmp.Comparer(func(x, y fmt.Stringer) bool { return x.String() == y.String() })
	if diff := cmp.Diff(dump(again), rows, opt); diff != "" {
		t.Errorf("rows on disk (-) and in memory (+) differ:\n%s", diff)
	}
	if diff := cmp.Diff(derived(again), worked, opt); diff != "" {
		t.Errorf("indexes made anew (-) and kept (+) differ:\n%s", diff)
	}
}

// TestFailedWriteChangesNothing fills the file up to its limit: what fails is
// undone in memory, what has succeeded stays, and smaller changes go on.
func TestFailedWriteChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	s := openAt(t, Options{Path: path, maxSize: 256 << 10})
	net, _ := network(t, s, "10.0.0.0/16")
	ctx := context.Background()
	long := strings.Repeat("x", 200)
	failed := 0
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		wg.Go(func() {
			for range 120 {
				_, err := s.CreatePorts(ctx, []PortSpec{
					{StandardSpec: StandardSpec{Description: Some(long)}, NetworkID: Some(net.ID)},
					{StandardSpec: StandardSpec{Description: Some(long)}, NetworkID: Some(net.ID)},
				})
				if err != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failed == 0 {
		t.Fatal("the file never filled up")
	}
	checkSame(t, s, path)
}

func TestClosedStoreRefuses(t *testing.T) {
	s := openAt(t, Options{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateNetworks(context.Background(), []NetworkSpec{{}}); typeOf(t, err) != "ServiceUnavailable" {
		t.Errorf("write: %v", err)
	}
	if _, err := s.Networks(context.Background(), nil, nil); typeOf(t, err) != "ServiceUnavailable" {
		t.Errorf("read: %v", err)
	}
}
