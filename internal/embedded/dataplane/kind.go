package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"kuryr/internal/link"
)

// kind is how the kernel tracks the connections of bridged frames. Both kinds
// of filter are the same but for what tells the state of a packet's flow.
type kind interface {
	// track adds the chain "state", and what puts each network's flows into a
	// zone of their own: two networks may use the same addresses.
	track(r *ruleset, s State, zones map[string]uint16)
	// zonesOf reads the zones of networks' bridges back from the elements of
	// the map "zones".
	zonesOf(elements map[string]uint16, s State) map[string]uint16
	String() string
}

// mapZones is "interface → zone".
const mapZones = "zones"

// Bits of the state of a flow (enum ip_conntrack_info, as nft has it).
const (
	stateInvalid = 1
	stateBelongs = 2 | 4 // established or related
)

// Places in the order of hooks.
const (
	beforeDefrag   = -450 // zones are fixed before fragments are put together, which is done by zone
	beforeTracking = -300
	afterMangle    = -95 // others set marks before
)

func ctState(bits uint32) match {
	one := binary.NativeEndian.AppendUint32(nil, bits)
	return match{
		&expr.Ct{Key: expr.CtKeySTATE, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: one, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: make([]byte, 4)},
	}
}

// setZone puts the packet's flow into the zone of the interface.
func setZone(name expr.MetaKey) match {
	m := match{}.loadMeta(reg, name).value(reg, mapZones)
	return append(m, &expr.Ct{Key: expr.CtKeyZONE, Register: reg, SourceRegister: true})
}

// zoneType is what a map of zones has for values: two bytes, as nft's "ct zone".
var zoneType = nftables.SetDatatype{Name: "integer", Bytes: 2}

func (r *ruleset) base(name string, family nftables.TableFamily, hook *nftables.ChainHook, priority nftables.ChainPriority, rules func() []match) {
	r.chains[name] = &chain{family: family, hook: hook, priority: priority, rules: rules}
}

// bridgeTracking is for kernels with nf_conntrack_bridge: the bridge table
// knows the state itself.
type bridgeTracking struct{}

func (bridgeTracking) String() string { return "nf_conntrack_bridge" }

func (bridgeTracking) track(r *ruleset, s State, zones map[string]uint16) {
	z := r.set(mapZones, nftables.TypeIFName)
	z.value = zoneType
	for _, p := range s.Ports {
		z.elements[name16(p.HostEnd)] = string(binary.NativeEndian.AppendUint16(nil, zones[bridgeOf(p)]))
	}
	r.base("zone", nftables.TableFamilyBridge, nftables.ChainHookPrerouting, beforeTracking, func() []match {
		return []match{setZone(expr.MetaKeyIIFNAME)}
	})
	r.chain(chainState, "", func() []match {
		return []match{ctState(stateBelongs).accept(), ctState(stateInvalid).drop()}
	})
}

func (bridgeTracking) zonesOf(elements map[string]uint16, s State) map[string]uint16 {
	zones := map[string]uint16{}
	for _, p := range s.Ports {
		if z, has := elements[p.HostEnd]; has {
			zones[bridgeOf(p)] = z
		}
	}
	return zones
}

// netfilterTracking is for kernels without: br_netfilter takes bridged IP
// packets through the hooks of inet, where their interface is the bridge. A
// table there writes the state of the flow on the packet's mark, and the
// bridge table, whose interfaces are the ports, reads it.
type netfilterTracking struct{}

func (netfilterTracking) String() string { return "br_netfilter" }

// Bits of the packet's mark. Those of other programs stay as they are.
const (
	markBelongs = 0x04000000
	markInvalid = 0x08000000
	marks       = markBelongs | markInvalid
)

// writeMark clears our bits of the mark, and sets some.
func (m match) writeMark(bits uint32) match {
	keep, set := binary.NativeEndian.AppendUint32(nil, ^uint32(marks)), binary.NativeEndian.AppendUint32(nil, bits)
	return append(m,
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg},
		&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: 4, Mask: keep, Xor: set},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg, SourceRegister: true})
}

func marked(bits uint32) match {
	m := match{}.loadMeta(reg, expr.MetaKeyMARK).mask(reg, binary.NativeEndian.AppendUint32(nil, bits))
	return append(m, &expr.Cmp{Op: expr.CmpOpNeq, Register: reg, Data: make([]byte, 4)})
}

func (netfilterTracking) track(r *ruleset, s State, zones map[string]uint16) {
	z := r.set(mapZones, nftables.TypeIFName)
	z.family, z.value = nftables.TableFamilyINet, zoneType
	for _, p := range s.Ports {
		z.elements[name16(bridgeOf(p))] = string(binary.NativeEndian.AppendUint16(nil, zones[bridgeOf(p)]))
	}
	for _, way := range []struct {
		name string
		hook *nftables.ChainHook
		meta expr.MetaKey
	}{
		{"in", nftables.ChainHookPrerouting, expr.MetaKeyIIFNAME},
		{"out", nftables.ChainHookOutput, expr.MetaKeyOIFNAME}, // what the host itself sends
	} {
		ours := func() match { return match{}.loadMeta(reg, way.meta).value(reg, mapZones) }
		r.base("zone-"+way.name, nftables.TableFamilyINet, way.hook, beforeDefrag, func() []match {
			return []match{setZone(way.meta)}
		})
		r.base("mark-"+way.name, nftables.TableFamilyINet, way.hook, afterMangle, func() []match {
			return []match{
				ours().writeMark(0),
				append(ours(), ctState(stateBelongs)...).writeMark(markBelongs),
				append(ours(), ctState(stateInvalid)...).writeMark(markInvalid),
			}
		})
	}
	r.chain(chainState, "", func() []match {
		return []match{marked(markBelongs).accept(), marked(markInvalid).drop()}
	})
}

func (netfilterTracking) zonesOf(elements map[string]uint16, _ State) map[string]uint16 {
	return elements
}

// bridgeOf is the name of the bridge of the port's network.
func bridgeOf(p Port) string { return "brq" + p.Network[:min(11, len(p.Network))] }

// callSettings make br_netfilter take bridged packets to the hooks of inet;
// they are each namespace's own.
var callSettings = []string{
	"/proc/sys/net/bridge/bridge-nf-call-iptables",
	"/proc/sys/net/bridge/bridge-nf-call-ip6tables",
}

// detect finds out which kind of tracking the kernel has, by trying: a bridge
// table with a rule about a flow's state, in a transaction that takes it away
// again.
func detect(links *link.Links) (kind, error) {
	tried := tryBridgeTracking(links)
	if tried == nil {
		return bridgeTracking{}, nil
	}
	err := links.Do(func() error {
		for _, name := range callSettings {
			if err := os.WriteFile(name, []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return netfilterTracking{}, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the kernel tracks no connections of bridged frames: load its module nf_conntrack_bridge, or br_netfilter (%w)", tried)
	default:
		return nil, fmt.Errorf("cannot let br_netfilter track connections: %w", err)
	}
}

func tryBridgeTracking(links *link.Links) error {
	conn, err := nftables.New(nftables.WithNetNSFd(links.Fd()))
	if err != nil {
		return err
	}
	t := &nftables.Table{Name: tableName + "-trial", Family: nftables.TableFamilyBridge}
	conn.AddTable(t)
	c := conn.AddChain(&nftables.Chain{Name: "trial", Table: t})
	conn.AddRule(&nftables.Rule{Table: t, Chain: c, Exprs: ctState(stateBelongs).accept()})
	conn.DelTable(t)
	return conn.Flush()
}
