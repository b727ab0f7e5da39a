package neutron_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

// FuzzAnswers: whatever Neutron answers, with whatever status, the courier
// gets values that it can rely on, or an error of one line that a terminal can
// show.
func FuzzAnswers(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatal(paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var c capture
		if err := json.Unmarshal(data, &c); err != nil {
			f.Fatal(err)
		}
		f.Add(c.Status, c.RequestID, []byte(c.Body))
	}
	f.Add(404, "req-1", []byte(`{"NeutronError": "bare"}`))
	f.Add(502, "", []byte("<html>bad gateway</html>"))
	f.Add(200, "", []byte(`{"ports": [], "ports_links": [{"rel": "next", "href": "http://h/v2.0/ports?marker=1"}]}`))
	f.Fuzz(func(t *testing.T, status int, requestID string, body []byte) {
		if status < 200 || status > 599 {
			t.Skip("net/http does not let it through")
		}
		asked := 0
		c, err := neutron.New(neutron.Options{Log: slog.New(slog.DiscardHandler), Endpoint: "http://neutron.example:9696/", Transport: neutron.InProcess(http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked > 2*1000 { // a list has 1,000 pages at most
					t.Fatalf("%d requests for one answer", asked)
				}
				w.Header()["X-Openstack-Request-Id"] = []string{requestID}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				w.Write(body)
			}))})
		if err != nil {
			t.Fatal(err)
		}
		tryAll(t, c)
	})
}

// tryAll makes a call of every kind of answer there is.
func tryAll(t *testing.T, c *neutron.Client) {
	ctx := t.Context()
	const network = courier.NetworkID("8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81")
	const pool = courier.SubnetPoolID("8aec6d8e-6362-48e9-8c6e-beb4ca2fbb82")
	spec := courier.PortSpec{Network: network}

	p, err := c.CreatePort(ctx, spec)
	soundPort(t, p, err)
	p, err = c.UpdatePort(ctx, portID, courier.PortUpdate{})
	soundPort(t, p, err)
	several, err := c.CreatePorts(ctx, []courier.PortSpec{spec, spec})
	if sound(t, err) && len(several) != 2 {
		t.Errorf("%d ports of 2", len(several))
	}
	found, err := c.PortsByMark(ctx, courier.Mark{Host: "h", Intent: "i"})
	sound(t, err)
	for _, p := range append(several, found...) {
		soundPort(t, p, err)
	}
	n, err := c.CreateNetwork(ctx, courier.NetworkSpec{})
	if sound(t, err) {
		soundID(t, string(n.ID))
	}
	subnets, err := c.SubnetsOfNetwork(ctx, network)
	sound(t, err)
	for _, s := range subnets {
		soundID(t, string(s.ID))
		if s.CIDR != s.CIDR.Masked() || !s.CIDR.IsValid() || s.Gateway.IsValid() && s.Gateway.Is4In6() {
			t.Errorf("subnet %+v", s)
		}
	}
	pools, err := c.FindSubnetPools(ctx, courier.Reference{Name: "kuryr"})
	sound(t, err)
	for _, p := range pools {
		soundID(t, string(p.ID))
		if p.DefaultPrefixLen < 0 || p.DefaultPrefixLen > 128 {
			t.Errorf("subnetpool %+v", p)
		}
	}
	sound(t, c.Tag(ctx, courier.Resource{Kind: courier.SubnetPoolResource, ID: string(pool)}, "tag"))
	sound(t, c.DeletePort(ctx, portID))
	sound(t, c.Ping(ctx))
}

func soundPort(t *testing.T, p courier.Port, err error) {
	t.Helper()
	if !sound(t, err) {
		return
	}
	soundID(t, string(p.ID))
	soundID(t, string(p.Network))
	for _, ip := range p.FixedIPs {
		soundID(t, string(ip.Subnet))
		if ip.Address == (netip.Addr{}) || ip.Address.Zone() != "" || ip.Address.Is4In6() {
			t.Errorf("address %q", ip.Address)
		}
	}
}

// soundID: what becomes part of URLs and of the names of interfaces.
func soundID(t *testing.T, id string) {
	t.Helper()
	if len(id) != 36 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		t.Errorf("the ID %q", id)
	}
}

// sound looks at an error, and reports whether there was none.
func sound(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	var e *courier.Error
	if text := err.Error(); !errors.As(err, &e) || !utf8.ValidString(text) || len(text) > 600 ||
		strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%T %q", err, text)
	}
	return false
}
