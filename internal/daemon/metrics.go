package daemon

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"

	"kuryr/internal/courier"
)

// stateMetrics tells what this host holds, when it is asked.
type stateMetrics struct {
	status func() courier.Status
	parts  func() []Condition // without questions to others

	networks, pools, attachments, pending, healthy *prometheus.Desc
	pooled, poolHits, poolMisses                   *prometheus.Desc
}

func newStateMetrics(status func() courier.Status, parts func() []Condition) *stateMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &stateMetrics{status: status, parts: parts,
		networks:    desc("kuryr_networks", "Docker networks on this host, by state.", "state"),
		pools:       desc("kuryr_address_pools", "Address pools on this host, by state.", "state"),
		attachments: desc("kuryr_attachments", "Attachments on this host, by state; those reserved have no endpoint yet.", "state"),
		pooled:      desc("kuryr_port_pool_ports", "Ports in port pools, by state: ready for a container, or resting.", "state"),
		poolHits:    desc("kuryr_port_pool_hits_total", "Addresses asked for that a port pool had a port for; of the networks that are there now."),
		poolMisses:  desc("kuryr_port_pool_misses_total", "Addresses asked for that no port pool had a port for; of the networks that are there now."),
		pending:     desc("kuryr_removals_pending", "Removals that are under way or will be tried again."),
		healthy:     desc("kuryr_healthy", "1 where a part of Kuryr is well, as in /readyz, else 0.", "part"),
	}
}

// Describe implements prometheus.Collector.
func (m *stateMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.networks, m.pools, m.attachments, m.pending, m.healthy, m.pooled, m.poolHits, m.poolMisses} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *stateMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.status()
	count := func(d *prometheus.Desc, n int, state func(i int) string) {
		states := map[string]int{}
		for i := range n {
			states[state(i)]++
		}
		for state, n := range states {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), state)
		}
	}
	count(m.networks, len(s.Networks), func(i int) string { return s.Networks[i].State })
	count(m.pools, len(s.Pools), func(i int) string { return s.Pools[i].State })
	count(m.attachments, len(s.Attachments), func(i int) string { return s.Attachments[i].State })
	m.collectPools(ch, s.PortPools)
	ch <- prometheus.MustNewConstMetric(m.pending, prometheus.GaugeValue, float64(s.Pending))
	for _, c := range m.parts() {
		ok := 0.
		if c.OK {
			ok = 1
		}
		ch <- prometheus.MustNewConstMetric(m.healthy, prometheus.GaugeValue, ok, c.Name)
	}
}

func (m *stateMetrics) collectPools(ch chan<- prometheus.Metric, pools []courier.PoolStats) {
	var all courier.PoolStats
	for _, p := range pools {
		all.Ready, all.Resting, all.Hits, all.Misses = all.Ready+p.Ready, all.Resting+p.Resting, all.Hits+p.Hits, all.Misses+p.Misses
	}
	ch <- prometheus.MustNewConstMetric(m.pooled, prometheus.GaugeValue, float64(all.Ready), "ready")
	ch <- prometheus.MustNewConstMetric(m.pooled, prometheus.GaugeValue, float64(all.Resting), "resting")
	ch <- prometheus.MustNewConstMetric(m.poolHits, prometheus.CounterValue, float64(all.Hits))
	ch <- prometheus.MustNewConstMetric(m.poolMisses, prometheus.CounterValue, float64(all.Misses))
}

// addProfiles serves Go's profiles, as net/http/pprof does for all who import
// it; here for who may use the admin socket alone.
func addProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
