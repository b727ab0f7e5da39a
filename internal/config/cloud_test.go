package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoadCloud(t *testing.T) {
	limits := Cloud{Timeout: 120 * time.Second, MaxRequests: 32}
	openrc := map[string]string{
		"OS_AUTH_URL": "https://k/v3", "OS_USERNAME": "u", "OS_PASSWORD": "hunter2", "OS_TENANT_NAME": "p", "OS_USER_DOMAIN_NAME": "D",
		"OS_PROJECT_DOMAIN_ID": "d", "OS_REGION_NAME": "r", "OS_ENDPOINT_TYPE": "internalURL", "OS_CACERT": "ca.pem", "OS_INSECURE": "1",
	}
	for name, test := range map[string]struct {
		file  string
		env   map[string]string
		flags map[string]string
		want  Cloud
	}{
		"the Python Kuryr's file": {file: `[neutron]
auth_type = password
auth-url = http://k:5000/
username = u
password = hunter2
project_name = service
project_domain_name = Default
user_domain_name = Default
endpoint_type = public
region_name = RegionOne
cafile = /ca
certfile = /c
keyfile = /k
insecure = true
timeout = 9
`, want: Cloud{AuthType: "password", AuthURL: "http://k:5000/", Username: "u", Password: "hunter2", ProjectName: "service",
			ProjectDomainName: "Default", UserDomainName: "Default", Interfaces: "public", RegionName: "RegionOne", CAFile: "/ca",
			CertFile: "/c", KeyFile: "/k", Insecure: true, Timeout: 9 * time.Second}},
		"another section": {file: `[neutron]
auth_section = Keystone_AuthToken
region_name = r
password = of another
[keystone_authtoken]
www_authenticate_uri = http://k
auth_type = v3applicationcredential
auth_url = http://k
application_credential_id = i
application_credential_secret = hun$$ter2
region_name = of another
`, want: Cloud{AuthType: "v3applicationcredential", AuthURL: "http://k", AppCredentialID: "i", AppCredentialSecret: "hun$ter2", RegionName: "r"}},
		"a sourced openrc": {env: openrc, want: Cloud{AuthURL: "https://k/v3", Username: "u", Password: "hunter2", ProjectName: "p", UserDomainName: "D",
			ProjectDomainID: "d", RegionName: "r", Interfaces: "internalURL", CAFile: "ca.pem", Insecure: true}},
		"the environment over the file": {file: "[neutron]\nauth_url = http://k\nusername = f\nproject_id = i\n", env: map[string]string{"OS_USERNAME": "e", "OS_TOKEN": "t"},
			want: Cloud{AuthURL: "http://k", Username: "e", ProjectID: "i", Token: "t"}},
		"a cloud by flag": {file: "[neutron]\ncloud = f\n", env: map[string]string{"OS_CLOUD": "e", "OS_CLIENT_CONFIG_FILE": "/c"},
			flags: map[string]string{"cloud": "g"}, want: Cloud{Name: "g", File: "/c"}},
		"the older names": {file: "[neutron]\nauth_plugin = v3token\nauth_url = http://k\ntenant-id = i\nuser-name = u\nvalid_interfaces = internal, publicURL\nurl = http://n\n",
			want: Cloud{AuthType: "v3token", AuthURL: "http://k", ProjectID: "i", Username: "u", Interfaces: "internal, publicURL", EndpointOverride: "http://n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := sources(t, test.file, test.env)
			s.Flags = test.flags
			c, r, err := Load(s)
			if err != nil || len(r.Warnings) > 0 {
				t.Errorf("error %v, warnings %q", err, r.Warnings)
			}
			if test.want.Timeout == 0 {
				test.want.Timeout = limits.Timeout
			}
			test.want.MaxRequests = limits.MaxRequests
			if diff := cmp.Diff(test.want, c.Cloud); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !c.Cloud.Real() {
				t.Error("it is the embedded Neutron")
			}
			for _, text := range []string{fmt.Sprintf("%+v %#v", c, c), fmt.Sprintf("%+v", r)} {
				if strings.Contains(text, "hunter2") || strings.Contains(text, "hun$ter2") {
					t.Errorf("a secret is shown: %s", text)
				}
			}
		})
	}
}

func TestLoadWarnsOfAFileThatOthersCanRead(t *testing.T) {
	const text = "[neutron]\nauth_url = http://k\npassword = hunter2\n"
	for mode, want := range map[os.FileMode]bool{0o644: true, 0o640: false, 0o600: false} {
		s := sources(t, text, nil)
		if err := os.Chmod(s.File, mode); err != nil {
			t.Fatal(err)
		}
		_, r, err := Load(s)
		got := len(r.Warnings) == 1 && r.Warnings[0] == "every user of this host can read "+s.File+", which holds a secret ([neutron] password): chmod 640 it"
		if err != nil || got != want {
			t.Errorf("%o: %q (%v)", mode, r.Warnings, err)
		}
	}
	s := sources(t, "[DEFAULT]\nhost = a\n", map[string]string{"OS_AUTH_URL": "http://k", "OS_PASSWORD": "hunter2"})
	if err := os.Chmod(s.File, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, r, err := Load(s); err != nil || len(r.Warnings) > 0 {
		t.Errorf("the secret is not in the file: %q (%v)", r.Warnings, err)
	}
}

// FuzzLoad looks for texts that stop the reader, or bring a secret out.
func FuzzLoad(f *testing.F) {
	for _, r := range refusals {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := sources(t, text+"\n[neutron]\npassword = hunter2hunter2\n", nil)
		_, r, err := Load(s)
		if strings.Contains(text, "hunter2hunter2") {
			return
		}
		if all := fmt.Sprintf("%v %+v", err, r); strings.Contains(all, "hunter2hunter2") {
			t.Errorf("%q: %s", text, all)
		}
	})
}
