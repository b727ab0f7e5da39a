package observe

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// A span's name is "AREA OPERATION". Areas are counted; the operation is one of
// a few words, and never contains a name or an ID.
const (
	AreaDocker  = "docker"  // a call of Docker's: "docker NetworkDriver.Join"
	AreaCourier = "courier" // what the courier does for it: "courier attach"
	AreaNeutron = "neutron" // one HTTP request: "neutron POST ports"
	AreaLink    = "link"    // the kernel's interfaces: "link create"
	AreaBinding = "binding" // plugging: "binding bind"
	AreaOVSDB   = "ovsdb"   // a transaction of Open vSwitch's database: "ovsdb transact"
	AreaJournal = "journal" // "journal write", "journal note"
)

// buckets of durations, in seconds: from what a call costs that is served from
// memory to Docker's own patience.
func buckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
}

// spanMetrics are made of spans.
type spanMetrics struct {
	durations *prometheus.HistogramVec
	failures  *prometheus.CounterVec
}

func newSpanMetrics() *spanMetrics {
	labels := []string{"area", "operation"}
	return &spanMetrics{
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kuryr_operation_duration_seconds", Buckets: buckets(),
			Help: "How long operations took, by area (docker, courier, neutron, link, binding, ovsdb, journal)."}, labels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kuryr_operation_failures_total",
			Help: "Operations that failed, by area. HTTP answers from 400 up are failures of area neutron."}, labels),
	}
}

func (m *spanMetrics) count(name string, took time.Duration, failed bool) {
	area, operation, _ := strings.Cut(name, " ")
	m.durations.WithLabelValues(area, operation).Observe(took.Seconds())
	if failed {
		m.failures.WithLabelValues(area, operation).Inc()
	}
}

// Name is a span's name.
func Name(area, operation string) string { return area + " " + operation }

// Call makes a span a trace of its own: an engine's call.
func Call() trace.SpanStartOption { return trace.WithSpanKind(trace.SpanKindServer) }
