package neutron_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/neutron"
)

// BenchmarkPortsOfHost lists a host's 1,000 ports among 20,000 of others, as the
// reconciler does, and tells how long a port takes to be made meanwhile.
func BenchmarkPortsOfHost(b *testing.B) {
	const others, ours, bulk = 20_000, 1_000, 500
	s, err := embedded.Open(embedded.Options{StateDir: b.TempDir(), Host: testHost, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	liftQuota(b, s.Handler())
	n, err := neutron.New(neutron.Options{Endpoint: "http://embedded", Transport: neutron.InProcess(s.Handler()), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	network, err := n.CreateNetwork(ctx, courier.NetworkSpec{Name: "bench"})
	must(err)
	_, err = n.CreateSubnet(ctx, courier.SubnetSpec{Network: network.ID, Name: "bench", CIDR: netip.MustParsePrefix("10.0.0.0/16")})
	must(err)
	spec := func(host string, i int) courier.PortSpec {
		return courier.PortSpec{Network: network.ID, Name: "kuryr-port", DeviceOwner: "compute:kuryr", Host: host,
			Mark: courier.Mark{Host: host, Intent: fmt.Sprintf("0123abcd-0000-8000-8000-%012d", i)}}
	}
	for i := 0; i < others+ours; i += bulk {
		specs := make([]courier.PortSpec, bulk)
		for j := range specs {
			host := fmt.Sprintf("host-%d", (i+j)%100)
			if i >= others {
				host = testHost
			}
			specs[j] = spec(host, i+j)
		}
		_, err := n.CreatePorts(ctx, specs)
		must(err)
	}
	var slowest, total time.Duration
	made := 0
	for b.Loop() {
		var listing sync.WaitGroup
		listing.Go(func() {
			if all, err := n.PortsOfHost(ctx, testHost); err != nil || len(all) < ours {
				b.Errorf("%d ports: %v", len(all), err)
			}
		})
		start := time.Now()
		p, err := n.CreatePort(ctx, spec("host-0", 99_999))
		took := time.Since(start)
		must(err)
		listing.Wait()
		must(n.DeletePort(ctx, p.ID))
		slowest, total, made = max(slowest, took), total+took, made+1
	}
	b.ReportMetric(float64(total.Microseconds())/float64(made)/1000, "ms/create")
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms/slowest-create")
}

// liftQuota lets the caller's project have any number of ports.
func liftQuota(b *testing.B, h http.Handler) {
	b.Helper()
	call := func(method, path, body string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/v2.0/quotas/"+path, strings.NewReader(body)))
		if w.Code != http.StatusOK {
			b.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		return w.Body.String()
	}
	var mine struct {
		Tenant struct {
			ID string `json:"tenant_id"`
		} `json:"tenant"`
	}
	if err := json.Unmarshal([]byte(call(http.MethodGet, "tenant", "")), &mine); err != nil {
		b.Fatal(err)
	}
	call(http.MethodPut, mine.Tenant.ID, `{"quota": {"port": -1}}`)
}
