package testkit

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each kind of fault is what the client sees, and has the effect behind the
// proxy that its name says.
func TestFaultProxy(t *testing.T) {
	var effects atomic.Int32
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		effects.Add(1)
		w.Header().Set("X-Upstream", "yes")
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, r.URL.RawQuery)
	}))
	t.Cleanup(upstream.Close)
	m, err := RealMachine("proxy")
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewFaultProxy(t.Context(), m, strings.TrimPrefix(upstream.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})

	tests := []struct {
		name    string
		fault   Fault
		status  int // 0: the connection breaks
		effects int32
	}{
		{"pass", Fault{}, http.StatusCreated, 1},
		{"pass late", Fault{Delay: 20 * time.Millisecond}, http.StatusCreated, 1},
		{"answer", Fault{Kind: Answer, Status: http.StatusConflict}, http.StatusConflict, 0},
		{"break before", Fault{Kind: BreakBefore}, 0, 0},
		{"break after", Fault{Kind: BreakAfter}, 0, 1},
		{"break within", Fault{Kind: BreakWithin}, 0, 1},
		{"break late", Fault{Kind: BreakLate, Delay: 20 * time.Millisecond}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			effects.Store(0)
			p.Watch(FailNth(1, tt.fault, To(http.MethodPost, "/ports")))
			status := 0
			resp, err := http.Post(p.URL+"ports?a=b", "application/json", strings.NewReader("{}"))
			if err == nil {
				if _, err = io.ReadAll(resp.Body); err == nil {
					status = resp.StatusCode
				}
				resp.Body.Close()
			}
			p.settle()
			if status != tt.status || effects.Load() != tt.effects {
				t.Errorf("status %d after %d effects (%v), want %d after %d", status, effects.Load(), err, tt.status, tt.effects)
			}
			want := []Call{{N: 1, Method: http.MethodPost, Path: "/v2.0/ports"}}
			if diff := cmp.Diff(want, p.Calls()); diff != "" {
				t.Errorf("calls seen (-want +got):\n%s", diff)
			}
		})
	}
}

// The nth of the wanted calls fails, no other; a Neutron that dies stays dead.
func TestFaultChoices(t *testing.T) {
	broken := Fault{Kind: BreakBefore}
	calls := []Call{{1, "POST", "/v2.0/ports"}, {2, "GET", "/v2.0/ports"}, {3, "POST", "/v2.0/ports"}, {4, "POST", "/v2.0/ports"}}
	tests := []struct {
		name   string
		decide func(Call) Fault
		want   []FaultKind
	}{
		{"second POST", FailNth(2, broken, To("POST", "/ports")), []FaultKind{Pass, Pass, BreakBefore, Pass}},
		{"second call", FailNth(2, broken, nil), []FaultKind{Pass, BreakBefore, Pass, Pass}},
		{"dies", FailFrom(2, Fault{Kind: BreakAfter}, broken), []FaultKind{Pass, BreakAfter, BreakBefore, BreakBefore}},
	}
	for _, tt := range tests {
		var got []FaultKind
		for _, c := range calls {
			got = append(got, tt.decide(c).Kind)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
