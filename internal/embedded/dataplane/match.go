package dataplane

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables/expr"
)

// Registers are 4 bytes each (NFT_REG32_00 is number 8). A key of several
// fields lies in successive registers from reg on.
const reg = 8

// Ethertypes and protocols that the filter knows.
const (
	typeARP, typeIPv4, typeIPv6 = 0x0806, 0x0800, 0x86dd
	protoICMP, protoUDP         = 1, 17
	protoICMPv6                 = 58
)

// match is a rule under construction: conditions, each of which must hold, and
// what is done then.
type match []expr.Any

// load puts n bytes of the packet into registers from r on.
func (m match) load(r uint32, base expr.PayloadBase, offset, n int) match {
	return append(m, &expr.Payload{DestRegister: r, Base: base, Offset: uint32(offset), Len: uint32(n)})
}

// loadMeta puts what the kernel knows of the packet into registers from r on.
func (m match) loadMeta(r uint32, key expr.MetaKey) match {
	return append(m, &expr.Meta{Key: key, Register: r})
}

// mask keeps the bits of mask of what is in registers from r on.
func (m match) mask(r uint32, mask []byte) match {
	return append(m, &expr.Bitwise{SourceRegister: r, DestRegister: r, Len: uint32(len(mask)), Mask: mask, Xor: make([]byte, len(mask))})
}

// is holds when the packet has those bytes there.
func (m match) is(base expr.PayloadBase, offset int, want ...byte) match {
	m = m.load(reg, base, offset, len(want))
	return append(m, &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: want})
}

func (m match) link(offset int, want ...byte) match {
	return m.is(expr.PayloadBaseLLHeader, offset, want...)
}

func (m match) net(offset int, want ...byte) match {
	return m.is(expr.PayloadBaseNetworkHeader, offset, want...)
}

func (m match) transport(offset int, want ...byte) match {
	return m.is(expr.PayloadBaseTransportHeader, offset, want...)
}

// ether holds for frames of that type. It looks into the frame: one with a
// VLAN's tag is of none of our types, though the kernel may have put the tag
// aside.
func (m match) ether(kind uint16) match {
	return m.link(12, binary.BigEndian.AppendUint16(nil, kind)...)
}

func (m match) proto(number byte) match {
	m = m.loadMeta(reg, expr.MetaKeyL4PROTO)
	return append(m, &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: []byte{number}})
}

// ports holds for those source and destination ports.
func (m match) ports(source, destination uint16) match {
	return m.transport(0, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, source), destination)...)
}

// group holds for interfaces whose group is that under the mask.
func (m match) group(key expr.MetaKey, group, mask uint32) match {
	m = m.loadMeta(reg, key).mask(reg, binary.NativeEndian.AppendUint32(nil, mask))
	return append(m, &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: binary.NativeEndian.AppendUint32(nil, group)})
}

// in holds when the key that lies from reg on is in the set.
func (m match) in(set string) match {
	return append(m, &expr.Lookup{SourceRegister: reg, SetName: set})
}

// mapped gives the verdict that the map has for the key from reg on, if any.
func (m match) mapped(name string) match {
	return append(m, &expr.Lookup{SourceRegister: reg, SetName: name, IsDestRegSet: true}) // register 0: the verdict
}

// value puts into r what the map has for the key from reg on; nothing holds
// for a key that it hasn't.
func (m match) value(r uint32, name string) match {
	return append(m, &expr.Lookup{SourceRegister: reg, SetName: name, IsDestRegSet: true, DestRegister: r})
}

func (m match) accept() match { return append(m, &expr.Verdict{Kind: expr.VerdictAccept}) }
func (m match) drop() match   { return append(m, &expr.Verdict{Kind: expr.VerdictDrop}) }

func (m match) jump(chain string) match {
	return append(m, &expr.Verdict{Kind: expr.VerdictJump, Chain: chain})
}

func (m match) gotoChain(chain string) match {
	return append(m, &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain})
}

// sender loads the key of the sets of senders: the tap, a MAC at a place of
// the frame, and the part of an address that the sets' prefix length covers.
func (m match) sender(mac place, address place, bits int) match {
	m = m.senderMAC(mac).load(reg+6, address.base, address.offset, address.length)
	if bits < address.length*8 {
		m = m.mask(reg+6, prefixMask(bits, address.length))
	}
	return m
}

// senderMAC loads the key of the set of MACs.
func (m match) senderMAC(mac place) match {
	return m.loadMeta(reg, expr.MetaKeyIIFNAME).load(reg+4, mac.base, mac.offset, mac.length)
}

// place is where a field lies in a packet; offset and length in bytes.
type place struct {
	base           expr.PayloadBase
	offset, length int
}

// prefixMask has the first bits of length bytes set.
func prefixMask(bits, length int) []byte {
	mask := make([]byte, length)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return mask
}

// name16 is an interface's name as the kernel's register has it.
func name16(name string) string {
	var b [16]byte
	copy(b[:15], name)
	return string(b[:])
}

// pad fills a field up to whole registers, as keys of several fields have it.
func pad(b []byte) string {
	return string(append(b[:len(b):len(b)], make([]byte, (4-len(b)%4)%4)...))
}

// network is the address part of a set's element: the prefix's own bits.
func network(p netip.Prefix) string { return string(p.Masked().Addr().AsSlice()) }
