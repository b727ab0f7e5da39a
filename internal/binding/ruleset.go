package binding

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// ruleset is the tables of iptables-nft, which is what `iptables` is on all
// current distributions. It is changed through the library; it is read without,
// since that gives up on, or loses, what it does not know in others' rules.
//
// Both connections stay open: as the kernel closes one, it waits for what it has
// still to free, with the lock on tables held that the removal of an interface
// needs (Linux 6.18, nft_rcv_nl_event).
type ruleset struct {
	netns   int // descriptor of the namespace
	conn    *netlink.Conn
	changes *nftables.Conn
}

// families are where DOCKER-USER may be; Docker keeps that of IPv6 only when
// told to (ip6tables, the default since 27).
var families = [...]nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6}

// answerTimeout bounds the wait for the kernel's answers.
const answerTimeout = 5 * time.Second

// apply brings the chains of each family to what is wanted, in one transaction.
func (r *ruleset) apply(ctx context.Context, wanted map[string]bool, stale func(string) bool) error {
	return r.try(ctx, func() error { return r.applyOnce(wanted, stale) })
}

// all returns the rules of both chains of each family; if it fails, those that it has read.
func (r *ruleset) all(ctx context.Context) (all []rule, err error) {
	err = r.try(ctx, func() error {
		all = nil
		for _, family := range families {
			user, forward, _, err := r.chains(family)
			if err != nil {
				return err
			}
			all = append(append(all, user...), forward...)
		}
		return nil
	})
	return all, err
}

// try has once done with open connections, again if the ruleset changed meanwhile.
func (r *ruleset) try(ctx context.Context, once func() error) error {
	const tries = 5 // dockerd may change the chain between the look and the change
	var err error
	for range tries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err = r.open(); err != nil {
			err = fmt.Errorf("cannot read chain %s: %w", dockerUser, err)
		} else if err = once(); err == nil {
			return nil
		}
		r.close() // there may be messages that were not sent, and answers that nobody has read
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, errChanging) {
			return err
		}
	}
	return err
}

func (r *ruleset) applyOnce(wanted map[string]bool, stale func(string) bool) error {
	changes := 0
	for _, family := range families {
		user, forward, exists, err := r.chains(family)
		if err != nil {
			return err
		}
		if !exists {
			continue
		}
		inUser, inForward, err := planBoth(user, forward, wanted, stale, func() (bool, error) { return r.judged(family) })
		if err != nil {
			return err
		}
		changes += inUser.changes() + inForward.changes()
		if err := errors.Join(r.write(family, inUser), r.writeJumps(family, inForward, forward)); err != nil {
			return err
		}
	}
	if changes == 0 {
		return nil
	}
	crash.Before(crash.BindingRules)
	err := r.changes.Flush()
	crash.After(crash.BindingRules)
	if err != nil {
		return fmt.Errorf("cannot change chains %s and %s: %w", dockerUser, forwardChain, err)
	}
	return nil
}

// write adds the changes of DOCKER-USER to the transaction.
func (r *ruleset) write(family nftables.TableFamily, p plan) error {
	if err := r.remove(family, dockerUser, p.remove); err != nil {
		return err
	}
	for _, bridge := range p.insert {
		r.changes.InsertRule(newRule(family, dockerUser, bridge, expr.Verdict{Kind: expr.VerdictAccept}))
	}
	return nil
}

// writeJumps adds the changes of FORWARD to the transaction. If Docker's jump has
// been moved since, the kernel knows its handle no more, and all is looked at again.
func (r *ruleset) writeJumps(family nftables.TableFamily, p plan, forward []rule) error {
	if err := r.remove(family, forwardChain, p.remove); err != nil {
		return err
	}
	for _, bridge := range p.insert {
		jump := newRule(family, forwardChain, bridge, expr.Verdict{Kind: expr.VerdictJump, Chain: dockerUser})
		jump.Position = forward[p.jump].handle
		r.changes.AddRule(jump)
	}
	return nil
}

func (r *ruleset) remove(family nftables.TableFamily, chain string, rules []rule) error {
	table := &nftables.Table{Name: "filter", Family: family}
	for _, old := range rules {
		if err := r.changes.DelRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Name: chain, Table: table}, Handle: old.handle}); err != nil {
			return err
		}
	}
	return nil
}

// newRule is a rule as iptables-nft writes it, so that it can read it: an
// interface's name with its NUL (without it, it is a prefix), the counter before
// the verdict, the comment as user data.
func newRule(family nftables.TableFamily, chain, bridge string, verdict expr.Verdict) *nftables.Rule {
	table := &nftables.Table{Name: "filter", Family: family}
	name := append([]byte(bridge), 0)
	return &nftables.Rule{
		Table: table, Chain: &nftables.Chain{Name: chain, Table: table},
		Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Counter{},
			&verdict,
		},
		UserData: userdata.AppendString(nil, userdata.TypeComment, courier.MarkPrefix+bridge),
	}
}

// errChanging tells that the ruleset changed while it was read.
var errChanging = errors.New("the ruleset kept changing")

// chains returns the rules of DOCKER-USER and FORWARD, and whether there is a
// DOCKER-USER: if not, nothing jumps there either.
func (r *ruleset) chains(family nftables.TableFamily) (user, forward []rule, exists bool, err error) {
	user, exists, err = r.read(family)
	if err != nil {
		return nil, nil, false, fmt.Errorf("cannot read chain %s: %w", dockerUser, err)
	}
	if !exists {
		return nil, nil, false, nil
	}
	forward, err = r.rules(family, forwardChain)
	if err != nil {
		return nil, nil, false, fmt.Errorf("cannot read chain %s: %w", forwardChain, err)
	}
	return user, forward, true, nil
}

