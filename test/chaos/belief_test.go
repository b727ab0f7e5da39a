package chaos

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// belief is what the engine believes that there is: what it was told to be
// done, minus what it was told to be gone. Kuryr owes it that, whatever users
// have asked the engine for.
type belief struct {
	networks  []believedNetwork
	endpoints []believedEndpoint
	// odd is where the engine contradicts itself: a network of it has an endpoint
	// of no container that runs, or the other way round. That is no
	// fault of Kuryr's, and what is there of such an endpoint may be there or not.
	odd []string
}

type believedNetwork struct {
	id, name string
	cidrs    []string
}

type believedEndpoint struct {
	id        string
	network   string // ID
	container string // name
	pid       int    // of the container; 0: none runs that has it
	mac       string
	addresses []netip.Addr
	certain   bool // the network and a running container agree on it
}

// inspected are the answers of the engine's API, as far as they matter here.
type (
	inspectedNetwork struct {
		ID, Name, Driver string
		IPAM             struct{ Config []struct{ Subnet string } }
		Containers       map[string]struct{ Name, EndpointID, MacAddress, IPv4Address, IPv6Address string }
	}
	inspectedContainer struct {
		ID, Name string
		State    struct {
			Running bool
			Pid     int
		}
		NetworkSettings struct {
			Networks map[string]struct{ NetworkID, EndpointID, MacAddress, IPAddress, GlobalIPv6Address string }
		}
	}
)

// believe asks the engine.
func (s *site) believe(ctx context.Context) (b belief, err error) {
	var nets []inspectedNetwork
	if err := s.engine.Get(ctx, "/networks", &nets); err != nil {
		return b, err
	}
	listed := map[string]believedEndpoint{} // by ID, as networks list them
	for _, n := range nets {
		if n.Driver != s.kuryr.Name {
			continue
		}
		// The list says nothing of containers.
		if err := s.engine.Get(ctx, "/networks/"+n.ID, &n); err != nil {
			return b, err
		}
		known := believedNetwork{id: n.ID, name: n.Name}
		for _, c := range n.IPAM.Config {
			known.cidrs = append(known.cidrs, c.Subnet)
		}
		b.networks = append(b.networks, known)
		for _, e := range n.Containers {
			listed[e.EndpointID] = believedEndpoint{id: e.EndpointID, network: n.ID, container: e.Name, mac: e.MacAddress,
				addresses: parse(withoutLength(e.IPv4Address), withoutLength(e.IPv6Address))}
		}
	}
	if err := s.askContainers(ctx, &b, listed); err != nil {
		return b, err
	}
	for _, e := range listed {
		b.endpoints = append(b.endpoints, e)
		b.odd = append(b.odd, fmt.Sprintf("network %.12s has the endpoint %.12s of %s, which no running container has", e.network, e.id, e.container))
	}
	slices.SortFunc(b.endpoints, func(a, b believedEndpoint) int { return cmp.Compare(a.id, b.id) })
	return b, nil
}

// askContainers adds the endpoints that running containers have, and takes from
// listed those that are there too.
func (s *site) askContainers(ctx context.Context, b *belief, listed map[string]believedEndpoint) error {
	var all []struct{ ID string }
	if err := s.engine.Get(ctx, "/containers/json", &all); err != nil {
		return err
	}
	for _, a := range all {
		var c inspectedContainer
		if err := s.engine.Get(ctx, "/containers/"+a.ID+"/json", &c); err != nil {
			return err
		}
		if !c.State.Running {
			continue
		}
		for _, n := range c.NetworkSettings.Networks {
			if n.EndpointID == "" {
				continue // the container wishes it, and has it not
			}
			e := believedEndpoint{id: n.EndpointID, network: n.NetworkID, container: strings.TrimPrefix(c.Name, "/"), pid: c.State.Pid,
				mac: n.MacAddress, addresses: parse(n.IPAddress, n.GlobalIPv6Address)}
			_, e.certain = listed[e.id]
			if !e.certain {
				b.odd = append(b.odd, fmt.Sprintf("%s has the endpoint %.12s, which network %.12s does not have", e.container, e.id, e.network))
			}
			if severed, err := s.severed(ctx, e); err != nil {
				return err
			} else if severed {
				e.certain = false
				b.odd = append(b.odd, fmt.Sprintf("%s was about to lose the endpoint %.12s, and has no interface of it any more", e.container, e.id))
			}
			delete(listed, e.id)
			b.endpoints = append(b.endpoints, e)
		}
	}
	return nil
}

// severed tells whether the engine was killed after it had taken an endpoint's
// interface from its container, and before it had written that down. It believes
// in the endpoint still; Kuryr was told that it is left, and the kernel shows it.
func (s *site) severed(ctx context.Context, e believedEndpoint) (bool, error) {
	if _, doubtful := s.doubts.Load(e.id); !doubtful {
		return false, nil
	}
	links, err := s.lookInside(ctx, e.pid)
	return err == nil && !slices.ContainsFunc(links, func(l insideLink) bool { return l.MAC == e.mac }), err
}

func withoutLength(prefix string) string {
	address, _, _ := strings.Cut(prefix, "/")
	return address
}

// parse returns the addresses among the texts, sorted.
func parse(texts ...string) (all []netip.Addr) {
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// on returns the endpoints of a network that are certain.
func (b belief) on(network string) (all []believedEndpoint) {
	for _, e := range b.endpoints {
		if e.network == network && e.certain {
			all = append(all, e)
		}
	}
	return all
}
