package openstackclient

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// users of the minimal Keystone, whose passwords are their names: an
// administrator, and members of two projects.
var users = []struct{ name, role, projects string }{
	{"boss", "admin", "ops,blue"},
	{"joe", "member", "blue"},
	{"ann", "member", "red"},
}

// writeUsers writes the file of the users, as docs/embedded.md tells, and
// returns its path.
func writeUsers(t *testing.T, s *stand) string {
	t.Helper()
	var text strings.Builder
	for _, u := range users {
		cmd := exec.Command(s.binary, "neutron", "passwd")
		cmd.Stdin = strings.NewReader(u.name + "\n")
		hash, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(u.name + ":" + strings.TrimSpace(string(hash)) + ":" + u.role + ":" + u.projects + "\n")
	}
	return s.write(t, "users", text.String())
}

// writeClouds writes a clouds.yaml with a cloud for each user, named as the
// user, and two more: "forgetful" has a wrong password, "stray" a project
// that is not the user's.
func writeClouds(t *testing.T, s *stand) {
	t.Helper()
	text := "clouds:\n"
	for _, c := range []struct{ name, user, password, project string }{
		{"boss", "boss", "boss", "ops"}, {"joe", "joe", "joe", "blue"}, {"ann", "ann", "ann", "red"},
		{"forgetful", "joe", "ann", "blue"}, {"stray", "joe", "joe", "red"},
	} {
		text += "  " + c.name + ":\n    region_name: RegionOne\n    auth:\n      auth_url: " + s.url + "/v3\n      username: " + c.user +
			"\n      password: " + c.password + "\n      project_name: " + c.project +
			"\n      user_domain_name: Default\n      project_domain_name: Default\n"
	}
	s.write(t, "clouds.yaml", text)
}

func (s *stand) write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// identities has the administrator look around in the Keystone.
func identities(c *client) {
	c.object("token issue", fields{"user_id": "boss", "project_id": "ops"})
	c.list("catalog list", "Type", "identity", "network")
	c.list("project list", "Name", "blue", "ops", "red")
	c.list("project list --my-projects", "Name", "blue", "ops")
	c.object("project show red", fields{"id": "red", "enabled": true, "domain_id": "default"})
	c.fails("project show green", "No project with a name or ID of 'green' exists.")
	c.list("user list", "Name", "ann", "boss", "joe")
	c.object("user show boss", fields{"id": "boss", "domain_id": "default"})
}

// projects has two projects that don't see each other, and an administrator
// who sees both.
func projects(t *testing.T, s *stand, boss *client) {
	joe, ann := newClient(t, s, "OS_CLOUD=joe"), newClient(t, s, "OS_CLOUD=ann")
	joe.object("network create joes", fields{"project_id": "blue"})
	ann.object("network create anns", fields{"project_id": "red"})
	boss.object("network create bosses", fields{"project_id": "ops"})
	boss.object("network create everybodys --share", fields{"project_id": "ops", "shared": true})
	boss.object("network create gift --project red", fields{"project_id": "red"})

	joe.list("network list", "Name", "joes", "everybodys")
	ann.list("network list", "Name", "anns", "everybodys", "gift")
	boss.list("network list", "Name", "joes", "anns", "bosses", "everybodys", "gift")
	boss.list("network list --project red", "Name", "anns", "gift")
	joe.fails("network show anns", "No Network found for anns")
	joe.fails("network set --name mine everybodys", "disallowed by policy")
	joe.fails("network delete anns", "No Network found for anns")
	joe.fails("network create mine --share", "disallowed by policy")
	joe.fails("network create --project ops theirs", "No project with a name or ID of 'ops' exists.")
	joe.list("security group list", "Project", "blue")
	ann.list("security group list", "Project", "red")
	joe.fails("security group delete default", "Insufficient rights for removing default security group")
	joe.list("project list", "Name", "blue")
	joe.object("user show joe", fields{"name": "joe"})
	joe.fails("user show ann", "No user with a name or ID of 'ann' exists.")

	joe.do("network delete joes")
	ann.do("network delete anns gift")
	boss.do("network delete bosses everybodys")
	boss.list("network list", "Name")
}

// wrongPassword tries to get in without knowing how.
func wrongPassword(t *testing.T, s *stand) {
	for _, cloud := range []string{"forgetful", "stray"} {
		out, err := s.openstack("--os-cloud", cloud, "network", "list")
		if err == nil || out != "" || !strings.Contains(err.Error(), "The request you have made requires authentication. (HTTP 401)") {
			t.Errorf("%s: %q, %v", cloud, out, err)
		}
	}
}
