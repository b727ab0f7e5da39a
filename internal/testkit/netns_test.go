package testkit_test

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"kuryr/internal/testkit"
)

func namesOfInterfaces(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	return strings.Join(names, " ")
}

func TestNamespaceIsEmptyAndLeft(t *testing.T) {
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns := testkit.NewNS(t)
	ns.Do(func() {
		if got := namesOfInterfaces(t); got != "lo" {
			t.Errorf("interfaces inside: %q, want only lo", got)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("lo is not up: %v", err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("lo is not up: %v", err)
		}
		c.Close()
	})
	after, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("the thread stayed in the namespace: %s, want %s", after, before)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	a, b := testkit.NewNS(t), testkit.NewNS(t)
	a.Run("ip", "link", "add", "only-in-a", "type", "veth", "peer", "name", "moves-to-b")
	a.Run("ip", "link", "set", "moves-to-b", "netns", b.Path())
	var wg sync.WaitGroup
	for ns, want := range map[*testkit.NS]string{a: "lo only-in-a", b: "lo moves-to-b"} {
		wg.Go(func() {
			ns.Do(func() {
				if got := namesOfInterfaces(t); got != want {
					t.Errorf("interfaces: %q, want %q", got, want)
				}
			})
		})
	}
	wg.Wait()
	if out, err := a.Try("ip", "link", "show", "moves-to-b"); err == nil {
		t.Errorf("the moved interface is still there:\n%s", out)
	}
}
