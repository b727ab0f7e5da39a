package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"kuryr/internal/crash"
	"kuryr/internal/observe"
)

// deleter removes pairs, by sockets that no other request waits for.
type deleter struct {
	links   *Links
	sockets map[int]*nl.SocketHandle
}

// remove removes the pairs and answers each caller, whose contexts have no part
// in it: the sockets bound the wait for the kernel.
func (w *deleter) remove(batch []*deletion) {
	ctx := context.Background()
	if len(batch) == 1 {
		batch[0].answer <- w.links.deleteByIndex(ctx, batch[0].index, crash.LinkDelete)
		return
	}
	moved := w.gather(ctx, batch)
	if len(moved) == 0 {
		return
	}
	err := w.removeGroup(ctx, moved)
	if err == nil {
		for _, d := range moved {
			d.answer <- nil
		}
		return
	}
	w.links.log.Warn("links can't be removed together; they are removed one by one", observe.Err, err)
	w.oneByOne(ctx, moved)
}

// gather moves pairs into the group, and returns those that are in it. The others
// have their answers: a pair that is gone already needs nothing more.
func (w *deleter) gather(ctx context.Context, batch []*deletion) (moved []*deletion) {
	requests := make([]request, len(batch))
	for i, d := range batch {
		requests[i] = w.links.change(d.index).uint32(unix.IFLA_GROUP, removalGroup)
	}
	for i, err := range w.sendAll(ctx, requests, crash.LinkGather) {
		switch {
		case err == nil:
			moved = append(moved, batch[i])
		case gone(err):
			batch[i].answer <- nil
		default:
			batch[i].answer <- err
		}
	}
	return moved
}

// removeGroup removes all that is in the group, if it is what was moved there to
// be removed and nothing else.
func (w *deleter) removeGroup(ctx context.Context, moved []*deletion) error {
	var in []int
	err := retryDump(ctx, func() (err error) {
		in, err = w.inGroup()
		return err
	})
	if err != nil {
		return err
	}
	for _, index := range in {
		if !slices.ContainsFunc(moved, func(d *deletion) bool { return d.index == index }) {
			return fmt.Errorf("interface %d is in their group (%d), and is not to be removed", index, removalGroup)
		}
	}
	r := w.links.newRequest(unix.RTM_DELLINK, unix.NLM_F_ACK, 0).uint32(unix.IFLA_GROUP, removalGroup)
	r.Sockets = w.sockets
	err = r.do(ctx, crash.LinkDeleteGroup)
	if gone(err) { // somebody removed them all meanwhile
		return nil
	}
	return err
}

// inGroup returns the indexes of all interfaces in the group.
func (w *deleter) inGroup() ([]int, error) {
	r := w.links.newDump()
	r.Sockets = w.sockets
	var in []int
	var bad error
	err := r.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
		group, err := groupOf(m)
		if err != nil {
			bad = err
		}
		if group == removalGroup {
			in = append(in, int(nl.DeserializeIfInfomsg(m).Index))
		}
		return true
	})
	return in, errors.Join(err, bad)
}

// groupOf returns the group of the interface that a message is about.
func groupOf(message []byte) (uint32, error) {
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofIfInfomsg:])
	if err != nil {
		return 0, err
	}
	for _, a := range attributes {
		if a.Attr.Type == unix.IFLA_GROUP && len(a.Value) >= 4 {
			return binary.NativeEndian.Uint32(a.Value), nil
		}
	}
	return 0, errors.New("the kernel doesn't tell the group of an interface")
}

func (w *deleter) oneByOne(ctx context.Context, batch []*deletion) {
	var all sync.WaitGroup
	for _, d := range batch {
		all.Go(func() { d.answer <- w.links.deleteByIndex(ctx, d.index, crash.LinkDelete) })
	}
	all.Wait()
}
