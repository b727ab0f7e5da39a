package courier_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/docker"
)

// dockerd speaks the protocol to a courier.
type dockerd struct {
	t *testing.T
	h http.Handler
}

func (d dockerd) call(method, body string) string {
	rec := httptest.NewRecorder()
	d.h.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/"+method, strings.NewReader(body)))
	return strings.TrimSpace(rec.Body.String())
}

func (d dockerd) must(method, body string) map[string]any {
	d.t.Helper()
	text := d.call(method, body)
	var answer map[string]any
	if json.Unmarshal([]byte(text), &answer) != nil || answer["Err"] != nil {
		d.t.Fatalf("%s: %s", method, text)
	}
	return answer
}

const (
	anyNetwork  = "aa11af9a53593ab942557f2832e5a18d08c77a58b7468061441e1b13f2985514"
	anyEndpoint = "bb0bdf5ab09911f678ed956eed50f46ce6f8f83f67d07256de35ceab117f4255"
)

// TestRepeatedCalls makes each call of the protocol twice, and twice at once.
// Both get the same answer, and there is one of everything. RequestPool and
// RequestAddress are not among them: two of them are two requests, and Docker
// has no way to say that it means the same.
func TestRepeatedCalls(t *testing.T) {
	for _, at := range []string{"one after the other", "at once"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			d := dockerd{t, docker.New(w.c, docker.Options{})}
			twice := func(method, body string) {
				t.Helper()
				answers := [2]string{}
				if at == "at once" {
					var wg sync.WaitGroup
					for i := range answers {
						wg.Go(func() { answers[i] = d.call(method, body) })
					}
					wg.Wait()
				} else {
					answers = [2]string{d.call(method, body), d.call(method, body)}
				}
				if answers[0] != answers[1] || strings.Contains(answers[0], `"Err"`) && !strings.Contains(answers[0], `"Err":""`) {
					t.Errorf("%s answers %s, and %s", method, answers[0], answers[1])
				}
			}
			twice("Plugin.Activate", "")
			twice("NetworkDriver.GetCapabilities", "")
			twice("IpamDriver.GetCapabilities", "")
			twice("IpamDriver.GetDefaultAddressSpaces", "")
			pool := d.must("IpamDriver.RequestPool", `{"AddressSpace":"no_address_space","Pool":"10.64.5.0/24"}`)["PoolID"].(string)
			d.must("IpamDriver.RequestAddress", `{"PoolID":"`+pool+`","Options":{"RequestAddressType":"com.docker.network.gateway"}}`)
			twice("NetworkDriver.CreateNetwork", `{"NetworkID":"`+anyNetwork+`","Options":{},"IPv4Data":[{"AddressSpace":"no_address_space","Pool":"10.64.5.0/24","Gateway":"10.64.5.1/24"}],"IPv6Data":[]}`)
			address := d.must("IpamDriver.RequestAddress", `{"PoolID":"`+pool+`"}`)["Address"].(string)
			plain, _, _ := strings.Cut(address, "/")
			ids := `"NetworkID":"` + anyNetwork + `","EndpointID":"` + anyEndpoint + `"`
			twice("NetworkDriver.CreateEndpoint", `{`+ids+`,"Interface":{"Address":"`+address+`"},"Options":{}}`)
			twice("NetworkDriver.Join", `{`+ids+`,"SandboxKey":"/var/run/docker/netns/x","Options":{}}`)
			twice("NetworkDriver.EndpointOperInfo", `{`+ids+`}`)
			twice("NetworkDriver.ProgramExternalConnectivity", `{`+ids+`,"Options":{}}`)
			s := w.c.Status()
			if len(s.Networks) != 1 || len(s.Attachments) != 1 || len(s.Pools) != 1 || len(w.kernel.left()) != 2 {
				t.Errorf("there is more than one of something: %+v", s)
			}
			twice("NetworkDriver.RevokeExternalConnectivity", `{`+ids+`}`)
			twice("NetworkDriver.Leave", `{`+ids+`}`)
			twice("NetworkDriver.DeleteEndpoint", `{`+ids+`}`)
			twice("IpamDriver.ReleaseAddress", `{"PoolID":"`+pool+`","Address":"`+plain+`"}`)
			twice("IpamDriver.ReleasePool", `{"PoolID":"`+pool+`"}`)
			twice("NetworkDriver.DeleteNetwork", `{"NetworkID":"`+anyNetwork+`"}`)
			w.mustEmpty()
		})
	}
}

// TestDeletesDoNotWait: what takes away is answered soon though Neutron is
// silent, whatever it names; and at once if it names what is known.
func TestDeletesDoNotWait(t *testing.T) {
	w := newWorld(t)
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.66.0.0/24"})
	k := mustStart(t, e, n, "e1", "")
	w.breaker.mu.Lock()
	w.breaker.hold = map[string]time.Duration{}
	for _, what := range []string{"list ports", "list networks", "list networks by tags", "list subnets by tags", "list subnets", "list subnets of pool",
		"find network", "find subnet", "find subnetpool", "find port", "delete port", "delete network", "delete subnetpool", "untag networks", "untag subnetpools"} {
		w.breaker.hold[what] = 3 * time.Second
	}
	w.breaker.mu.Unlock()
	const unknown = "7b0bdf5a-b099-4111-b678-ed956eed50f4"
	soon := 2 * time.Second
	quick := func(what string, f func() error) {
		t.Helper()
		start := time.Now()
		if err := f(); err != nil || time.Since(start) > soon {
			t.Errorf("%s: %v after %v", what, err, time.Since(start))
		}
	}
	for _, id := range []struct {
		network  courier.EngineNetworkID
		endpoint courier.EndpointID
		pool     courier.PoolID
		address  string
	}{
		{anyNetwork, anyEndpoint, unknown, "10.67.0.7"}, // perhaps the Python Kuryr's
		{"short", "e9", "no-pool", "10.67.0.8"},         // nobody's
		{n.id, "e9", n.pools[0].id, "10.66.0.99"},
		{n.id, k.endpoint, n.pools[0].id, k.held[0].String()},
	} {
		name := fmt.Sprintf(" of %s %s %s", id.network, id.endpoint, id.pool)
		if id.endpoint == k.endpoint {
			soon = 500 * time.Millisecond
		}
		quick("Conceal"+name, func() error { return w.c.Conceal(ctx, id.network, id.endpoint) })
		quick("Leave"+name, func() error { return w.c.Leave(ctx, id.network, id.endpoint) })
		quick("Detach"+name, func() error { return w.c.Detach(ctx, id.network, id.endpoint) })
		quick("ReleaseAddress"+name, func() error { return w.c.ReleaseAddress(ctx, id.pool, addrOf(id.address)) })
		if id.endpoint == "e9" && id.network == n.id {
			continue
		}
		quick("ReleasePool"+name, func() error { return w.c.ReleasePool(ctx, id.pool) })
		quick("DeleteNetwork"+name, func() error { return w.c.DeleteNetwork(ctx, id.network) })
	}
	w.breaker.mu.Lock()
	w.breaker.hold = nil
	w.breaker.mu.Unlock()
	settled(t, func() string { return strings.Join(w.left(), " ") })
}
