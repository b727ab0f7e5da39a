package docker

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"kuryr/internal/courier"
)

// Bounds of an MTU, in bytes: what every IPv4 link must carry (RFC 791), what
// every IPv6 link must (RFC 8200), and the most that an IP packet has.
const (
	minMTU     = 68
	minMTUIPv6 = 1280
	maxMTU     = 65535
)

// networkOptions are what CreateNetwork's options say.
type networkOptions struct {
	internal   bool
	enableIPv6 bool
	mtu        int // bytes; 0: not given
	neutron    neutron
}

// networkOptions reads the options of CreateNetwork and GwAllocCheck. hasIPv6
// tells of a pool of that family.
func (s *server) networkOptions(o options, hasIPv6 bool) (networkOptions, error) {
	var out networkOptions
	var enableIPv4 bool
	if err := errors.Join(o.bool(optInternal, &out.internal), o.bool(optEnableIPv6, &out.enableIPv6), o.bool(optEnableIPv4, &enableIPv4)); err != nil {
		return out, err
	}
	var driver map[string]string
	if raw, ok := o[optGeneric]; ok {
		if err := json.Unmarshal(raw, &driver); err != nil {
			return out, invalid("option %s is not a map of strings", optGeneric)
		}
	}
	noteUnknown(s.noted, o, optGeneric, optInternal, optEnableIPv6, optEnableIPv4)
	var err error
	out.neutron, out.mtu, err = s.driverOptions(driver, hasIPv6 || out.enableIPv6)
	return out, err
}

// driverOptions checks what the user gave with -o, and returns what is
// Neutron's business, and the MTU.
func (s *server) driverOptions(o map[string]string, hasIPv6 bool) (n neutron, mtu int, err error) {
	if n, err = s.neutronOptions(o, onNetwork); err != nil {
		return nil, 0, err
	}
	if err := n.network(&courier.NetworkRequest{}); err != nil {
		return nil, 0, err
	}
	noteUnknown(s.noted, o, optMTU)
	for _, option := range []string{optMTU, optNetMTU} {
		text, given := o[option]
		if !given {
			continue
		}
		v, err := parseMTU(option, text, hasIPv6)
		if err != nil {
			return nil, 0, err
		}
		if mtu != 0 && mtu != v {
			return nil, 0, invalid("options %s and %s differ", optMTU, optNetMTU).hinted("give one of them")
		}
		mtu = v
	}
	return n, mtu, nil
}

func parseMTU(option, text string, hasIPv6 bool) (int, error) {
	least := minMTU
	if hasIPv6 {
		least = minMTUIPv6
	}
	mtu, err := strconv.Atoi(text)
	if err != nil || mtu < least || mtu > maxMTU {
		f := invalid("option %s is %.60q, not a number of bytes from %d to %d", option, text, least, maxMTU)
		if err == nil && mtu >= minMTU && mtu < minMTUIPv6 {
			f.hinted("IPv6 needs %d", minMTUIPv6)
		}
		return 0, f
	}
	return mtu, nil
}

// endpointOptions are what CreateEndpoint's options say.
type endpointOptions struct {
	mac       courier.MAC
	published int // ports
	port      courier.PortWish
}

func (s *server) endpointOptions(o options) (endpointOptions, error) {
	var out endpointOptions
	texts, err := o.neutronTexts()
	if err != nil {
		return out, err
	}
	n, err := s.neutronOptions(texts, onEndpoint)
	if err != nil {
		return out, err
	}
	if out.port, err = n.port(); err != nil {
		return out, err
	}
	noteUnknown(s.noted, o, optExposed, optPortMap, optMAC, optDNS, optIfName, optSysctls, optGeneric, optNo6to4)
	published, err := o.published()
	if err != nil {
		return out, err
	}
	out.published = len(published)
	out.mac, err = o.mac()
	return out, err
}

