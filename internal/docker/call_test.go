package docker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"kuryr/internal/courier"
)

// IDs of the tests: Docker's two forms.
const (
	netHex   = "4aa1af9a53593ab942557f2832e5a18d08c77a58b7468061441e1b13f2985514"
	netSwarm = "ac7e5n7ax6tgrf50yhswht52s"
	epHex    = "250bdf5ab09911f678ed956eed50f46ce6f8f83f67d07256de35ceab117f4255"
	refNet   = `"NetworkID":"` + netHex + `"`
	refs     = refNet + `,"EndpointID":"` + epHex + `"`
	poolID   = "00000000-0000-4000-8000-000000000001"
	refPool  = `"PoolID":"` + poolID + `"`
)

// post sends a call and returns the status and the body.
func post(t testing.TB, h http.Handler, method, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/"+method, strings.NewReader(body))
	r.Host = ""
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != mimetype {
		t.Errorf("%s: content type %q", method, got)
	}
	return w.Code, strings.TrimSpace(w.Body.String())
}

// furnished returns a memory that has a pool of 10.0.0.0/24, a dual-stack
// network and an endpoint.
func furnished(t testing.TB) *memory {
	t.Helper()
	m := newMemory()
	for _, err := range []error{
		second(m.RequestPool(context.Background(), courier.PoolRequest{Family: courier.IPv4, CIDR: netip.MustParsePrefix("10.0.0.0/24")})),
		m.CreateNetwork(context.Background(), courier.NetworkRequest{ID: netHex, Pools: []courier.NetworkPool{
			{CIDR: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1")},
			{CIDR: netip.MustParsePrefix("fd00::/64"), Gateway: netip.MustParseAddr("fd00::1")},
		}}),
		second(m.Attach(context.Background(), courier.AttachRequest{Network: netHex, Endpoint: epHex, MAC: courier.MAC{2, 0, 0, 0, 0, 7},
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")}})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m.asked = nil
	return m
}

func second[T any](_ T, err error) error { return err }
