package link_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/link"
)

// BenchmarkDelete removes 100 pairs that are plugged into a bridge, by so many
// callers at once, and meanwhile makes one pair after the other.
func BenchmarkDelete(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 100} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) { benchmarkDelete(b, callers) })
	}
}

func benchmarkDelete(b *testing.B, callers int) {
	const pairs = 100
	_, l := newLinks(b)
	bridge, err := l.EnsureBridge(b.Context(), link.BridgeSpec{Name: brq, Alias: "kuryr:net"})
	if err != nil {
		b.Fatal(err)
	}
	var creates []time.Duration
	for b.Loop() {
		b.StopTimer()
		plugged := make(chan courier.LinkSpec, pairs)
		for i := range pairs {
			s := numbered(i)
			if err := l.Create(b.Context(), s); err != nil {
				b.Fatal(err)
			}
			if err := l.Enslave(b.Context(), bridge, s.HostEnd); err != nil {
				b.Fatal(err)
			}
			if err := l.Up(b.Context(), s.HostEnd); err != nil {
				b.Fatal(err)
			}
			plugged <- s
		}
		close(plugged)
		time.Sleep(50 * time.Millisecond) // what the kernel puts off is not the deletions'
		b.StartTimer()
		var deleting sync.WaitGroup
		for range callers {
			deleting.Go(func() {
				for s := range plugged {
					if err := l.Delete(b.Context(), s.HostEnd); err != nil {
						b.Error(err)
					}
				}
			})
		}
		gone := make(chan struct{})
		go func() { deleting.Wait(); close(gone) }()
		for i, busy := pairs, true; busy; i++ {
			begin := time.Now()
			if err := l.Create(b.Context(), numbered(i)); err != nil {
				b.Error(err)
			}
			creates = append(creates, time.Since(begin))
			select {
			case <-gone:
				busy = false
			case <-time.After(time.Millisecond):
			}
		}
		b.StopTimer()
		if b.Failed() {
			return
		}
		empty(b, l)
		b.StartTimer()
	}
	slices.Sort(creates)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pairs/1e6, "ms/pair")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(creates[len(creates)/2].Microseconds())/1e3, "ms/create-p50")
	b.ReportMetric(float64(creates[len(creates)*9/10].Microseconds())/1e3, "ms/create-p90")
}

func numbered(i int) courier.LinkSpec {
	s := spec()
	s.HostEnd, s.ContainerEnd = "tap"+strconv.Itoa(i), "t_c"+strconv.Itoa(i)
	s.MAC[4], s.MAC[5] = byte(i>>8), byte(i)
	return s
}

// empty removes all pairs.
func empty(b *testing.B, l *link.Links) {
	b.Helper()
	left, err := l.Pairs(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var deleting sync.WaitGroup
	for _, p := range left {
		deleting.Go(func() {
			if err := l.Delete(b.Context(), p.HostEnd); err != nil {
				b.Error(err)
			}
		})
	}
	deleting.Wait()
}