// bool reads a truth value into to; one that is absent leaves it alone.
func (o options) bool(key string, to *bool) error {
	raw, ok := o[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, to); err == nil {
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err == nil {
		if v, err := strconv.ParseBool(text); err == nil {
			*to = v
			return nil
		}
	}
	return invalid("option %s is neither true nor false", key)
}

// published reads the ports that the user asked to publish on the host.
func (o options) published() ([]publishedPort, error) {
	raw, ok := o[optPortMap]
	if !ok {
		return nil, nil
	}
	var ports []publishedPort
	if err := json.Unmarshal(raw, &ports); err != nil {
		return nil, invalid("option %s is not a list of ports", optPortMap)
	}
	return ports, nil
}

// forwardings are those of the ports that a floating IP can forward: the user
// has chosen the host's port, and no address of the host's.
func forwardings(ports []publishedPort) []courier.Forwarding {
	var all []courier.Forwarding
	for _, p := range ports {
		f := courier.Forwarding{Protocol: courier.Protocol(p.Proto), External: p.HostPort, Internal: p.Port}
		host, err := netip.ParseAddr(p.HostIP)
		anywhere := p.HostIP == "" || err == nil && host.IsUnspecified()
		chosen := p.HostPort > 0 && (p.HostPortEnd == 0 || p.HostPortEnd == p.HostPort)
		if anywhere && chosen && f.Protocol.Known() && p.Port > 0 && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// exposed reads the container's exposed ports, the published ones among them.
func (o options) exposed() (courier.PortSet, error) {
	raw, ok := o[optExposed]
	if !ok {
		return nil, nil
	}
	var ports []exposedPort
	if err := json.Unmarshal(raw, &ports); err != nil {
		return nil, invalid("option %s is not a list of ports", optExposed)
	}
	ranges := make([]courier.PortRange, len(ports))
	for i, p := range ports {
		ranges[i] = courier.PortRange{Protocol: courier.Protocol(p.Proto), First: p.Port, Last: p.Port}
		if !ranges[i].Protocol.Known() {
			return nil, invalid("option %s has ports of IP protocol %d, not of tcp, udp or sctp", optExposed, p.Proto)
		}
		if p.Port == 0 {
			return nil, invalid("option %s has a port 0", optExposed)
		}
	}
	return courier.NewPortSet(ranges...), nil
}

// mac reads the MAC that the user chose, the six bytes in base64, as Go's JSON
// writes a net.HardwareAddr. Docker has it in the interface as well.
func (o options) mac() (courier.MAC, error) {
	raw, ok := o[optMAC]
	if !ok {
		return courier.MAC{}, nil
	}
	var text string
	err := json.Unmarshal(raw, &text)
	if err == nil && text == "" {
		return courier.MAC{}, nil
	}
	b, err64 := base64.StdEncoding.DecodeString(text)
	if err != nil || err64 != nil || len(b) != len(courier.MAC{}) {
		return courier.MAC{}, invalid("option %s is not a MAC address in base64", optMAC)
	}
	return parseMAC(courier.MAC(b).String())
}

// neutronTexts returns the options of neutronPrefix, which are text.
func (o options) neutronTexts() (map[string]string, error) {
	out := map[string]string{}
	for name, raw := range o {
		if !strings.HasPrefix(name, neutronPrefix) {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, invalid("option %.60s is not text", name)
		}
		out[name] = text
	}
	return out, nil
}

// maxNotes bounds how many names of unknown options are remembered: they come
// from users.
const maxNotes = 256

// notes logs the name of each unknown option once; its value may be a secret.
type notes struct {
	log *slog.Logger

	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

func newNotes(log *slog.Logger) *notes { return &notes{log: log, seen: map[string]bool{}} }

// noteUnknown logs the names of o that are not among the known ones.
func noteUnknown[V any](n *notes, o map[string]V, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(known, name) && !strings.HasPrefix(name, neutronPrefix) && n.first(cut(name)) {
			n.log.Info("ignored an option that has no meaning here", keyOption, cut(name))
		}
	}
}

func (n *notes) first(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.seen[name] || len(n.seen) >= maxNotes {
		return false
	}
	n.seen[name] = true
	return true
}