// read returns the rules of DOCKER-USER, and whether there is such a chain.
func (r *ruleset) read(family nftables.TableFamily) (rules []rule, exists bool, err error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, false, err
	}
	_, err = r.ask(family, unix.NFT_MSG_GETCHAIN, 0, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, dockerUser)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, false, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return nil, false, nil // a kernel without nf_tables, or without this family
	case err != nil:
		return nil, false, err
	}
	rules, err = r.rules(family, dockerUser)
	return rules, err == nil, err
}

// rules returns those of a chain; none if there is no such chain.
func (r *ruleset) rules(family nftables.TableFamily, chain string) (rules []rule, err error) {
	messages, err := r.ask(family, unix.NFT_MSG_GETRULE, netlink.Dump, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, chain)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, errChanging
		}
		one, err := parseRule(m.Data)
		if err != nil {
			return nil, err
		}
		rules = append(rules, one)
	}
	return rules, nil
}

func (r *ruleset) open() (err error) {
	if r.conn == nil {
		if r.conn, err = netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: r.netns}); err != nil {
			return err
		}
	}
	if r.changes == nil {
		r.changes, err = nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(r.netns))
	}
	return err
}

// close forgets the connections.
func (r *ruleset) close() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
	if r.changes != nil {
		_ = r.changes.CloseLasting() // nothing depends on it
		r.changes = nil
	}
}

// judged tells whether the firewall of a Neutron agent is at work.
func (r *ruleset) judged(family nftables.TableFamily) (bool, error) {
	for _, chain := range judges {
		_, err := r.ask(family, unix.NFT_MSG_GETCHAIN, 0, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, chain)
		if !errors.Is(err, unix.ENOENT) {
			return err == nil, err
		}
	}
	return false, nil
}

// ask requests what there is of a chain, which the attributes name.
func (r *ruleset) ask(family nftables.TableFamily, message uint16, flags netlink.HeaderFlags, table, name uint16, chain string) ([]netlink.Message, error) {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: table, Data: []byte("filter\x00")},
		{Type: name, Data: []byte(chain + "\x00")},
	})
	if err != nil {
		return nil, err
	}
	return r.conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{byte(family), unix.NFNETLINK_V0, 0, 0}, attributes...), // struct nfgenmsg
	})
}

// parseRule reads what matters of a rule, and passes over all else.
func parseRule(data []byte) (rule, error) {
	if len(data) < 4 {
		return rule{}, errors.New("a rule without a header")
	}
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		return rule{}, err
	}
	ad.ByteOrder = binary.BigEndian
	var r rule
	var kinds []string // of the expressions
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_RULE_HANDLE:
			r.handle = ad.Uint64()
		case unix.NFTA_RULE_USERDATA:
			if c := comment(ad.Bytes()); c != "" {
				r.comment = c
			}
		case unix.NFTA_RULE_EXPRESSIONS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(func(e *netlink.AttributeDecoder) error {
						kinds = append(kinds, parseExpression(e, &r))
						return nil
					})
				}
				return nil
			})
		}
	}
	for _, kind := range kinds {
		if kind != "counter" && kind != "immediate" {
			r.returnAll, r.jumpAll = false, false
		}
	}
	return r, ad.Err()
}

// parseExpression reads one expression of a rule and returns its name. It
// looks into two: a verdict (returnAll is set by RETURN, jumpAll by a jump to
// DOCKER-USER; the caller sees whether there are conditions), and iptables' match "comment", in which
// iptables-restore writes what it read as user data.
func parseExpression(ad *netlink.AttributeDecoder, r *rule) (name string) {
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_EXPR_NAME:
			name = ad.String()
		case unix.NFTA_EXPR_DATA:
			switch name {
			case "immediate":
				code, chain := verdict(ad.Bytes())
				r.returnAll = r.returnAll || code == unix.NFT_RETURN
				r.jumpAll = r.jumpAll || code == unix.NFT_JUMP && chain == dockerUser
			case "match":
				if c := matchComment(ad.Bytes()); c != "" {
					r.comment = c
				}
			}
		}
	}
	return name
}

// verdict returns the code of an immediate expression's verdict, or NFT_CONTINUE,
// and the chain that it names.
func verdict(data []byte) (code int32, chain string) {
	code = unix.NFT_CONTINUE
	descend(data, []uint16{unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT, unix.NFTA_VERDICT_CODE}, func(b []byte) {
		if len(b) == 4 {
			code = int32(binary.BigEndian.Uint32(b))
		}
	})
	descend(data, []uint16{unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT, unix.NFTA_VERDICT_CHAIN}, func(b []byte) { chain = cString(b) })
	return code, chain
}

// matchComment returns the text of iptables' match "comment", or "".
func matchComment(data []byte) (text string) {
	descend(data, []uint16{unix.NFTA_MATCH_NAME}, func(b []byte) {
		if cString(b) != "comment" {
			return
		}
		descend(data, []uint16{unix.NFTA_MATCH_INFO}, func(b []byte) { text = cString(b) })
	})
	return text
}

// descend follows nested attributes to the innermost type, and calls found
// with its value.
func descend(data []byte, types []uint16, found func([]byte)) {
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return
	}
	for ad.Next() {
		switch {
		case ad.Type() != types[0]:
		case len(types) == 1:
			found(ad.Bytes())
		default:
			descend(ad.Bytes(), types[1:], found)
		}
	}
}

// comment returns the comment in a rule's user data: a list of one byte of
// type, one of length, and the value.
func comment(data []byte) string {
	for len(data) >= 2 && len(data) >= 2+int(data[1]) {
		value := data[2 : 2+int(data[1])]
		if data[0] == byte(userdata.TypeComment) {
			return cString(value)
		}
		data = data[2+len(value):]
	}
	return ""
}

// cString returns what is before the first NUL.
func cString(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}
