package docker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kuryr/internal/courier"
)

// hanging is a Courier none of whose calls ends before its context does.
type hanging struct{}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return &courier.Error{Kind: courier.Unavailable, Op: "do it", Public: "no answer in time", Err: ctx.Err()}
}

func (hanging) RequestPool(ctx context.Context, _ courier.PoolRequest) (courier.Pool, error) {
	return courier.Pool{}, hang(ctx)
}
func (hanging) ReleasePool(ctx context.Context, _ courier.PoolID) error { return hang(ctx) }
func (hanging) RequestAddress(ctx context.Context, _ courier.AddressRequest) (netip.Prefix, error) {
	return netip.Prefix{}, hang(ctx)
}
func (hanging) ReleaseAddress(ctx context.Context, _ courier.PoolID, _ netip.Addr) error {
	return hang(ctx)
}
func (hanging) CreateNetwork(ctx context.Context, _ courier.NetworkRequest) error { return hang(ctx) }
func (hanging) DeleteNetwork(ctx context.Context, _ courier.EngineNetworkID) error {
	return hang(ctx)
}
func (hanging) Attach(ctx context.Context, _ courier.AttachRequest) (courier.Attached, error) {
	return courier.Attached{}, hang(ctx)
}
func (hanging) Join(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) (courier.Joined, error) {
	return courier.Joined{}, hang(ctx)
}
func (hanging) Leave(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) error {
	return hang(ctx)
}
func (hanging) Detach(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) error {
	return hang(ctx)
}
func (hanging) Describe(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) (courier.AttachmentInfo, error) {
	return courier.AttachmentInfo{}, hang(ctx)
}
func (hanging) Expose(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID, _ courier.Exposure) (int, error) {
	return 0, hang(ctx)
}
func (hanging) Conceal(ctx context.Context, _ courier.EngineNetworkID, _ courier.EndpointID) error {
	return hang(ctx)
}

// TestEveryMethodEnds: each method that there is ends at its deadline when
// nothing behind it does, and answers in Docker's form.
func TestEveryMethodEnds(t *testing.T) {
	const timeout = 7 * time.Second
	const late, atOnce = true, false
	pool := `"AddressSpace":"no_address_space","Pool":"10.9.0.0/24"`
	publish := `"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80}]}`
	calls := map[string]struct {
		body string
		late bool // it is the courier's to answer
		want string
	}{
		"Plugin.Activate":                           {``, atOnce, `"Implements"`},
		"NetworkDriver.GetCapabilities":             {``, atOnce, `"Scope"`},
		"NetworkDriver.AllocateNetwork":             {`{` + refNet + `}`, atOnce, ``},
		"NetworkDriver.FreeNetwork":                 {`{` + refNet + `}`, atOnce, ``},
		"NetworkDriver.GwAllocCheck":                {`{"Options":{}}`, atOnce, ``},
		"NetworkDriver.CreateNetwork":               {`{` + refNet + `}`, late, "no answer in time"},
		"NetworkDriver.DeleteNetwork":               {`{` + refNet + `}`, late, "no answer in time"},
		"NetworkDriver.CreateEndpoint":              {`{` + refs + `}`, late, "no answer in time"},
		"NetworkDriver.DeleteEndpoint":              {`{` + refs + `}`, late, "no answer in time"},
		"NetworkDriver.EndpointOperInfo":            {`{` + refs + `}`, late, `{"Value":{}}`},
		"NetworkDriver.Join":                        {`{` + refs + `,"SandboxKey":"/var/run/docker/netns/x"}`, late, "no answer in time"},
		"NetworkDriver.Leave":                       {`{` + refs + `}`, late, "no answer in time"},
		"NetworkDriver.DiscoverNew":                 {`{}`, atOnce, ``},
		"NetworkDriver.DiscoverDelete":              {`{}`, atOnce, ``},
		"NetworkDriver.ProgramExternalConnectivity": {`{` + refs + `,` + publish + `}`, late, "no answer in time"},
		"NetworkDriver.RevokeExternalConnectivity":  {`{` + refs + `}`, late, "no answer in time"},
		"IpamDriver.GetCapabilities":                {``, atOnce, `"RequiresMACAddress"`},
		"IpamDriver.GetDefaultAddressSpaces":        {``, atOnce, `no_address_space`},
		"IpamDriver.RequestPool":                    {`{` + pool + `}`, late, "no answer in time"},
		"IpamDriver.ReleasePool":                    {`{` + refPool + `}`, late, "no answer in time"},
		"IpamDriver.RequestAddress":                 {`{` + refPool + `}`, late, "no answer in time"},
		"IpamDriver.ReleaseAddress":                 {`{` + refPool + `,"Address":"10.9.0.7"}`, late, "no answer in time"},
	}
	s, _ := New(hanging{}, Options{Timeout: timeout}).(*server)
	for name := range s.methods {
		c, known := calls[name]
		if !known {
			t.Errorf("%s is not in this test's table", name)
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			w, began := httptest.NewRecorder(), time.Now()
			s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+name, strings.NewReader(c.body)))
			want := time.Duration(0)
			if c.late {
				want = timeout
			}
			if took := time.Since(began); took != want || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s: after %v: %d %s", name, took, w.Code, w.Body)
			}
		})
	}
	if len(s.methods) != len(calls) {
		t.Errorf("the driver has %d methods, this table %d", len(s.methods), len(calls))
	}
}
