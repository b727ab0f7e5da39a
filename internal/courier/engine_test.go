package courier_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"net/http"
	"net/http/httptest"

	"encoding/json"
)

// engine calls the courier in Docker's order and, when a call fails, undoes
// as much, and as little, as Docker does.
type engine struct {
	w        *world
	networks map[courier.EngineNetworkID]*engineNetwork
}

// c is the courier that answers: Docker sends a call again for 15 s when
// nobody listens, long enough for a restart.
func (e *engine) c() *courier.Courier {
	if e.w.breaker.broken() {
		e.w.restart()
	}
	return e.w.c
}

type engineNetwork struct {
	id    courier.EngineNetworkID
	pools []enginePool
}

type enginePool struct {
	id      courier.PoolID
	cidr    netip.Prefix
	gateway netip.Addr
	aux     map[string]netip.Addr
}

type container struct {
	network  *engineNetwork
	endpoint courier.EndpointID
	held     []netip.Addr // by pool index
	mac      courier.MAC
	joined   courier.Joined
}

// poolSpec is what `docker network create` says of one subnet.
type poolSpec struct {
	cidr, ipRange, gateway string
	aux                    map[string]string
	family                 courier.Family
	subnet, subnetPool     courier.Reference // --ipam-opt
	noGateway              bool              // GwAllocCheck: Docker asks for none
}

