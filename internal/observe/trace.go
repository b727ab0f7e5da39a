package observe

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Trace is one call of a container engine with all that it waited for.
type Trace struct {
	ID       string        `json:"id"` // of the trace, as OpenTelemetry writes it
	Name     string        `json:"name"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Error    string        `json:"error,omitempty"`
	Labels   []Label       `json:"labels,omitempty"`
	Steps    []Step        `json:"steps"` // in the order of their beginning
}

// Step is a part of a Trace.
type Step struct {
	Name     string        `json:"name"`
	Depth    int           `json:"depth"`     // 1: a step of the call itself; 2: of such a step ...
	Offset   time.Duration `json:"offset_ns"` // since the call began
	Duration time.Duration `json:"duration_ns"`
	Error    string        `json:"error,omitempty"`
	Labels   []Label       `json:"labels,omitempty"`
}

// Label is one attribute of a span.
type Label struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// maxSteps bounds the steps that a trace keeps.
const maxSteps = 256

// tracer implements trace.Tracer in the place of OpenTelemetry's SDK, which is
// four times as large as what is needed of it here. Export is the SDK's, in
// builds that have it.
type tracer struct {
	noop.Tracer
	export   trace.Tracer // nil: none
	finished func(name string, took time.Duration, failed bool)
	traced   func(Trace) // is told of each call of an engine that ends
}

// span implements trace.Span.
type span struct {
	noop.Span
	tracer *tracer
	export trace.Span // nil: none
	name   string
	start  time.Time
	depth  int
	root   *call // nil: it is part of no call of an engine

	mu     sync.Mutex // guards what follows
	labels []attribute.KeyValue
	err    string
	ended  bool
}

// call collects the steps of a root span.
type call struct {
	id    trace.TraceID
	start time.Time

	mu    sync.Mutex
	steps []Step // guarded by mu
}

// Start implements trace.Tracer. A span of kind server that has no parent is a
// call of an engine.
func (t *tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(options...)
	s := &span{tracer: t, name: name, start: time.Now(), labels: config.Attributes()}
	if parent, ok := trace.SpanFromContext(ctx).(*span); ok {
		s.root, s.depth = parent.root, parent.depth+1
		if parent.export != nil {
			ctx = trace.ContextWithSpan(ctx, parent.export)
		}
	} else if config.SpanKind() == trace.SpanKindServer {
		s.root = &call{start: s.start}
		rand.Read(s.root.id[:]) // never fails (Go 1.24)
	}
	if t.export != nil {
		ctx, s.export = t.export.Start(ctx, name, options...)
	}
	return trace.ContextWithSpan(ctx, s), s
}

// SpanContext implements trace.Span.
func (s *span) SpanContext() trace.SpanContext {
	if s.export != nil {
		return s.export.SpanContext()
	}
	return trace.SpanContext{}
}

// IsRecording implements trace.Span.
func (s *span) IsRecording() bool { return true }

// SetAttributes implements trace.Span.
func (s *span) SetAttributes(kv ...attribute.KeyValue) {
	s.mu.Lock()
	s.labels = append(s.labels, kv...)
	s.mu.Unlock()
	if s.export != nil {
		s.export.SetAttributes(kv...)
	}
}

// RecordError implements trace.Span, and says that the span failed.
func (s *span) RecordError(err error, options ...trace.EventOption) {
	s.mu.Lock()
	s.err = err.Error()
	s.mu.Unlock()
	if s.export != nil {
		s.export.RecordError(err, options...)
		s.export.SetStatus(codes.Error, err.Error())
	}
}

// End implements trace.Span. What ends later than the call that it is part of
// is not part of its trace.
func (s *span) End(options ...trace.SpanEndOption) {
	took := time.Since(s.start)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	labels, failure := labelsOf(s.labels), s.err
	s.mu.Unlock()
	if s.export != nil {
		s.export.End(options...)
	}
	s.tracer.finished(s.name, took, failure != "")
	switch {
	case s.root == nil:
	case s.depth > 0:
		s.root.add(Step{Name: s.name, Depth: s.depth, Offset: s.start.Sub(s.root.start), Duration: took, Error: failure, Labels: labels})
	default:
		s.tracer.traced(Trace{ID: s.root.id.String(), Name: s.name, Start: s.start, Duration: took, Error: failure, Labels: labels,
			Steps: s.root.sorted()})
	}
}

func (c *call) add(s Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.steps) < maxSteps {
		c.steps = append(c.steps, s)
	}
}

// sorted returns the steps as they began; of those that began together the
// outer first.
func (c *call) sorted() []Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	steps := slices.Clone(c.steps)
	slices.SortStableFunc(steps, func(a, b Step) int {
		if a.Offset != b.Offset {
			return int(a.Offset - b.Offset)
		}
		return a.Depth - b.Depth
	})
	return steps
}

func labelsOf(kv []attribute.KeyValue) []Label {
	var out []Label
	for _, a := range kv {
		if v := a.Value.String(); v != "" {
			out = append(out, Label{string(a.Key), v})
		}
	}
	return out
}
