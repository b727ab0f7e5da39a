package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kuryr/internal/courier"
	"kuryr/internal/docker"
	"kuryr/internal/observe"
)

// metricsPage is where users read what the metrics mean.
const metricsPage = "../../docs/metrics.md"

// TestMetrics looks at the metrics while a container runs, and holds them
// against the users' page: what is served is described there, and the other
// way round.
func TestMetrics(t *testing.T) {
	h := newHost(t)
	p := h.start()
	s := &story{}
	s.tell(p, steps()[:attached])
	if _, err := p.try("NetworkDriver.Join", object{"NetworkID": networkID, "EndpointID": strings.Repeat("f", 64)}); err == nil {
		t.Fatal("an unknown endpoint joined")
	}
	code, body := p.get("/metrics")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	for _, want := range []string{
		`kuryr_attachments{state="attached"} 1`,
		`kuryr_networks{state="ready"} 1`,
		`kuryr_address_pools{state="ready"} 1`,
		`kuryr_removals_pending 0`,
		`kuryr_healthy{part="journal"} 1`,
		`kuryr_build_info{version="test"} 1`,
		`kuryr_operation_duration_seconds_count{area="docker",operation="NetworkDriver.Join"} 2`,
		`kuryr_operation_failures_total{area="docker",operation="NetworkDriver.Join"} 1`,
		`kuryr_operation_duration_seconds_count{area="courier",operation="attach"} 1`,
		`kuryr_operation_duration_seconds_count{area="link",operation="create"} 1`,
		`kuryr_operation_duration_seconds_count{area="binding",operation="bind"} 1`,
		`kuryr_operation_duration_seconds_count{area="neutron",operation="POST ports"} 2`,
		`kuryr_operation_duration_seconds_count{area="journal",operation="write"}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	served, described := map[string]string{}, map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# HELP (kuryr_\w+) (.+)\n# TYPE \w+ (\w+)$`).FindAllStringSubmatch(body, -1) {
		served[m[1]] = m[3] + ": " + m[2]
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(kuryr_\\w+)(?:\\{.*\\})?` \\| (\\w+) \\| (.+) \\|$").FindAllStringSubmatch(string(page), -1) {
		described[m[1]] = m[2] + ": " + m[3]
	}
	if d := cmp.Diff(served, described); d != "" {
		t.Errorf("%s (-served +described):\n%s", metricsPage, d)
	}
	for _, profile := range []string{"", "goroutine?debug=1", "cmdline"} {
		if code, body := p.get("/debug/pprof/" + profile); code != 200 || body == "" {
			t.Errorf("pprof %q: %d", profile, code)
		}
	}
	if code, body := p.get("/v1/traces"); code != 200 || !strings.HasPrefix(body, "[") {
		t.Errorf("traces: %d %s", code, body)
	}
}

// slowCourier plugs for 60 ms, and is then refused.
type slowCourier struct {
	docker.Courier
	links courier.Linker
}

func (c slowCourier) Join(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) (courier.Joined, error) {
	return courier.Joined{}, c.links.Up(ctx, "tap1")
}

type slowLinker struct{ courier.Linker }

func (slowLinker) Up(context.Context, string) error {
	time.Sleep(60 * time.Millisecond)
	return errors.New("no such device")
}

// A trace leads from Docker's call through the courier to the kernel.
func TestTraceOfACall(t *testing.T) {
	tel := observe.NewTelemetry(observe.TelemetryOptions{})
	engine := docker.New(
		tracedCourier{slowCourier{links: tracedLinker{slowLinker{}, tel.Tracer()}}, tel.Tracer()},
		docker.Options{Tracer: tel.Tracer()})
	body, _ := json.Marshal(object{"NetworkID": networkID, "EndpointID": endpointID, "SandboxKey": "/run/netns/x"})
	engine.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/NetworkDriver.Join", strings.NewReader(string(body))))
	got := tel.Slow()
	if len(got) != 1 {
		t.Fatalf("traces: %+v", got)
	}
	if got[0].Name != "docker NetworkDriver.Join" || got[0].Error == "" || fmt.Sprint(got[0].Labels) != "[{NetworkID 7d3c2b1a7d3c} {EndpointID e0e1e2e3e0e1}]" {
		t.Errorf("%+v", got[0])
	}
	want := []observe.Step{
		{Name: "courier join", Depth: 1, Error: "no such device"},
		{Name: "link up", Depth: 2, Error: "no such device", Labels: []observe.Label{{Key: "link", Value: "tap1"}}},
	}
	if d := cmp.Diff(want, got[0].Steps, cmpopts.IgnoreFields(observe.Step{}, "Offset", "Duration")); d != "" {
		t.Error(d)
	}
}
