package docker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"kuryr/internal/testkit"
)

// The words that the tests are written in: networks and containers.

// network is a Docker network of Kuryr's.
type network struct {
	h    *host
	name string
	id   string // Docker's
}

// network creates one, with Kuryr as driver and as IPAM driver.
func (h *host) network(name string, flags ...string) network {
	h.t.Helper()
	return network{h: h, name: name, id: h.docker(h.networkArgs(name, flags...)...)}
}

func (h *host) networkArgs(name string, flags ...string) []string {
	args := []string{"network", "create", "--driver", h.kuryr.Name, "--ipam-driver", h.kuryr.Name}
	return append(append(args, flags...), name)
}

// remove removes the network, as docker network rm does.
func (n network) remove() {
	n.h.t.Helper()
	n.h.docker("network", "rm", n.name)
}

// neutron returns the ID of the Neutron network behind it.
func (n network) neutron() string {
	n.h.t.Helper()
	s, err := n.h.kuryr.Status(n.h.t.Context())
	if err != nil {
		n.h.t.Fatal(err)
	}
	for _, have := range s.Courier.Networks {
		if have.Docker == n.id {
			return have.Neutron
		}
	}
	n.h.t.Fatalf("kuryr status does not name the network %s (%.12s): %+v", n.name, n.id, s.Courier.Networks)
	return ""
}

// subnets returns the Neutron subnets behind it, by CIDR.
func (n network) subnets() map[string]testkit.Subnet {
	n.h.t.Helper()
	all, err := n.h.kuryr.Neutron.Subnets(n.h.t.Context(), n.neutron())
	if err != nil {
		n.h.t.Fatal(err)
	}
	byCIDR := map[string]testkit.Subnet{}
	for _, s := range all {
		byCIDR[s.CIDR] = s
	}
	return byCIDR
}

