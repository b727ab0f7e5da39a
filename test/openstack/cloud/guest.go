package cloud

import (
	"context"
	"fmt"
	"path/filepath"

	"kuryr/internal/testkit"
)

// Guest is a compute host with a directory for what a test starts on it, a
// Docker engine and a Kuryr. There is one at a time; its Close ends them.
func (l *Lab) Guest(ctx context.Context, host string) (*testkit.Machine, error) {
	return testkit.GuestMachine(ctx, Namespace(host), filepath.Join(l.Dir, host, "test"))
}

// Southbound is the lab as the Kuryr of a compute host needs it. The test looks
// at Neutron from the host's machine, with a token of the account Kuryr.
func (l *Lab) Southbound(host string, m *testkit.Machine, token string) *testkit.Cloud {
	c := &testkit.Cloud{
		Host:        host,
		BridgeAgent: l.Mechanism == LinuxBridge,
		Neutron:     testkit.NewCloudNeutron(m, NetworkURL, token),
		Config: fmt.Sprintf("[neutron]\nauth_type = password\nauth_url = %s\nusername = %s\npassword = %s\nproject_name = %s\n"+
			"user_domain_name = Default\nproject_domain_name = Default\nregion_name = %s\n",
			AuthURL, Kuryr.User, Kuryr.Password, Kuryr.Project, Region),
	}
	if l.Mechanism.UsesOVS() {
		c.OVSDB = l.OVSDB(host)
		c.Config += "[ovs]\novsdb_connection = " + c.OVSDB + "\n"
	}
	return c
}
