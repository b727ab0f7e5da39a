package replay

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// spy collects what a run finds wrong.
type spy struct {
	testing.TB
	errors []string
}

func (s *spy) Helper()                  {}
func (s *spy) Context() context.Context { return s.TB.Context() }
func (s *spy) Errorf(f string, a ...any) {
	s.errors = append(s.errors, fmt.Sprintf(f, a...))
}

func load(t *testing.T, name string) *Scenario {
	t.Helper()
	s, err := Load(Recordings(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestAll: a driver that follows the protocol passes every recording, and is
// sent every call of it.
func TestAll(t *testing.T) {
	names, err := Names(Recordings())
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int{}
	for _, name := range names {
		version, _, _ := strings.Cut(name, "/")
		versions[version]++
		t.Run(name, func(t *testing.T) {
			s, d, n := load(t, name), newDriver(), 0
			for _, step := range s.Steps {
				n += len(step.Calls)
			}
			s.Run(t, d, Checks{})
			if len(d.sent) < n+1 {
				t.Errorf("%d of %d calls were sent", len(d.sent), n)
			}
		})
	}
	if versions["20.10"] < 50 || versions["29.7"] < 25 {
		t.Errorf("recordings are missing: %v", versions)
	}
}

// Scenarios that drivers with faults are put through.
const (
	plain    = "20.10/01-network-create-plain"
	dual     = "20.10/06-network-create-dualstack"
	run      = "20.10/10-run-mac-publish-expose-alias-link"
	internal = "29.7/63-internal"
)

// fault is one way in which a driver breaks the protocol.
type fault struct {
	name, scenario string
	spoil          func(method string, q, a map[string]any)
	want           string
}

// set spoils one field of a method's answers.
func set(of, key string, v any) func(string, map[string]any, map[string]any) {
	return func(method string, _, a map[string]any) {
		if strings.HasSuffix(method, of) {
			a[key] = v
		}
	}
}

func mustFind(t *testing.T, faults []fault) {
	t.Helper()
	for _, x := range faults {
		t.Run(x.name, func(t *testing.T) {
			d, s := newDriver(), &spy{TB: t}
			d.spoil = x.spoil
			load(t, x.scenario).Run(s, d, Checks{})
			if all := strings.Join(s.errors, "\n"); !strings.Contains(all, x.want) {
				t.Errorf("not found: %s\nfound: %.2000s", x.want, all)
			}
		})
	}
}

// TestFindsFaultsOfPools: the handshake, networks and the IPAM driver.
func TestFindsFaultsOfPools(t *testing.T) {
	mustFind(t, []fault{
		{"garbage", plain, set(".CreateNetwork", "raw", "boom"), `the answer "boom" is not a JSON object`},
		{"a list", plain, set(".CreateNetwork", "raw", "[]"), `the answer "[]" is not a JSON object`},
		{"nothing", plain, set(".CreateNetwork", "raw", ""), `the answer "" is not a JSON object`},
		{"error under one key", plain, set(".CreateNetwork", "Err", "boom"), `Err is "boom" and Error is ""`},
		{"error", plain, set(".CreateNetwork", "Error", "boom"), "was refused: boom"},
		{"two lines", plain, set(".CreateNetwork", "Err", "a\nb"), "more than one line"},
		{"failing removal", plain, set(".DeleteNetwork", "Err", "boom"), "a removal must succeed: boom"},
		{"unknown field", plain, set(".CreateNetwork", "Gatway", "x"), `a field "Gatway" that Docker does not know`},
		{"one driver", plain, set(".Activate", "Implements", []any{"NetworkDriver"}), "not both drivers"},
		{"no scope", plain, set("NetworkDriver.GetCapabilities", "Scope", "weird"), "Docker drops a driver without a scope"},
		{"odd connectivity", plain, set("NetworkDriver.GetCapabilities", "ConnectivityScope", "weird"), "no such connectivity scope"},
		{"unnamed space", plain, set(".GetDefaultAddressSpaces", "GlobalDefaultAddressSpace", ""), "an address space has no name"},
		{"no PoolID", plain, set(".RequestPool", "PoolID", ""), `PoolID "" is not one of its own`},
		{"one PoolID for all", dual, set(".RequestPool", "PoolID", "p"), `PoolID "p" is not one of its own`},
		{"no pool", plain, set(".RequestPool", "Pool", "10.0.0.1/24"), "is not the address of a network"},
		{"the wrong family", plain, set(".RequestPool", "Pool", "fd00::/64"), "is of the wrong family"},
		{"not the wished pool", dual, set(".RequestPool", "Pool", "10.0.0.0/24"), "is not the wished"},
		{"one subnet for all", "20.10/45-same-subnet-twice-and-overlap", func(method string, q, a map[string]any) {
			if method == "IpamDriver.RequestPool" && q["Pool"] == "" {
				a["Pool"] = "10.98.0.0/24"
			}
		}, "Docker asks again without end"},
		{"a bare address", plain, set(".RequestAddress", "Address", "10.99.1.5"), "is not an address with the length of a prefix"},
		{"an address of another pool", plain, set(".RequestAddress", "Address", "10.9.9.9/24"), "is not one of 10.99.1.0/24"},
		{"the wrong length", plain, set(".RequestAddress", "Address", "10.99.1.5/25"), "is not one of 10.99.1.0/24"},
		{"not the wished address", "20.10/03-network-create-subnet-gw-range-aux", set(".RequestAddress", "Address", "10.50.0.9/16"), "is not the wished 10.50.0.254"},
		{"an address twice", "20.10/30-daemon-restart-graceful", func(method string, _, a map[string]any) {
			if method == "IpamDriver.RequestAddress" {
				a["Address"] = "10.80.0.5/24"
			}
		}, "Address 10.80.0.5/24 was given already"},
	})
}

// TestFindsFaultsOfEndpoints: endpoints, and what comes in the end.
func TestFindsFaultsOfEndpoints(t *testing.T) {
	mustFind(t, []fault{
		{"a repeated address", run, func(method string, q, a map[string]any) {
			if i, _ := q["Interface"].(map[string]any); method == "NetworkDriver.CreateEndpoint" {
				a["Interface"] = i
			}
		}, "an answer may not have it"},
		{"a bad MAC", internal, set(".CreateEndpoint", "Interface", map[string]any{"MacAddress": "zz"}), "MacAddress: address zz"},
		{"an unknown field of an interface", run, set(".CreateEndpoint", "Interface", map[string]any{"Mac": "x"}), `a field "Mac" that Docker does not know`},
		{"an interface that is none", run, set(".CreateEndpoint", "Interface", "x"), "Interface is no object"},
		{"a long name", run, set(".Join", "InterfaceName", map[string]any{"SrcName": "a23456789012345x", "DstPrefix": "eth"}), "can't be named so"},
		{"one link for all", "20.10/11-connect-disconnect-two-networks", set(".Join", "InterfaceName", map[string]any{"SrcName": "x", "DstPrefix": "eth"}), `link "x" is another endpoint's`},
		{"a gateway on an internal network", internal, set(".Join", "Gateway", "10.99.1.99"), `Gateway is "10.99.1.99", want ""`},
		{"no gateway", run, set(".Join", "Gateway", ""), `Gateway is "", want "10.`},
		{"the host as gateway", internal, set(".Join", "DisableGatewayService", false), "docker_gwbridge"},
		{"host bits in a route", run, set(".Join", "StaticRoutes", []any{map[string]any{"Destination": "10.0.0.1/8", "NextHop": "10.0.0.1"}}), "not the address of a network"},
		{"a default route", run, set(".Join", "StaticRoutes", []any{map[string]any{"Destination": "0.0.0.0/0", "NextHop": "10.0.0.1"}}), "Docker 29 fail the start"},
		{"no next hop", run, set(".Join", "StaticRoutes", []any{map[string]any{"Destination": "10.0.0.0/8"}}), "next hop"},
		{"an error for information", run, set(".EndpointOperInfo", "Err", "boom"), "Docker 20.10 ends the container"},
		{"no value", run, set(".EndpointOperInfo", "Value", nil), "no Value"},
		{"an empty body taken", "29.7/64-retry-empty-body", func(_ string, _, a map[string]any) {
			delete(a, "Err")
			delete(a, "Error")
		}, "an empty body was answered"},
		{"tidying up", "20.10/41-managed-plugin-hang-timeout", set(".Leave", "Err", "boom"), "afterwards"},
	})
}

func TestFindsStatus(t *testing.T) {
	d, s := newDriver(), &spy{TB: t}
	d.status = 500
	load(t, plain).Run(s, d, Checks{})
	if len(s.errors) == 0 || !strings.Contains(s.errors[0], "status 500") {
		t.Errorf("found: %q", s.errors)
	}
}

// TestMayRefuse: what was refused is not asked for again, but taken away.
func TestMayRefuse(t *testing.T) {
	d := newDriver()
	d.spoil = func(method string, _, a map[string]any) {
		if method == "NetworkDriver.CreateNetwork" {
			a["Err"], a["Error"] = "no", "no"
		}
	}
	load(t, "20.10/06-network-create-dualstack").Run(t, d, Checks{MayRefuse: func(c Call) bool { return c.Method == "NetworkDriver.CreateNetwork" }})
	got := strings.Join(d.sent, " ")
	if strings.Contains(got, "CreateEndpoint") || !strings.Contains(got, "ReleasePool") || !strings.Contains(got, "DeleteNetwork") {
		t.Errorf("sent %s", got)
	}
}

// TestFault: a call that failed when it was recorded may fail again, and what
// Docker does then is sent.
func TestFault(t *testing.T) {
	d := newDriver()
	healed := 0
	var before []string
	load(t, "20.10/21-err-run-Join").Run(t, d, Checks{
		Before: func(c Call) { before = append(before, c.Method) },
		Fault: func(c Call) func() {
			d.spoil = func(_ string, _, a map[string]any) { a["Err"], a["Error"] = "no", "no" }
			return func() { d.spoil = nil; healed++ }
		},
	})
	if healed != 1 {
		t.Errorf("%d calls failed when it was recorded", healed)
	}
	if len(before) != len(d.sent)-1 { // the address spaces are asked for first
		t.Errorf("told of %d calls, sent %d", len(before), len(d.sent))
	}
}

func TestLoad(t *testing.T) {
	for name, data := range map[string]string{"v/bad": "{", "v/other": `{"scenario":"x"}`} {
		if _, err := Load(fstest.MapFS{name + ".json": {Data: []byte(data)}}, name); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(Recordings(), "20.10/none"); err == nil {
		t.Error("a scenario that is not there was loaded")
	}
}