func prefixOf(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func addrOf(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func (e *engine) networkCreate(ctx context.Context, id string, specs ...poolSpec) (*engineNetwork, error) {
	return e.networkWith(ctx, id, nil, specs...)
}

// networkWith creates a network with options, which edit puts in.
func (e *engine) networkWith(ctx context.Context, id string, edit func(*courier.NetworkRequest), specs ...poolSpec) (*engineNetwork, error) {
	n := &engineNetwork{id: courier.EngineNetworkID(id)}
	for _, s := range specs {
		if s.family == 0 {
			s.family = courier.FamilyOf(netip.MustParsePrefix(s.cidr).Addr())
		}
		p, err := e.c().RequestPool(ctx, courier.PoolRequest{Family: s.family, CIDR: prefixOf(s.cidr), Range: prefixOf(s.ipRange),
			Subnet: s.subnet, SubnetPool: s.subnetPool})
		if err != nil {
			e.releasePools(ctx, n)
			return nil, err
		}
		pool := enginePool{id: p.ID, cidr: p.CIDR, aux: map[string]netip.Addr{}}
		if !s.noGateway {
			gw, err := e.c().RequestAddress(ctx, courier.AddressRequest{Pool: p.ID, Address: addrOf(s.gateway), Gateway: true})
			if err != nil {
				e.c().ReleasePool(ctx, p.ID)
				e.releasePools(ctx, n)
				return nil, err
			}
			pool.gateway = gw.Addr()
		}
		for name, a := range s.aux {
			got, err := e.c().RequestAddress(ctx, courier.AddressRequest{Pool: p.ID, Address: addrOf(a)})
			if err != nil { // the gateway is never released
				e.c().ReleasePool(ctx, p.ID)
				e.releasePools(ctx, n)
				return nil, err
			}
			pool.aux[name] = got.Addr()
		}
		n.pools = append(n.pools, pool)
	}
	r := courier.NetworkRequest{ID: n.id}
	for _, p := range n.pools {
		r.Pools = append(r.Pools, courier.NetworkPool{CIDR: p.cidr, Gateway: p.gateway, Auxiliary: p.aux})
	}
	if edit != nil {
		edit(&r)
	}
	if err := e.c().CreateNetwork(ctx, r); err != nil { // no DeleteNetwork
		e.releasePools(ctx, n)
		return nil, err
	}
	if e.networks == nil {
		e.networks = map[courier.EngineNetworkID]*engineNetwork{}
	}
	e.networks[n.id] = n
	return n, nil
}

func (e *engine) releasePools(ctx context.Context, n *engineNetwork) {
	for _, p := range n.pools {
		if p.gateway.IsValid() {
			e.c().ReleaseAddress(ctx, p.id, p.gateway)
		}
		for _, a := range p.aux {
			e.c().ReleaseAddress(ctx, p.id, a)
		}
		e.c().ReleasePool(ctx, p.id)
	}
}

// networkRemove goes on whatever fails, and forgets.
func (e *engine) networkRemove(ctx context.Context, n *engineNetwork) {
	e.releasePools(ctx, n)
	e.c().DeleteNetwork(ctx, n.id)
	delete(e.networks, n.id)
}

func (e *engine) start(ctx context.Context, n *engineNetwork, endpoint string, mac string, wishes ...string) (*container, error) {
	return e.startWith(ctx, n, endpoint, mac, courier.PortWish{}, wishes...)
}

// startWith starts a container with --driver-opt.
func (e *engine) startWith(ctx context.Context, n *engineNetwork, endpoint, mac string, port courier.PortWish, wishes ...string) (*container, error) {
	k := &container{network: n, endpoint: courier.EndpointID(endpoint)}
	for i, p := range n.pools {
		wish := ""
		if i < len(wishes) {
			wish = wishes[i]
		}
		a, err := e.c().RequestAddress(ctx, courier.AddressRequest{Pool: p.id, Address: addrOf(wish)})
		if err != nil { // nothing is released: an earlier family's address is forgotten
			return nil, err
		}
		if wish != "" && a.Addr() != addrOf(wish) {
			return nil, fmt.Errorf("asked for %s, got %s", wish, a)
		}
		k.held = append(k.held, a.Addr())
	}
	r := courier.AttachRequest{Network: n.id, Endpoint: k.endpoint, Addresses: k.held, Port: port}
	if mac != "" {
		r.MAC, _ = courier.ParseMAC(mac)
	}
	got, err := e.c().Attach(ctx, r)
	if err != nil { // no DeleteEndpoint
		e.releaseAddresses(ctx, k)
		return nil, err
	}
	k.mac = got.MAC
	k.joined, err = e.c().Join(ctx, n.id, k.endpoint)
	if err != nil { // no Leave
		e.c().Detach(ctx, n.id, k.endpoint)
		e.releaseAddresses(ctx, k)
		return nil, err
	}
	return k, nil
}

// expose is what follows Join on the network with the container's way out. It
// waits until the ports are open or, as a rule, something has been broken.
func (e *engine) expose(ctx context.Context, k *container, ports ...courier.PortRange) error {
	if k == nil {
		return nil
	}
	if _, err := e.c().Expose(ctx, k.network.id, k.endpoint, courier.Exposure{Ports: courier.NewPortSet(ports...)}); err != nil {
		e.c().Leave(ctx, k.network.id, k.endpoint)
		e.c().Detach(ctx, k.network.id, k.endpoint)
		e.releaseAddresses(ctx, k)
		return err
	}
	for deadline := time.Now().Add(3 * time.Second); e.w.c.Exposing() > 0 && !e.w.breaker.broken() && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func (e *engine) releaseAddresses(ctx context.Context, k *container) {
	for i, a := range k.held {
		e.c().ReleaseAddress(ctx, k.network.pools[i].id, a)
	}
}

func (e *engine) stop(ctx context.Context, k *container) {
	if k == nil {
		return
	}
	e.c().Conceal(ctx, k.network.id, k.endpoint)
	e.c().Leave(ctx, k.network.id, k.endpoint)
	e.c().Detach(ctx, k.network.id, k.endpoint)
	e.releaseAddresses(ctx, k)
}

// neutronObjects lists what the embedded Neutron holds beyond the default
// subnetpools, and tags left on those.
func neutronObjects(t *testing.T, s *embedded.Server) []string {
	t.Helper()
	var out []string
	for _, kind := range []string{"networks", "subnets", "subnetpools", "ports", "security-groups"} {
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v2.0/"+kind, nil))
		if rec.Code != http.StatusOK {
			t.Fatalf("GET %s: %d %s", kind, rec.Code, rec.Body)
		}
		var body map[string][]struct {
			ID, Name string
			Tags     []string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		for _, o := range body[strings.ReplaceAll(kind, "-", "_")] {
			if kind == "security-groups" && o.Name == "default" {
				continue
			}
			if kind == "subnetpools" && (o.Name == "kuryr" || o.Name == "kuryr6") {
				for _, tag := range o.Tags {
					out = append(out, "tag "+tag+" on subnetpool "+o.Name)
				}
				continue
			}
			out = append(out, kind+" "+o.Name+" "+o.ID)
		}
	}
	return out
}

// dual is `--ipv6 --subnet … --aux-address …` for both families.
func dual(i int) []poolSpec {
	return []poolSpec{
		{cidr: fmt.Sprintf("10.%d.0.0/24", i), aux: map[string]string{"router": fmt.Sprintf("10.%d.0.9", i)}},
		{cidr: fmt.Sprintf("fd00:%d::/64", i)},
	}
}

var (
	web = courier.PortRange{Protocol: courier.TCP, First: 80, Last: 80}
	dns = courier.PortRange{Protocol: courier.UDP, First: 53, Last: 53}
)

// story is a day in the life of an engine. Whatever fails, it goes on as
// Docker would. It returns what the engine still knows at the end: nothing.
func story(ctx context.Context, e *engine) error {
	var failures []error
	note := func(err error) {
		if err != nil {
			failures = append(failures, err)
		}
	}
	a, err := e.networkCreate(ctx, "aaaaaaaaaaaaaaaa", dual(31)...)
	note(err)
	b, err := e.networkCreate(ctx, "bbbbbbbbbbbbbbbb", poolSpec{family: courier.IPv4})
	note(err)
	if a != nil {
		k, err := e.start(ctx, a, "e1", "")
		note(err)
		note(e.expose(ctx, k, web))
		fixed, err := e.start(ctx, a, "e2", "02:00:00:00:00:02", "10.31.0.50", "fd00:31::50")
		note(err)
		e.stop(ctx, fixed)
		again, err := e.start(ctx, a, "e3", "02:00:00:00:00:02", "10.31.0.50", "fd00:31::50")
		note(err)
		e.stop(ctx, k)
		e.stop(ctx, again)
	}
	if b != nil {
		k, err := e.start(ctx, b, "e4", "")
		note(err)
		note(e.expose(ctx, k, web, dns))
		e.stop(ctx, k)
	}
	for _, n := range e.networks {
		e.networkRemove(ctx, n)
	}
	return errors.Join(failures...)
}

func storyWorld(t *testing.T, adjust ...func(*embedded.Options)) (*world, *engine, context.Context) {
	w := newWorld(t, adjust...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return w, &engine{w: w}, ctx
}
