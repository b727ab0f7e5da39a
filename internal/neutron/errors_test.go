package neutron_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"kuryr/internal/courier"
)

func TestErrorsOfARealNeutron(t *testing.T) {
	for _, tt := range []struct {
		capture string
		kind    courier.Kind
		public  string
	}{
		{"port-create-no-more-ips", courier.Exhausted, "No more IP addresses available on network 8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81"},
		{"port-create-bulk-no-more-ips", courier.Exhausted, "No more IP addresses available on network 8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81"},
		{"over-quota-port", courier.Exhausted, "Quota exceeded for resources: ['port']"},
		{"port-create-ip-in-use", courier.Conflict, "IP address 10.81.0.4 already allocated in subnet 81020b46-fc6b-421d-b669-93edee7219e5"},
		{"port-create-mac-in-use", courier.Conflict, "Unable to complete operation for network 8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81. The mac address fa:16:3e:9c:8b:6f is in use"},
		{"port-delete-404", courier.NotFound, "Port 4f3959a6-84fb-4fa6-92b1-78424505f5a3 could not be found"},
		{"port-create-ip-outside", courier.Invalid, "IP address 10.99.0.9 is not a valid IP for the specified subnet"},
		{"port-create-ip-outside-no-subnet", courier.Invalid, "IP address 10.99.0.9 is not a valid IP for any of the subnets on the specified network"},
		{"port-bad-mac", courier.Invalid, "Invalid input for mac_address. Reason: 'zz' is not a valid MAC address"},
		{"subnet-create-gateway-outside", courier.Invalid, "Invalid input for operation: Gateway is not valid on subnet"},
		{"subnet-create-overlap", courier.Conflict, "Invalid input for operation: Requested subnet with cidr: 10.81.0.0/28 for network: 8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81 overlaps with another subnet"},
		{"subnet-create-pool-cidr-taken", courier.Conflict, "Failed to allocate subnet: Cannot allocate requested subnet from the available set of prefixes"},
		{"subnetpool-delete-in-use", courier.Conflict, "Unable to delete subnet pool: Subnet pool has existing allocations"},
		{"revision-if-match-stale", courier.Conflict, "somebody else has changed it meanwhile: Constrained to 6, but current revision is 7"},
		{"no-token", courier.Unauthorized, "The request you have made requires authentication"},
		{"port-create-binding-member", courier.Unauthorized, "Neutron's policy does not let Kuryr's user do this"},
		{"tag-404", courier.NotFound, "Tag zzz could not be found"},
		{"extension-404", courier.NotFound, "Neutron answered 404 Not Found"},
	} {
		t.Run(tt.capture, func(t *testing.T) {
			err := client(t, readCapture(t, tt.capture).ServeHTTP).DeletePort(t.Context(), portID)
			if courier.KindOf(err) != tt.kind {
				t.Errorf("kind: %v, want %v", courier.KindOf(err), tt.kind)
			}
			if want := "cannot delete port " + string(portID) + ": " + tt.public; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestErrorBodies(t *testing.T) {
	long := strings.Repeat("é", 400)
	for _, tt := range []struct {
		name, body string
		status     int
		kind       courier.Kind
		want       string
	}{
		{"HTML of a proxy", "<html>502 bad gateway at 10.1.2.3</html>", 502, courier.Unavailable, "Neutron answered 502 Bad Gateway"},
		{"empty", "", 500, courier.Unavailable, "Neutron answered 500 Internal Server Error"},
		{"bare string", `{"NeutronError":"no"}`, 400, courier.Invalid, "no"},
		{"other types", `{"NeutronError":{"type":7,"message":[]}}`, 409, courier.Conflict, "Neutron answered 409 Conflict"},
		{"prefixes used up", `{"NeutronError":{"type":"SubnetAllocationError","message":"Failed to allocate subnet: Insufficient prefix space to allocate subnet size /24."}}`,
			500, courier.Exhausted, "Failed to allocate subnet: Insufficient prefix space to allocate subnet size /24"},
		{"several lines", `{"NeutronError":{"type":"X","message":"one\n\ttwo\u0000 \u001b[31mred\u202e."}}`, 400, courier.Invalid, "one two [31mred"},
		{"long", `{"NeutronError":{"type":"X","message":"` + long + `"}}`, 400, courier.Invalid, strings.Repeat("é", 150) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := client(t, answer(tt.status, tt.body)).DeletePort(t.Context(), portID)
			if courier.KindOf(err) != tt.kind {
				t.Errorf("kind: %v, want %v", courier.KindOf(err), tt.kind)
			}
			if want := "cannot delete port " + string(portID) + ": " + tt.want; err == nil || err.Error() != want || !utf8.ValidString(err.Error()) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestHintsOfAnswers(t *testing.T) {
	for _, tt := range []struct{ name, body, hint string }{
		{"binding", `{"NeutronError":{"type":"PolicyNotAuthorized","message":"(rule:create_port and rule:create_port:binding:host_id) is disallowed by policy"}}`,
			"create_port:binding:host_id; see docs/openstack.md"},
		{"policy", `{"NeutronError":{"type":"PolicyNotAuthorized","message":"((rule:delete_port and (rule:x:y)) and rule:z) is disallowed by policy"}}`,
			"it lacks the role for one of delete_port, x:y, z"},
		{"one rule", `{"NeutronError":{"type":"PolicyNotAuthorized","message":"rule:delete_port is disallowed by policy"}}`, "one of delete_port"},
		{"no policy", `{"NeutronError":{"type":"X","message":"no"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := courier.HintOf(client(t, answer(403, tt.body)).DeletePort(t.Context(), portID))
			if !strings.HasSuffix(got, tt.hint) || tt.hint == "" && got != "" {
				t.Errorf("hint %q, want %q at its end", got, tt.hint)
			}
		})
	}
}
