package courier_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"kuryr/internal/courier"
)

// portOf returns what Neutron has of the one attachment's port.
func portOf(t *testing.T, w *world) map[string]any {
	t.Helper()
	a := w.c.Status().Attachments
	if len(a) != 1 {
		t.Fatalf("attachments: %+v", a)
	}
	var body struct{ Port map[string]any }
	if err := json.Unmarshal([]byte(request(t, w.server, "GET", "/v2.0/ports/"+string(a[0].Port), "")), &body); err != nil {
		t.Fatal(err)
	}
	return body.Port
}

func made(t *testing.T, w *world, path, body string) string {
	t.Helper()
	var answer map[string]struct{ ID string }
	if err := json.Unmarshal([]byte(request(t, w.server, "POST", path, body)), &answer); err != nil {
		t.Fatal(err)
	}
	for _, x := range answer {
		return x.ID
	}
	return ""
}

// TestPortSettings: what a network asks of all its ports, and one endpoint of its own.
func TestPortSettings(t *testing.T) {
	w, e, ctx := storyWorld(t)
	web := made(t, w, "/v2.0/security-groups", `{"security_group":{"name":"web"}}`)
	db := made(t, w, "/v2.0/security-groups", `{"security_group":{"name":"db"}}`)
	slow := made(t, w, "/v2.0/qos/policies", `{"policy":{"name":"slow"}}`)
	fast := made(t, w, "/v2.0/qos/policies", `{"policy":{"name":"fast"}}`)
	off := false
	named := func(names ...string) (out []courier.Reference) {
		for _, n := range names {
			out = append(out, courier.Reference{Name: n})
		}
		return out
	}
	n, err := e.networkWith(ctx, "n1", func(r *courier.NetworkRequest) {
		r.QoSPolicy, r.MTU = courier.Reference{Name: "slow"}, 1400
		r.Ports = courier.PortWish{SecurityGroups: []courier.Reference{{Name: "web"}, {ID: web}}, QoSPolicy: courier.Reference{ID: slow}, DNSName: "all",
			AddressPairs: []courier.AddressPair{{Addresses: netip.MustParsePrefix("10.130.0.200/32")}}}
	}, poolSpec{cidr: "10.130.0.0/24"})
	operator{w}.check(err)
	w.restart() // the settings are in the journal
	if found := request(t, w.server, "GET", "/v2.0/networks?name=kuryr-net-n1&mtu=1400", ""); !strings.Contains(found, `"qos_policy_id":"`+slow) {
		t.Errorf("the network: %s", found)
	}
	for name, x := range map[string]struct {
		wish  courier.PortWish
		wants map[string]string
	}{
		"the network's": {courier.PortWish{}, map[string]string{"security_groups": "[" + web + "]", "qos_policy_id": slow, "dns_name": "all", "port_security_enabled": "true",
			"allowed_address_pairs": "10.130.0.200"}},
		"its own": {courier.PortWish{SecurityGroups: named("db", "web"), QoSPolicy: courier.Reference{Name: "fast"}, DNSName: "one"},
			map[string]string{"security_groups": db, "qos_policy_id": fast, "dns_name": "one", "allowed_address_pairs": "10.130.0.200"}},
		"no groups":        {courier.PortWish{SecurityGroups: named()}, map[string]string{}},
		"no port security": {courier.PortWish{PortSecurity: &off}, map[string]string{"port_security_enabled": "false", "security_groups": "[]", "allowed_address_pairs": "[]"}},
	} {
		for _, mac := range []string{"", "02:00:00:00:13:00"} { // with a wished MAC the port is made anew
			k, err := e.startWith(ctx, n, "e1", mac, x.wish)
			operator{w}.check(err)
			p := portOf(t, w)
			if x.wish.SecurityGroups != nil && len(x.wish.SecurityGroups) == 0 {
				x.wants["security_groups"] = "[]"
			}
			for attr, want := range x.wants {
				if got := fmt.Sprint(p[attr]); !strings.Contains(got, want) {
					t.Errorf("%s: %s is %s, want %s", name, attr, got, want)
				}
			}
			e.stop(ctx, k)
			settled(t, func() string { return pendingOf(w) })
		}
	}
	e.networkRemove(ctx, n)
	settled(t, func() string { return pendingOf(w) })
	for _, group := range []string{web, db} { // ours to delete, not Kuryr's
		request(t, w.server, "DELETE", "/v2.0/security-groups/"+group, "")
	}
	w.mustEmpty()
}

// TestBadPortSettings: one line, and the port as it was.
func TestBadPortSettings(t *testing.T) {
	w, e, ctx := storyWorld(t)
	a := made(t, w, "/v2.0/security-groups", `{"security_group":{"name":"twin"}}`)
	b := made(t, w, "/v2.0/security-groups", `{"security_group":{"name":"twin"}}`)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.131.0.0/24"})
	off := false
	missing := courier.Reference{ID: "01234567-89ab-4def-8123-456789abcdef"}
	for _, x := range []struct {
		wish courier.PortWish
		kind courier.Kind
		want []string
	}{
		{courier.PortWish{SecurityGroups: []courier.Reference{{Name: "twin"}}}, courier.Conflict, []string{`security group "twin" is one of 2`, a, b}},
		{courier.PortWish{SecurityGroups: []courier.Reference{{Name: "default"}, missing}}, courier.NotFound, []string{"there is no security group " + missing.ID}},
		{courier.PortWish{QoSPolicy: missing}, courier.NotFound, []string{"there is no QoS policy " + missing.ID}},
		{courier.PortWish{PortSecurity: &off, SecurityGroups: []courier.Reference{{Name: "default"}}}, courier.Invalid, []string{"need port security"}},
	} {
		_, err := e.startWith(ctx, n, "e1", "", x.wish)
		wantKind(t, err, x.kind)
		for _, word := range x.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%v does not say %s", err, word)
			}
		}
		settled(t, func() string { return pendingOf(w) })
		if len(w.c.Status().Attachments) > 0 {
			t.Errorf("left: %+v", w.c.Status().Attachments)
		}
	}
}

// TestAddressOfNoSubnet: what is refused for itself leaves nothing to be undone,
// so that it gets the same answer the next moment, and takes no reservation.
func TestAddressOfNoSubnet(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.132.0.0/24"})
	held, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id})
	operator{w}.check(err)
	before := fmt.Sprintf("%+v", w.c.Status())
	for range 3 {
		_, err := w.c.Attach(ctx, courier.AttachRequest{Network: n.id, Endpoint: "e1", Addresses: []netip.Addr{held.Addr(), netip.MustParseAddr("10.133.0.7")}})
		wantKind(t, err, courier.Invalid)
		if !strings.Contains(err.Error(), "lies on none of the network's subnets") {
			t.Errorf("the answer is %v", err)
		}
		if after := fmt.Sprintf("%+v", w.c.Status()); after != before {
			t.Errorf("it was %s\nand is %s", before, after)
		}
	}
}
