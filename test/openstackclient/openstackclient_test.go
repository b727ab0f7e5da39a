package openstackclient

import "testing"

// stories are the lives of the resources: create, show, set, list with
// filters, delete, and what must be refused. Each leaves nothing behind.
var stories = []struct {
	resource string
	tell     func(*client)
}{
	{"network", networks},
	{"subnet", subnets},
	{"subnet pool", subnetPools},
	{"address scope", addressScopes},
	{"port", ports},
	{"port binding", portExtras},
	{"security group", securityGroups},
	{"security group rule", securityGroupRules},
	{"address group", addressGroups},
	{"network qos", qos},
	{"quota", quotas},
	{"network agent", agents},
	{"extension", extensions},
}

// tellAll tells the stories to one client.
func (c *client) tellAll(t *testing.T) {
	for _, story := range stories {
		t.Run(story.resource, func(t *testing.T) { story.tell(c.with(t)) })
	}
}

// with returns the client with the test that it is to fail.
func (c *client) with(t *testing.T) *client {
	other := *c
	other.t = t
	return &other
}

// TestClient tells the stories twice, side by side: to a Neutron without
// authentication, and with the minimal Keystone. It is one test, since all
// that it starts takes its time.
func TestClient(t *testing.T) {
	binary := build(t)
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, binary)
		s.serve(t)
		t.Run("flags", func(t *testing.T) { flags(t, s) })
		newClient(t, s, "OS_AUTH_TYPE=none", "OS_ENDPOINT="+s.url).tellAll(t)
	})
	t.Run("keystone", func(t *testing.T) {
		t.Parallel()
		s := newStand(t, binary)
		s.serve(t, "--keystone", writeUsers(t, s))
		writeClouds(t, s)
		boss := newClient(t, s, "OS_CLOUD=boss")
		boss.tellAll(t)
		t.Run("identity", func(t *testing.T) { identities(boss.with(t)) })
		t.Run("projects", func(t *testing.T) { projects(t, s, boss.with(t)) })
		t.Run("wrong password", func(t *testing.T) { wrongPassword(t, s) })
	})
}

// flags has the client told where Neutron is by flags, as its help says.
func flags(t *testing.T, s *stand) {
	t.Helper()
	where := []string{"--os-auth-type", "none", "--os-endpoint", s.url}
	if _, err := s.openstack(append(where, "network", "create", "blue")...); err != nil {
		t.Fatal(err)
	}
	out, err := s.openstack(append(where, "network", "list", "-f", "value", "-c", "Name")...)
	if err != nil || out != "blue\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := s.openstack(append(where, "network", "delete", "blue")...); err != nil {
		t.Error(err)
	}
}
