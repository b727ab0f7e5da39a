package observe

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// work is a call of an engine that takes 90 ms in all, two steps of it in turn.
func work(t *Telemetry, fail error) {
	ctx, end := Span(context.Background(), t.Tracer(), Name(AreaDocker, "NetworkDriver.Join"), Call(),
		trace.WithAttributes(attribute.String("EndpointID", "e1")))
	time.Sleep(10 * time.Millisecond)
	courierCtx, endCourier := Span(ctx, t.Tracer(), Name(AreaCourier, "join"))
	_, endNeutron := Span(courierCtx, t.Tracer(), Name(AreaNeutron, "GET subnets"))
	time.Sleep(60 * time.Millisecond)
	endNeutron(fail)
	endCourier(fail)
	_, endLink := Span(ctx, t.Tracer(), Name(AreaLink, "up"))
	time.Sleep(20 * time.Millisecond)
	endLink(nil)
	end(fail)
}

func TestTraceOfASlowCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := NewTelemetry(TelemetryOptions{Version: "v1"})
		work(tel, errors.New("no answer"))
		got := tel.Slow()
		if len(got) != 1 {
			t.Fatalf("traces: %+v", got)
		}
		if len(got[0].ID) != 32 || got[0].ID == strings.Repeat("0", 32) {
			t.Errorf("ID %q", got[0].ID)
		}
		got[0].ID, got[0].Start = "", time.Time{}
		const ms = time.Millisecond
		want := []Trace{{Name: "docker NetworkDriver.Join", Duration: 90 * ms, Error: "no answer", Labels: []Label{{"EndpointID", "e1"}},
			Steps: []Step{
				{Name: "courier join", Depth: 1, Offset: 10 * ms, Duration: 60 * ms, Error: "no answer"},
				{Name: "neutron GET subnets", Depth: 2, Offset: 10 * ms, Duration: 60 * ms, Error: "no answer"},
				{Name: "link up", Depth: 1, Offset: 70 * ms, Duration: 20 * ms},
			}}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

// The last ones are kept, the newest first; quick calls, and work that is part
// of no call, are only counted.
func TestWhichTracesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := NewTelemetry(TelemetryOptions{})
		_, end := Span(t.Context(), tel.Tracer(), Name(AreaDocker, "quick"), Call())
		end(nil)
		_, end = Span(t.Context(), tel.Tracer(), Name(AreaLink, "delete"))
		time.Sleep(time.Second)
		end(nil)
		if got := tel.Slow(); len(got) != 0 {
			t.Fatalf("traces: %+v", got)
		}
		start := time.Now()
		for range KeptTraces + 3 {
			work(tel, nil)
		}
		got := tel.Slow()
		if len(got) != KeptTraces {
			t.Fatalf("%d traces", len(got))
		}
		for i, tr := range got {
			if want := start.Add(time.Duration(KeptTraces+2-i) * 90 * time.Millisecond); !tr.Start.Equal(want) {
				t.Fatalf("trace %d is of %v, want %v", i, tr.Start, want)
			}
		}
	})
}

func TestMetricsOfSpans(t *testing.T) {
	tel := NewTelemetry(TelemetryOptions{Version: "v1"})
	for _, err := range []error{nil, errors.New("no")} {
		_, end := Span(t.Context(), tel.Tracer(), Name(AreaNeutron, "POST ports"))
		end(err)
	}
	w := httptest.NewRecorder()
	tel.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`kuryr_build_info{version="v1"} 1`,
		`kuryr_operation_duration_seconds_bucket{area="neutron",operation="POST ports",le="0.0005"}`,
		`kuryr_operation_duration_seconds_count{area="neutron",operation="POST ports"} 2`,
		`kuryr_operation_failures_total{area="neutron",operation="POST ports"} 1`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

// exported is a tracer that an exporter gave.
type exported struct {
	noop.Tracer
	names []string
	kinds []trace.SpanKind
}

func (e *exported) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	e.names = append(e.names, name)
	config := trace.NewSpanStartConfig(o...)
	e.kinds = append(e.kinds, config.SpanKind())
	return e.Tracer.Start(ctx, name, o...)
}

func TestSpansAreExported(t *testing.T) {
	e := &exported{}
	tel := NewTelemetry(TelemetryOptions{Export: e})
	work(tel, nil)
	want := []string{"docker NetworkDriver.Join", "courier join", "neutron GET subnets", "link up"}
	if d := cmp.Diff(want, e.names); d != "" || e.kinds[0] != trace.SpanKindServer {
		t.Errorf("%s, %v", d, e.kinds)
	}
	if len(tel.Slow()) != 1 {
		t.Error("nothing is kept here any more")
	}
}

// What ends after its call is counted, and no part of its trace.
func TestStepsAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := NewTelemetry(TelemetryOptions{})
		ctx, end := Span(t.Context(), tel.Tracer(), Name(AreaDocker, "x"), Call())
		_, late := Span(ctx, tel.Tracer(), Name(AreaLink, "delete"))
		time.Sleep(SlowCall)
		end(nil)
		late(nil)
		late(nil) // a second end is none
		if got := tel.Slow(); len(got) != 1 || len(got[0].Steps) != 0 {
			t.Errorf("%+v", got)
		}
	})
}
