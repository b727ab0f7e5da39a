package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// read returns what our tables hold in the kernel, of whatever day: a change
// that begins from there, and not from nothing, loses no packet. Elements are
// known then; of chains it is known that they are there, and their rules are
// written anew, in place.
func (f *filter) read() (*ruleset, error) {
	found := newRuleset()
	err := f.use(func(conn *nftables.Conn) error {
		for _, family := range []nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyINet} {
			if err := found.read(conn, family); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// read adds what our table of that family holds, if there is one.
func (r *ruleset) read(conn *nftables.Conn, family nftables.TableFamily) error {
	chains, err := conn.ListChainsOfTableFamily(family)
	if err != nil {
		return err
	}
	for _, c := range chains {
		if c.Table.Name != tableName {
			continue
		}
		in := &chain{family: family, found: true, hook: c.Hooknum}
		if c.Priority != nil {
			in.priority = *c.Priority
		}
		r.chains[c.Name] = in
	}
	tables, err := conn.ListTablesOfFamily(family)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.Name != tableName {
			continue
		}
		if err := r.readSets(conn, family); err != nil {
			return err
		}
	}
	return nil
}

func (r *ruleset) readSets(conn *nftables.Conn, family nftables.TableFamily) error {
	sets, err := conn.GetSets(table(family))
	if unknown(err) {
		r.unknown = fmt.Errorf("a set in table %s: %w", tableName, err)
		sets, err = zonesAlone(conn, family)
	}
	if err != nil {
		return err
	}
	for _, s := range sets {
		in := &set{family: family, value: s.DataType, elements: map[string]string{}}
		elements, err := conn.GetSetElements(s)
		if err != nil {
			return err
		}
		for _, e := range elements {
			in.elements[string(e.Key)] = valueOf(e.Val)
		}
		r.sets[s.Name] = in
	}
	return nil
}

// unknown tells whether a table holds a set that the library has no idea of: of
// a type that is new, or of more types than it can hold. It says so only in words.
func unknown(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "could not determine data type")
}

// zonesAlone returns the map of zones, if there is one. With it flows keep their
// zones where the tables are made anew.
func zonesAlone(conn *nftables.Conn, family nftables.TableFamily) ([]*nftables.Set, error) {
	zones, err := conn.GetSetByName(table(family), mapZones)
	switch {
	case errors.Is(err, unix.ENOENT), unknown(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return []*nftables.Set{zones}, nil
}

// becomes reports whether what was found can be changed in place to what is to
// be: what both have is of one kind. What this doesn't see the kernel refuses.
func (r *ruleset) becomes(now *ruleset) bool {
	if r.unknown != nil {
		return false
	}
	for name, c := range r.chains {
		if n := now.chains[name]; n != nil && !c.like(n) {
			return false
		}
	}
	for name, s := range r.sets {
		if n := now.sets[name]; n != nil && (s.family != n.family || (s.value.Bytes == 0) != (n.value.Name == "")) {
			return false
		}
	}
	return true
}

func (c *chain) like(other *chain) bool {
	if c.family != other.family || (c.hook == nil) != (other.hook == nil) {
		return false
	}
	return c.hook == nil || *c.hook == *other.hook && c.priority == other.priority
}

// valueOf returns an element's value as a set has it. The library hands a
// verdict out as the attributes that it is made of.
func valueOf(data []byte) string {
	if len(data) <= int(zoneType.Bytes) {
		return string(data)
	}
	attributes, err := netlink.UnmarshalAttributes(data)
	if err != nil {
		return string(data)
	}
	for _, a := range attributes {
		switch {
		case a.Type == unix.NFTA_VERDICT_CHAIN:
			name, _, _ := strings.Cut(string(a.Data), "\x00")
			return name
		case a.Type != unix.NFTA_VERDICT_CODE || len(a.Data) != 4:
		case expr.VerdictKind(binary.BigEndian.Uint32(a.Data)) == expr.VerdictAccept:
			return accept
		case expr.VerdictKind(binary.BigEndian.Uint32(a.Data)) == expr.VerdictDrop:
			return drop
		}
	}
	return string(data)
}

// zonesIn returns the zones that a ruleset gives, by interface.
func zonesIn(r *ruleset) map[string]uint16 {
	zones := map[string]uint16{}
	if in := r.sets[mapZones]; in != nil {
		for key, value := range in.elements {
			if name, _, _ := strings.Cut(key, "\x00"); len(value) >= 2 {
				zones[name] = binary.NativeEndian.Uint16([]byte(value))
			}
		}
	}
	return zones
}
