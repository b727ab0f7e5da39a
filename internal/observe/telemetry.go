package observe

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// Telemetry tells how long things take: as metrics, and as traces of the calls
// of container engines that took long. Rooms start spans with its Tracer; what
// they are counted as follows from their names. It is safe for any number of
// goroutines.
type Telemetry struct {
	tracer   *tracer
	registry *prometheus.Registry

	mu   sync.Mutex
	slow []Trace // a ring, the oldest at next once it is full; guarded by mu
	next int     // guarded by mu
}

const (
	// SlowCall is how long a call takes that is kept as a trace.
	SlowCall = 50 * time.Millisecond
	// KeptTraces is how many are kept.
	KeptTraces = 64
)

// TelemetryOptions of NewTelemetry.
type TelemetryOptions struct {
	Version string // of the build, for kuryr_build_info
	// Export receives all spans too; nil: nobody.
	Export trace.Tracer
}

// NewTelemetry returns a Telemetry with the metrics of the process itself.
func NewTelemetry(o TelemetryOptions) *Telemetry {
	t := &Telemetry{registry: prometheus.NewRegistry()}
	m := newSpanMetrics()
	t.tracer = &tracer{export: o.Export, finished: m.count, traced: t.keep}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kuryr_build_info",
		Help: "Always 1; the version is in its label.", ConstLabels: prometheus.Labels{"version": o.Version}})
	build.Set(1)
	t.registry.MustRegister(m.durations, m.failures, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return t
}

// Tracer starts spans.
func (t *Telemetry) Tracer() trace.Tracer { return t.tracer }

// Register adds metrics that somebody else keeps.
func (t *Telemetry) Register(c prometheus.Collector) error { return t.registry.Register(c) }

// Handler serves the metrics in Prometheus' text format.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{})
}

func (t *Telemetry) keep(tr Trace) {
	if tr.Duration < SlowCall {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.slow) < KeptTraces {
		t.slow = append(t.slow, tr)
		return
	}
	t.slow[t.next] = tr
	t.next = (t.next + 1) % KeptTraces
}

// Slow returns the last calls that took SlowCall or longer, the newest first.
func (t *Telemetry) Slow() []Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]Trace, 0, len(t.slow))
	for i := range t.slow {
		out = append(out, t.slow[(t.next+len(t.slow)-1-i)%len(t.slow)])
	}
	return out
}

// Span starts a span that ends with the function returned, which takes what
// the work failed with.
func Span(ctx context.Context, t trace.Tracer, name string, o ...trace.SpanStartOption) (context.Context, func(error)) {
	ctx, s := t.Start(ctx, name, o...)
	return ctx, func(err error) {
		if err != nil {
			s.RecordError(err)
		}
		s.End()
	}
}
