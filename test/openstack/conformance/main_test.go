// Package conformance holds the lab's Keystone and Neutron against what the
// rest of the tests take the embedded one for, and Kuryr's client against a
// real Keystone. It needs the API alone, and makes users and projects of its
// own, so that it may run beside others. Only no Kuryr may run
// on the lab's first host meanwhile: what is made there in its name it would
// remove.
package conformance

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/neutron"
	"kuryr/internal/observe"
	"kuryr/test/openstack/cloud"
)

// TestMain has the clients under test, whose own connections are made as
// http.DefaultTransport makes them, connect from within the lab.
func TestMain(m *testing.M) {
	if dir := os.Getenv(cloud.Variable); dir != "" {
		lab := &cloud.Lab{Dir: dir}
		http.DefaultTransport.(*http.Transport).DialContext = lab.Machine(cloud.Controller).Dial
	}
	os.Exit(m.Run())
}

// bench is the lab, and its administrator.
type bench struct {
	*cloud.Lab
	admin *cloud.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	lab, admin := cloud.NeedLab(t, cloud.Admin)
	return &bench{lab, admin}
}

// account makes a user in a project for as long as the test lasts. Its name,
// which is its password's beginning too, is new each time.
func (b *bench) account(t *testing.T, project string, roles ...string) cloud.Account {
	t.Helper()
	name := "conformance-" + uuid.NewString()[:8]
	if project == "" {
		project = name
	}
	a := cloud.Account{User: name, Password: name + "-secret", Project: project, Roles: roles}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := b.admin.RemoveAccount(ctx, a); err != nil {
			t.Errorf("removing the account %s: %v", a.User, err)
		}
	})
	if err := b.admin.EnsureAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

// client speaks to the lab as an account.
func (b *bench) client(t *testing.T, a cloud.Account) *cloud.Client {
	t.Helper()
	c, err := b.Client(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// settings are what Kuryr is told to come in as an account.
func settings(a cloud.Account) neutron.Cloud {
	return neutron.Cloud{AuthURL: cloud.AuthURL, RegionName: cloud.Region,
		Username: a.User, Password: observe.Secret(a.Password), ProjectName: a.Project}
}

// kuryr returns a client of Kuryr's that has come in with these settings.
func (b *bench) kuryr(t *testing.T, c neutron.Cloud) *neutron.Client {
	t.Helper()
	return b.open(t, neutron.Options{Cloud: func() (neutron.Cloud, error) { return c, nil }})
}

// open returns a client of Kuryr's that has come in.
func (b *bench) open(t *testing.T, o neutron.Options) *neutron.Client {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	n, err := neutron.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Check(t.Context(), b.Hosts[0]); err != nil {
		t.Fatal(err)
	}
	return n
}
