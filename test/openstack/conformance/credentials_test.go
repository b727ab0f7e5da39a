package conformance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
	"kuryr/test/openstack/cloud"
)

// TestEveryWayIn has Kuryr come in as an operator may have it.
func TestEveryWayIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	unchecked := settings(cloud.Kuryr)
	unchecked.AuthURL, unchecked.RegionName, unchecked.Insecure = cloud.SecureAuthURL, cloud.SecureRegion, true
	for name, tt := range map[string]struct {
		cloud neutron.Cloud
		at    string // Neutron's URL
	}{
		"password":                   {neutron.Cloud{Name: cloud.Kuryr.User, File: b.Clouds()}, cloud.NetworkURL},
		"application credential":     {neutron.Cloud{Name: cloud.KuryrApp, File: b.Clouds()}, cloud.NetworkURL},
		"cafile":                     {neutron.Cloud{Name: cloud.KuryrTLS, File: b.Clouds()}, cloud.SecureNetworkURL},
		"insecure":                   {unchecked, cloud.SecureNetworkURL},
		"region in the file's place": {neutron.Cloud{Name: cloud.KuryrTLS, File: b.Clouds(), RegionName: cloud.Region}, cloud.NetworkURL},
		"internal endpoint":          {neutron.Cloud{Name: cloud.Kuryr.User, File: b.Clouds(), Interfaces: "internal"}, cloud.NetworkURL},
		"token":                      {neutron.Cloud{AuthURL: cloud.AuthURL, RegionName: cloud.Region, Token: observe.Secret(b.client(t, cloud.Kuryr).Token())}, cloud.NetworkURL},
	} {
		t.Run(name, func(t *testing.T) {
			c := b.kuryr(t, tt.cloud)
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if got, want := c.Endpoint(), tt.at+"/v2.0/"; got != want {
				t.Errorf("Neutron is at %s, want %s", got, want)
			}
		})
	}
}

// TestRefusals looks at the line that an operator's mistake gets.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	plain := b.account(t, "", "member")
	member := b.client(t, plain)
	network, err := member.Create(t.Context(), cloud.NeutronAPI, "network", cloud.Resource{"name": plain.User})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := member.Delete(t.Context(), cloud.NeutronAPI, "network", network["id"].(string)); err != nil {
			t.Error(err)
		}
	}()
	const keystone = "cannot authenticate with Keystone at " + cloud.AuthURL + ": "
	const secure = "cannot authenticate with Keystone at " + cloud.SecureAuthURL + ": "
	for name, tt := range map[string]struct {
		change func(*neutron.Cloud)
		kind   courier.Kind
		want   string
		hint   string // a part of it
	}{
		"password": {func(c *neutron.Cloud) { c.Password += "-not" }, courier.Unauthorized,
			keystone + "it refuses user " + plain.User + " in project " + plain.Project, "check the password"},
		"user": {func(c *neutron.Cloud) { c.Username = "nobody" }, courier.Unauthorized,
			keystone + "it refuses user nobody in project " + plain.Project, "check the password"},
		"domain": {func(c *neutron.Cloud) { c.UserDomainName = "nowhere" }, courier.Unauthorized,
			keystone + "it refuses user " + plain.User + " in project " + plain.Project, "domains"},
		"project without a role": {func(c *neutron.Cloud) { c.ProjectName = cloud.Kuryr.Project }, courier.Unauthorized,
			keystone + "it refuses user " + plain.User + " in project kuryr", "has a role in it"},
		"application credential": {func(c *neutron.Cloud) {
			*c = neutron.Cloud{Name: cloud.KuryrApp, File: b.Clouds(), AppCredentialSecret: "not-" + c.Password}
		}, courier.Unauthorized, keystone + "it refuses the application credential", "expired"},
		"token": {func(c *neutron.Cloud) {
			*c = neutron.Cloud{AuthURL: c.AuthURL, Token: c.Password}
		}, courier.Unauthorized, keystone + "it refuses the token", "a password or an application credential"},
		"region": {func(c *neutron.Cloud) { c.RegionName = "RegionTwo" }, courier.Invalid,
			keystone + "its catalog has no network service in region RegionTwo, but in: RegionOne, RegionTLS", "region_name"},
		"interface": {func(c *neutron.Cloud) { c.Interfaces = "private" }, courier.Invalid,
			keystone + "its catalog has no private endpoint of the network service, but: admin, internal, public", "endpoint_type"},
		"no authority": {func(c *neutron.Cloud) { c.AuthURL = cloud.SecureAuthURL }, courier.Invalid,
			secure + "it cannot be reached: its certificate is of an unknown authority", "cafile"},
		"wrong authority": {func(c *neutron.Cloud) { c.AuthURL, c.CAFile = cloud.SecureAuthURL, strangers(t) }, courier.Invalid,
			secure + "it cannot be reached: its certificate is of an unknown authority", "cafile"},
		"TLS where there is none": {func(c *neutron.Cloud) { c.AuthURL = "https://" + cloud.ControllerAddress + ":5000/v3" }, courier.Unavailable,
			"cannot authenticate with Keystone at https://" + cloud.ControllerAddress + ":5000/v3: it cannot be reached: it closes the connection", "http://"},
		"Neutron for Keystone": {func(c *neutron.Cloud) { c.AuthURL = cloud.NetworkURL + "/v3" }, courier.Invalid,
			"cannot authenticate with Keystone at " + cloud.NetworkURL + "/v3: it answers 404 Not Found, not as Keystone does", "auth_url"},
		"Keystone for Neutron": {func(c *neutron.Cloud) { c.EndpointOverride = cloud.AuthURL }, courier.Invalid,
			"cannot use Neutron at " + cloud.AuthURL + "/v2.0/: it answers 404 Not Found, not as Neutron does", "endpoint_override"},
		"role": {func(*neutron.Cloud) {}, courier.Unauthorized,
			"cannot use Neutron at " + cloud.NetworkURL + "/v2.0/: Kuryr's user may not bind ports to a host (its roles: member, reader)", "role"},
	} {
		t.Run(name, func(t *testing.T) {
			c := settings(plain)
			tt.change(&c)
			var log bytes.Buffer
			n, err := neutron.New(neutron.Options{
				Cloud: func() (neutron.Cloud, error) { return c, nil },
				Log:   slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err == nil {
				err = n.Check(t.Context(), b.Hosts[0])
			}
			if err == nil || err.Error() != tt.want || courier.KindOf(err) != tt.kind {
				t.Fatalf("%v (%v)\nwant %s (%v)", err, courier.KindOf(err), tt.want, tt.kind)
			}
			var told *courier.Error
			if !errors.As(err, &told) || !strings.Contains(told.Hint, tt.hint) {
				t.Errorf("the hint of %v is %q, want ...%s...", err, told.Hint, tt.hint)
			}
			if strings.Contains(log.String(), plain.Password) {
				t.Errorf("the secret is in the log:\n%s", log.String())
			}
		})
	}
}

// strangers returns a file with an authority that has issued nothing.
func strangers(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
