package store

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkCreatePort makes ports one after the other, each durable when it
// returns.
func BenchmarkCreatePort(b *testing.B) {
	s := openAt(b, Options{Limits: map[string]int{"port": -1}})
	net, _ := network(b, s, "10.0.0.0/8", "fd00::/64")
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		start := time.Now()
		port(b, s, PortSpec{NetworkID: Some(net.ID), HostID: Some(testHost)})
		took = append(took, time.Since(start))
	}
	report(b, took)
}

// BenchmarkCreatePortParallel makes ports from 64 callers, who share commits.
func BenchmarkCreatePortParallel(b *testing.B) {
	s := openAt(b, Options{Limits: map[string]int{"port": -1}})
	net, _ := network(b, s, "10.0.0.0/8", "fd00::/64")
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.CreatePorts(context.Background(), []PortSpec{{NetworkID: Some(net.ID)}}); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ports/s")
}

// BenchmarkCreatePortsBulk makes a hundred ports in one request.
func BenchmarkCreatePortsBulk(b *testing.B) {
	s := openAt(b, Options{Limits: map[string]int{"port": -1}})
	net, _ := network(b, s, "10.0.0.0/8", "fd00::/64")
	specs := slices.Repeat([]PortSpec{{NetworkID: Some(net.ID)}}, 100)
	for b.Loop() {
		if _, err := s.CreatePorts(context.Background(), specs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(specs))/b.Elapsed().Seconds(), "ports/s")
}

// BenchmarkStart opens a state of 100,000 ports; also making one more port,
// and finding one, among so many.
func BenchmarkStart(b *testing.B) {
	const ports = 100_000
	path := filepath.Join(b.TempDir(), "neutron.db")
	s := openAt(b, Options{Path: path, Limits: map[string]int{"port": -1}})
	net, _ := network(b, s, "10.0.0.0/8", "fd00::/64")
	for i := 0; i < ports; i += 1000 {
		specs := make([]PortSpec, 1000)
		for j := range specs {
			specs[j] = PortSpec{
				StandardSpec: StandardSpec{Description: Some(fmt.Sprintf("kuryr:h1:%d", i+j))},
				NetworkID:    Some(net.ID), DeviceID: Some(fmt.Sprintf("device-%d", (i+j)/1000)), HostID: Some(testHost),
			}
		}
		if _, err := s.CreatePorts(context.Background(), specs); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			s, err := Open(Options{Path: path, Host: testHost})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	s = openAt(b, Options{Path: path, Limits: map[string]int{"port": -1}})
	b.Run("create", func(b *testing.B) {
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			port(b, s, PortSpec{NetworkID: Some(net.ID)})
			took = append(took, time.Since(start))
		}
		report(b, took)
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			got, err := s.Ports(context.Background(), Query{"device_id": {"device-7"}}, nil)
			if err != nil || len(got) != 1000 {
				b.Fatal(err, len(got))
			}
		}
	})
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