// cidrs returns the network's CIDRs as Docker has them.
func (n network) cidrs() []netip.Prefix {
	n.h.t.Helper()
	doc := get[struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}](n.h, "/networks/"+n.name)
	var all []netip.Prefix
	for _, c := range doc.IPAM.Config {
		p, err := netip.ParsePrefix(c.Subnet)
		if err != nil {
			n.h.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// allPorts returns the Neutron ports on it.
func (n network) allPorts() []testkit.Port {
	n.h.t.Helper()
	all, err := n.h.kuryr.Neutron.Ports(n.h.t.Context(), n.neutron())
	if err != nil {
		n.h.t.Fatal(err)
	}
	return all
}

// ports returns the Neutron ports on it that containers have, or had; not those
// that this host keeps ready, of which some may be about to be made.
func (n network) ports() []testkit.Port {
	n.h.t.Helper()
	all := n.allPorts()
	s, err := n.h.kuryr.Status(n.h.t.Context())
	if err != nil {
		n.h.t.Fatal(err)
	}
	pooled, taken := s.Pooled(), s.Taken()
	return slices.DeleteFunc(all, func(p testkit.Port) bool {
		nobodys := p.DeviceID == "" && !taken[p.ID] // Neutron is told a second after a start
		return pooled[p.ID] || nobodys && strings.HasPrefix(p.Description, "kuryr:")
	})
}

// port returns the Neutron port on it that has an address.
func (n network) port(address string) testkit.Port {
	n.h.t.Helper()
	all := n.allPorts()
	for _, p := range all {
		for _, f := range p.FixedIPs {
			if f.Address == address {
				return p
			}
		}
	}
	n.h.t.Fatalf("no port of %s has the address %s: %+v", n.name, address, all)
	return testkit.Port{}
}

// container is a running container of the test's image.
type container struct {
	h    *host
	name string
}

// run runs a container that stays. flags name its network, if any.
func (h *host) run(name string, flags ...string) container {
	h.t.Helper()
	h.docker(h.runArgs(name, flags...)...)
	return container{h: h, name: name}
}

func (h *host) runArgs(name string, flags ...string) []string {
	return append(append([]string{"run", "--detach", "--name", name}, flags...), testkit.Image)
}

// runOn runs a container on a network.
func (n network) run(name string, flags ...string) container {
	n.h.t.Helper()
	return n.h.run(name, append([]string{"--network", n.name}, flags...)...)
}

// state is the container's, as the engine knows it.
func (c container) state() (pid int, running bool) {
	c.h.t.Helper()
	doc := get[struct {
		State struct {
			Pid     int
			Running bool
		}
	}](c.h, "/containers/"+c.name+"/json")
	return doc.State.Pid, doc.State.Running
}

// inside runs a command of the machine's in the container's network namespace.
func (c container) inside(args ...string) (string, error) {
	c.h.t.Helper()
	pid, _ := c.state()
	return c.h.machine.Output(c.h.t.Context(), "nsenter", append([]string{"--target", strconv.Itoa(pid), "--net"}, args...)...)
}

// remove removes the container by force.
func (c container) remove() {
	c.h.t.Helper()
	c.h.docker("rm", "--force", c.name)
}

// nic is one interface of a container, as the kernel has it.
type nic struct {
	Name      string
	MAC       string
	MTU       int
	Addresses []netip.Prefix // without link-local ones
}

// nics returns the container's interfaces but loopback, in the kernel's order.
func (c container) nics() []nic {
	c.h.t.Helper()
	out, err := c.inside("ip", "-j", "address", "show")
	if err != nil {
		c.h.t.Fatal(err)
	}
	var links []struct {
		Ifname  string `json:"ifname"`
		Address string `json:"address"`
		MTU     int    `json:"mtu"`
		Infos   []struct {
			Local  string `json:"local"`
			Length int    `json:"prefixlen"`
			Scope  string `json:"scope"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(out), &links); err != nil {
		c.h.t.Fatal(err)
	}
	var all []nic
	for _, l := range links {
		if l.Ifname == "lo" {
			continue
		}
		n := nic{Name: l.Ifname, MAC: l.Address, MTU: l.MTU}
		for _, a := range l.Infos {
			if a.Scope != "link" {
				n.Addresses = append(n.Addresses, netip.MustParsePrefix(fmt.Sprintf("%s/%d", a.Local, a.Length)))
			}
		}
		all = append(all, n)
	}
	return all
}

// nic returns the container's only interface.
func (c container) nic() nic {
	c.h.t.Helper()
	all := c.nics()
	if len(all) != 1 {
		c.h.t.Fatalf("%s has %d interfaces, want one: %+v", c.name, len(all), all)
	}
	return all[0]
}

// address returns the address of the container on its only interface.
func (c container) address(v6 bool) netip.Addr {
	c.h.t.Helper()
	n := c.nic()
	for _, a := range n.Addresses {
		if a.Addr().Is6() == v6 {
			return a.Addr()
		}
	}
	c.h.t.Fatalf("%s has no such address: %+v", c.name, n)
	return netip.Addr{}
}

// ip4 returns the container's IPv4 address on its only interface.
func (c container) ip4() string { c.h.t.Helper(); return c.address(false).String() }

// ip6 returns the container's IPv6 address on its only interface.
func (c container) ip6() string { c.h.t.Helper(); return c.address(true).String() }

// routes returns the container's routes of one family, in the words of `ip
// route`, without those that every interface has.
func (c container) routes(family string) []string {
	c.h.t.Helper()
	out, err := c.inside("ip", family, "route", "show")
	if err != nil {
		c.h.t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(out) {
		line = strings.Join(strings.Fields(line), " ")
		if !strings.HasPrefix(line, "fe80::/64 ") {
			all = append(all, line)
		}
	}
	slices.Sort(all)
	return all
}

// reaches checks that the container gets answers from an address. The first
// packets may be lost: an IPv6 address is not used before duplicate detection.
func (c container) reaches(address string) {
	c.h.t.Helper()
	deadline := time.Now().Add(settles)
	for {
		_, err := c.inside("ping", "-c", "1", "-W", "1", address)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.h.t.Errorf("%s does not reach %s: %v", c.name, address, err)
			return
		}
	}
}

// isCutOff checks that the container gets no answer from an address.
func (c container) isCutOff(address string) {
	c.h.t.Helper()
	if out, err := c.inside("ping", "-c", "2", "-i", "0.2", "-W", "1", address); err == nil {
		c.h.t.Errorf("%s reaches %s, and must not:\n%s", c.name, address, out)
	}
}
