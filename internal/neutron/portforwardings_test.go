package neutron_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

const floatingIP = courier.FloatingIPID("1d0a109e-9e52-4917-b7e6-b75983f89737")

// What a real Neutron (21, Zed) answered about the port forwardings of a
// floating IP, and what it was asked.
func TestPortForwardingCaptures(t *testing.T) {
	ctx := t.Context()
	var asked string
	of := func(name string) courier.PortForwardings {
		return client(t, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			asked = strings.TrimSpace(r.Method + " " + r.URL.String() + " " + string(b))
			readCapture(t, name).ServeHTTP(w, r)
		})
	}
	ids, err := of("floatingips-by-address").FloatingIPsByAddress(ctx, netip.MustParseAddr("203.0.113.68"))
	if err != nil || len(ids) != 1 || ids[0] != floatingIP || asked != "GET /v2.0/floatingips?floating_ip_address=203.0.113.68" {
		t.Errorf("%s: %v, %v", asked, ids, err)
	}

	const port = courier.PortID("48ab28ba-aa86-4475-8a98-d78dad081a6e")
	all, err := of("port-forwarding-list").PortForwardingsOf(ctx, floatingIP, port)
	if err != nil {
		t.Fatal(err)
	}
	if want := "GET /v2.0/floatingips/" + string(floatingIP) + "/port_forwardings?internal_port_id=" + string(port); asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
	one := func(id courier.PortForwardingID, p courier.Protocol) courier.PortForwarding {
		return courier.PortForwarding{ID: id, Description: "kuryr:node1:x", Forwarding: courier.Forwarding{Protocol: p, External: 8080, Internal: 80}}
	}
	want := []courier.PortForwarding{
		one("0a490cc8-d4ea-4a91-aa55-9fcdca76a8f5", courier.SCTP), one("1e173e48-9623-40f8-a417-37df8dfb248e", courier.TCP),
		one("d949bc5f-3aec-4f37-b8f1-56f0d118b161", courier.UDP)}
	if d := cmp.Diff(want, all); d != "" {
		t.Error(d)
	}

	spec := courier.PortForwardingSpec{Port: port, Address: netip.MustParseAddr("10.9.0.49"), Mark: courier.Mark{Host: "node1", Intent: "x"},
		Forwarding: courier.Forwarding{Protocol: courier.TCP, External: 8080, Internal: 80}}
	if err := of("port-forwarding-create").CreatePortForwarding(ctx, floatingIP, spec); err != nil {
		t.Fatal(err)
	}
	was := readCapture(t, "port-forwarding-create").Request
	var got, recorded any
	body := strings.TrimPrefix(asked, was.Method+" "+was.Path+" ")
	if json.Unmarshal([]byte(body), &got) != nil || json.Unmarshal(was.Body, &recorded) != nil || !cmp.Equal(got, recorded) {
		t.Errorf("asked %s, want %s %s %s", asked, was.Method, was.Path, was.Body)
	}

	for name, why := range map[string]string{
		"port-forwarding-no-router":      "is not reachable from subnet",
		"port-forwarding-external-taken": "There is a port collision with the external_port_range",
	} {
		err := of(name).CreatePortForwarding(ctx, floatingIP, spec)
		if courier.KindOf(err) != courier.Invalid || !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), "cannot forward port tcp/8080 to port "+string(port)+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A range of ports, which Kuryr never makes, is none of its forwardings.
func TestPortForwardingOfARange(t *testing.T) {
	var made struct {
		One json.RawMessage `json:"port_forwarding"`
	}
	if err := json.Unmarshal(readCapture(t, "port-forwarding-range").Body, &made); err != nil {
		t.Fatal(err)
	}
	all, err := client(t, answer(http.StatusOK, `{"port_forwardings":[`+string(made.One)+`]}`)).PortForwardingsOf(t.Context(), floatingIP, portID)
	if err != nil || len(all) != 1 || all[0].Forwarding != (courier.Forwarding{}) {
		t.Errorf("%+v, %v", all, err)
	}
}

// A Neutron without the extension, and IDs that are none.
func TestNoPortForwardings(t *testing.T) {
	ctx := t.Context()
	c := client(t, readCapture(t, "extension-404").ServeHTTP)
	if _, err := c.FloatingIPsByAddress(ctx, netip.MustParseAddr("203.0.113.68")); courier.KindOf(err) != courier.NotFound {
		t.Errorf("%v", err)
	}
	never := client(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	_, err := never.PortForwardingsOf(ctx, "", portID)
	for _, err := range []error{err, never.CreatePortForwarding(ctx, "../x", courier.PortForwardingSpec{}),
		never.DeletePortForwarding(ctx, floatingIP, ""), never.DeletePortForwarding(ctx, "", "1e173e48-9623-40f8-a417-37df8dfb248e")} {
		if courier.KindOf(err) != courier.Invalid {
			t.Errorf("%v", err)
		}
	}
}
