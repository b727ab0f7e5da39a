package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

func TestNotices(t *testing.T) {
	published := func(n, forwarded int) courier.Status {
		return courier.Status{Attachments: []courier.AttachmentInfo{{Published: n, Forwarded: forwarded}}}
	}
	for _, tt := range []struct {
		name, kind string
		status     courier.Status
		want       []string
	}{
		{"nothing", "embedded", courier.Status{}, []string{}},
		{"embedded", "embedded", published(2, 0), []string{"2 published ports are not forwarded: networks have no router yet (docker run -p)"}},
		{"real", "real", published(3, 2), []string{
			"1 published port is not forwarded: a floating IP forwards them with port_forwarding_ip, those with a host's port and no host's address (docker run -p)"}},
		{"all forwarded", "real", published(2, 2), []string{}},
		{"exposed", "real", courier.Status{Unguarded: 1, Unexposed: 2, ExposeError: "cannot open ports tcp/80: Quota exceeded"}, []string{
			"1 endpoint has exposed ports that need no opening: port security is off",
			"ports of 2 endpoints are not opened, or closed, yet: cannot open ports tcp/80: Quota exceeded"}},
		{"removals", "real", courier.Status{Pending: 1, LastError: "cannot delete port: no answer"}, []string{
			"1 removal is being tried again: cannot delete port: no answer"}},
		{"losses", "real", courier.Status{Losses: []courier.Loss{{At: time.Unix(1e9, 0), What: "it is damaged at offset 7", File: "/x"}}}, []string{
			"the journal was found damaged on 2001-09-09 01:46:40 UTC: it is damaged at offset 7. " +
				"What it lost is being looked for in Neutron and the kernel; the damaged file is /x"}},
	} {
		s := Status{Neutron: NeutronStatus{Kind: tt.kind}, Courier: tt.status}
		if d := cmp.Diff(tt.want, s.notices()); d != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, d)
		}
	}
}
