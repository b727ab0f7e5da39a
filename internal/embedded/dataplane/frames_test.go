package dataplane_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Frames are built by hand, so that they can lie.

type mac = [6]byte

var broadcast = mac{255, 255, 255, 255, 255, 255}

func eth(to, from mac, kind uint16, payload []byte) []byte {
	return slices.Concat(to[:], from[:], u16(kind), payload)
}

func u16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

func sum(parts ...[]byte) uint16 {
	var s uint32
	b := slices.Concat(parts...)
	if len(b)%2 == 1 {
		b = append(b, 0)
	}
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// packet is IPv4 or IPv6, as the addresses are.
func packet(from, to netip.Addr, proto byte, payload []byte) []byte {
	if from.Is4() {
		h := slices.Concat([]byte{0x45, 0}, u16(uint16(20+len(payload))), []byte{0, 0, 0, 0, 64, proto, 0, 0}, from.AsSlice(), to.AsSlice())
		copy(h[10:], u16(sum(h)))
		return append(h, payload...)
	}
	hops := byte(64)
	if proto == 58 {
		hops = 255
	}
	return slices.Concat([]byte{0x60, 0, 0, 0}, u16(uint16(len(payload))), []byte{proto, hops}, from.AsSlice(), to.AsSlice(), payload)
}

// checked writes the checksum of an upper layer, which lies at offset.
func checked(from, to netip.Addr, proto byte, payload []byte, offset int) []byte {
	pseudo := slices.Concat(from.AsSlice(), to.AsSlice(), []byte{0, 0}, u16(uint16(len(payload))), []byte{0, 0, 0, proto})
	copy(payload[offset:], u16(sum(pseudo, payload)))
	return payload
}

func udp(from, to netip.AddrPort) []byte {
	p := slices.Concat(u16(from.Port()), u16(to.Port()), u16(12), []byte{0, 0}, []byte("ping"))
	return packet(from.Addr(), to.Addr(), 17, checked(from.Addr(), to.Addr(), 17, p, 6))
}

const syn, ack = 2, 16

func tcp(from, to netip.AddrPort, flags byte) []byte {
	p := slices.Concat(u16(from.Port()), u16(to.Port()), make([]byte, 8), []byte{0x50, flags}, u16(1000), make([]byte, 4))
	return packet(from.Addr(), to.Addr(), 6, checked(from.Addr(), to.Addr(), 6, p, 16))
}

func icmp(from, to netip.Addr, kind, code byte) []byte {
	p := []byte{kind, code, 0, 0, 0, 1, 0, 1, 'p', 'i', 'n', 'g'}
	if from.Is6() {
		return packet(from, to, 58, checked(from, to, 58, p, 2))
	}
	copy(p[2:], u16(sum(p)))
	return packet(from, to, 1, p)
}

// icmp6 is an ICMPv6 message with a body of its own.
func icmp6(from, to netip.Addr, kind byte, body ...[]byte) []byte {
	p := slices.Concat(append([][]byte{{kind, 0, 0, 0}}, body...)...)
	return packet(from, to, 58, checked(from, to, 58, p, 2))
}

// option is a link-layer address option of neighbour discovery.
func option(kind byte, m mac) []byte { return append([]byte{kind, 1}, m[:]...) }

func arp(op uint16, senderMAC mac, sender netip.Addr, target netip.Addr) []byte {
	return slices.Concat([]byte{0, 1, 8, 0, 6, 4}, u16(op), senderMAC[:], sender.AsSlice(), make([]byte, 6), target.AsSlice())
}
