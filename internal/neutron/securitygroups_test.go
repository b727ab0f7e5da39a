package neutron_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

const groupID = courier.SecurityGroupID("eef9b482-4f7b-4f60-bf5b-07cc638ced1e")

// What Neutron answered when it made a group: rules of its own that no
// opening is, in IPv4 and IPv6.
func TestSecurityGroupCapture(t *testing.T) {
	var sent struct {
		Group map[string]any `json:"security_group"`
	}
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		readCapture(t, "security-group-create").ServeHTTP(w, r)
	})
	m := courier.Mark{Host: "node1", Intent: "8a1d"}
	got, err := c.CreateSecurityGroup(t.Context(), courier.SecurityGroupSpec{Name: "capsg", Project: "p1", Mark: m})
	if err != nil {
		t.Fatal(err)
	}
	want := courier.SecurityGroup{ID: groupID, Name: "capsg", Project: "99ccf9d6f1de4c649c4da7b700f05e46",
		Created: time.Date(2026, 11, 23, 2, 12, 52, 0, time.UTC),
		Rules: []courier.SecurityGroupRule{
			{ID: "1caeefdc-4c51-4f57-87c2-6f24918c2999"}, {ID: "a628351b-91dc-4ac4-a1fc-e03d009d7714"}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]any{"name": "capsg", "project_id": "p1", "description": "kuryr:node1:8a1d"}, sent.Group); d != "" {
		t.Error(d)
	}
}

func TestOpenPortsRequest(t *testing.T) {
	var sent string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = r.Method + " " + r.URL.Path + " " + string(b)
		readCapture(t, "security-group-rule-bulk").ServeHTTP(w, r)
	})
	o := courier.Opening{Family: courier.IPv6, Ports: courier.PortRange{Protocol: courier.SCTP, First: 9, Last: 11}}
	if err := c.OpenPorts(t.Context(), groupID, []courier.Opening{o}, courier.Mark{Host: "node1", Intent: "8a1d"}); err != nil {
		t.Fatal(err)
	}
	want := `POST /v2.0/security-group-rules {"security_group_rules":[{"description":"kuryr:node1:8a1d","direction":"ingress","ethertype":"IPv6",` +
		`"port_range_max":11,"port_range_min":9,"protocol":"sctp","security_group_id":"` + string(groupID) + `"}]}`
	if sent != want {
		t.Errorf("sent %s\nwant %s", sent, want)
	}
}

func TestPortSecurityCapture(t *testing.T) {
	for body, want := range map[string]courier.PortSecurity{
		string(readCapture(t, "port-security-off").Body): {Port: portID, Project: "99ccf9d6f1de4c649c4da7b700f05e46", Groups: []courier.SecurityGroupID{}, Revision: 9},
		// A cloud without the extension guards every port.
		`{"port":{"project_id":"p","security_groups":["` + string(groupID) + `"],"revision_number":3}}`: {
			Port: portID, Project: "p", Enabled: true, Groups: []courier.SecurityGroupID{groupID}, Revision: 3},
	} {
		got, err := client(t, answer(http.StatusOK, body)).PortSecurity(t.Context(), portID)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	_, err := client(t, answer(http.StatusOK, `{"port":{"security_groups":["../x"]}}`)).PortSecurity(t.Context(), portID)
	if courier.KindOf(err) != courier.Unavailable {
		t.Errorf("an ID that is none: %v", err)
	}
}

func TestSetSecurityGroupsRequest(t *testing.T) {
	for _, tt := range []struct {
		was   courier.PortSecurity
		now   []courier.SecurityGroupID
		match string
		body  string
	}{
		{courier.PortSecurity{Port: portID, Revision: 7}, nil, "revision_number=7", `{"port":{"security_groups":[]}}`},
		{courier.PortSecurity{Port: portID}, []courier.SecurityGroupID{groupID}, "", `{"port":{"security_groups":["` + string(groupID) + `"]}}`},
	} {
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if got := strings.TrimSpace(string(b)); err != nil || r.Method != http.MethodPut || got != tt.body || r.Header.Get("If-Match") != tt.match {
				t.Errorf("%s %s, If-Match %q (%v)", r.Method, got, r.Header.Get("If-Match"), err)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte(`{"port":{}}`))
		})
		if err := c.SetSecurityGroups(t.Context(), tt.was, tt.now); err != nil {
			t.Error(err)
		}
	}
}

func TestSecurityGroupRefusals(t *testing.T) {
	ctx := t.Context()
	opening := []courier.Opening{{Family: courier.IPv4, Ports: courier.PortRange{Protocol: courier.TCP, First: 80, Last: 80}}}
	for name, err := range map[string]error{
		"Security Group " + string(groupID) + " in use": client(t, readCapture(t, "security-group-delete-in-use").ServeHTTP).DeleteSecurityGroup(ctx, groupID),
		"Security group rule already exists":            client(t, readCapture(t, "security-group-rule-dup").ServeHTTP).OpenPorts(ctx, groupID, opening, courier.Mark{}),
		"Constrained to 6, but current revision is 7":   client(t, readCapture(t, "revision-if-match-stale").ServeHTTP).SetSecurityGroups(ctx, courier.PortSecurity{Port: portID, Revision: 6}, nil),
	} {
		if courier.KindOf(err) != courier.Conflict || !strings.Contains(err.Error(), name) {
			t.Errorf("%v (%v), want a conflict: %s", err, courier.KindOf(err), name)
		}
	}
}
