package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"time"
)

// wire is a way from one place to another, on which traffic is measured.
type wire struct {
	ends    [2]end
	address string // of the second
	server  net.Listener
}

// end is a network namespace: a machine's, or a container's.
type end interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	trafficPort = 5001
	streams     = 5        // of which the fastest counts: other work only ever makes one slower
	transfer    = 24 << 20 // bytes of each
	trips       = 400      // there and back, of which the median counts
)

func (w *wire) close() error {
	if w.server == nil {
		return nil
	}
	return w.server.Close()
}

// serve answers on the second end.
func (w *wire) serve(ctx context.Context) (err error) {
	if w.server, err = w.ends[1].Listen(ctx, "tcp4", w.address); err != nil {
		return err
	}
	go func() {
		for {
			c, err := w.server.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return nil
}

// answer takes streams, each a size and that many bytes, and tells with a byte
// that all has come.
func answer(c net.Conn) {
	defer c.Close()
	size := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, size); err != nil {
			return
		}
		if _, err := io.CopyN(struct{ io.Writer }{io.Discard}, c, int64(binary.BigEndian.Uint64(size))); err != nil {
			return
		}
		if _, err := c.Write(size[:1]); err != nil {
			return
		}
	}
}

// send sends a stream and waits until it has come.
func send(c net.Conn, size int, block []byte) (time.Duration, error) {
	return timed(func() error {
		if _, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(size))); err != nil {
			return err
		}
		for ; size > 0; size -= len(block) {
			if _, err := c.Write(block[:min(size, len(block))]); err != nil {
				return err
			}
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	})
}

// measure sends streams, and then nothing but what they are told with, there
// and back.
func (w *wire) measure(ctx context.Context) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := w.ends[0].Dial(ctx, "tcp4", w.address)
	if err != nil {
		return s, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	block := make([]byte, 256<<10)
	for range streams {
		took, err := send(c, transfer, block)
		if err != nil {
			return s, err
		}
		s.rate = max(s.rate, transfer/1e6/took.Seconds())
	}
	var all []time.Duration
	for range trips {
		took, err := send(c, 0, block)
		if err != nil {
			return s, err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	s.trip = all[len(all)/2]
	return s, nil
}
