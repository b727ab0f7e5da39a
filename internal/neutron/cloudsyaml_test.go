package neutron

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

const yamlSecret = "hunter2hunter2"

// writeAll writes files into a directory, which others may read.
func writeAll(t testing.TB, files map[string]string, mode os.FileMode) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCloudsYAML(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	files := map[string]string{
		"clouds.yaml": `
clouds:
  full:
    auth:
      auth_url: https://k/v3
      username: u
      password: p
      project_name: n
      user_domain_name: ud
      project_domain_name: pd
    region_name: r
    interface: internal
    verify: false
    cacert: ~/ca.pem
    cert: /c
    key: /k
    identity_api_version: 3
  split:
    auth: {auth_url: https://k, username: u, project_id: i, default_domain: d}
    regions: [one, {name: two}]
    endpoint_type: adminURL
  credential:
    auth_type: v3applicationcredential
    auth: {auth_url: https://k, application_credential_id: i, application_credential_secret: 12345}
  vendor:
    profile: big
    auth: {token: t, project_name: n, domain_name: dn}
  none: {auth_type: none, network_endpoint_override: "http://n:9696"}
`,
		"secure.yaml":        "clouds:\n  split: {auth: {password: s}}\n  full: {auth: {password: over}}\n",
		"clouds-public.yaml": "public-clouds:\n  big: {auth: {auth_url: https://big}, region_name: far}\n",
	}
	dir := writeAll(t, files, 0o600)
	for name, want := range map[string]Cloud{
		"full": {AuthURL: "https://k/v3", Username: "u", Password: "over", ProjectName: "n", UserDomainName: "ud", ProjectDomainName: "pd",
			RegionName: "r", Interfaces: "internal", Insecure: true, CAFile: "/home/me/ca.pem", CertFile: "/c", KeyFile: "/k"},
		"split": {AuthURL: "https://k", Username: "u", Password: "s", ProjectID: "i", DefaultDomainID: "d", RegionName: "one", Interfaces: "adminURL"},
		"credential": {AuthType: "v3applicationcredential", AuthURL: "https://k", AppCredentialID: "i",
			AppCredentialSecret: "12345"},
		"vendor": {AuthURL: "https://big", Token: "t", ProjectName: "n", DefaultDomainName: "dn", RegionName: "far"},
		"none":   {AuthType: "none", EndpointOverride: "http://n:9696"},
	} {
		got, warnings, err := Cloud{Name: name, File: filepath.Join(dir, "clouds.yaml")}.complete()
		want.Name, want.File = name, filepath.Join(dir, "clouds.yaml")
		if d := cmp.Diff(want, got); d != "" || err != nil || len(warnings) > 0 {
			t.Errorf("%s: %v, warnings %q (-want +got)\n%s", name, err, warnings, d)
		}
		if _, err := got.login(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	given := Cloud{Name: "full", File: filepath.Join(dir, "clouds.yaml"), UserID: "mine", Password: "mine", RegionName: "mine", ProjectID: "mine"}
	got, _, err := given.complete()
	if err != nil || got.UserID != "mine" || got.Username != "" || got.Password != "mine" || got.RegionName != "mine" ||
		got.ProjectID != "mine" || got.ProjectName != "" || got.AuthURL != "https://k/v3" {
		t.Errorf("what was given does not win: %+v (%v)", got, err)
	}
}

// TestCloudsYAMLIsFound looks where OpenStack's clients do.
func TestCloudsYAMLIsFound(t *testing.T) {
	const text = "clouds: {c: {auth: {auth_url: https://%s}}}"
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Chdir(t.TempDir())
	_, _, err := Cloud{Name: "c"}.complete()
	want := "cannot use cloud c: there is no clouds.yaml: clouds.yaml, " + config + "/openstack/clouds.yaml, /etc/openstack/clouds.yaml"
	if err == nil || err.Error() != want || !strings.Contains(courier.HintOf(err), "clouds_file") {
		t.Errorf("%v, want %s", err, want)
	}
	if err := os.Mkdir(config+"/openstack", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{config + "/openstack/clouds.yaml": "https://user", "clouds.yaml": "https://here"} {
		if path == "clouds.yaml" {
			continue // after the other, over which it wins
		}
		if err := os.WriteFile(path, fmt.Appendf(nil, text, "user"), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, _, err := (Cloud{Name: "c"}).complete(); err != nil || c.AuthURL != want {
			t.Errorf("%q: %v", c.AuthURL, err)
		}
	}
	if err := os.WriteFile("clouds.yaml", fmt.Appendf(nil, text, "here"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, _, err := (Cloud{Name: "c"}).complete(); err != nil || c.AuthURL != "https://here" {
		t.Errorf("%q: %v", c.AuthURL, err)
	}
}

func TestCloudsYAMLThatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  string // DIR stands for the directory
	}{
		"no such cloud":   {map[string]string{"clouds.yaml": "clouds: {}"}, "cannot use cloud c: there is no such cloud in DIR/clouds.yaml"},
		"not YAML":        {map[string]string{"clouds.yaml": "clouds:\n c: {auth: {password: " + yamlSecret}, "cannot read DIR/clouds.yaml:2: it is not of the form of clouds.yaml"},
		"another form":    {map[string]string{"clouds.yaml": "clouds:\n  c:\n    auth: " + yamlSecret}, "cannot read DIR/clouds.yaml:3: it is not of the form of clouds.yaml"},
		"a list":          {map[string]string{"clouds.yaml": "- " + yamlSecret}, "cannot read DIR/clouds.yaml:1: it is not of the form of clouds.yaml"},
		"empty":           {map[string]string{"clouds.yaml": ""}, "cannot use cloud c: there is no such cloud in DIR/clouds.yaml"},
		"secure is wrong": {map[string]string{"clouds.yaml": "clouds: {c: }", "secure.yaml": "clouds:\n  c: " + yamlSecret}, "cannot read DIR/secure.yaml:2: it is not of the form of clouds.yaml"},
		"too large":       {map[string]string{"clouds.yaml": strings.Repeat("#", maxClouds+1)}, "cannot read DIR/clouds.yaml: it is larger than 1048576 bytes"},
	} {
		dir := writeAll(t, tt.files, 0o600)
		_, _, err := Cloud{Name: "c", File: filepath.Join(dir, "clouds.yaml")}.complete()
		if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != tt.want || courier.KindOf(err) != courier.Invalid {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), yamlSecret) {
			t.Errorf("%s: the secret is in %#v", name, err)
		}
	}
	c := Cloud{Name: "c", File: filepath.Join(writeAll(t, map[string]string{"clouds.yaml": "clouds: {c: {}}"}, 0o600), "clouds.yaml")}
	c, _, err := c.complete()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.login(); err == nil || err.Error() != "cannot use cloud c: auth_url is missing" {
		t.Errorf("a cloud without auth: %v", err)
	}
}

func TestCloudsYAMLThatOthersCanRead(t *testing.T) {
	dir := writeAll(t, map[string]string{
		"clouds.yaml": "clouds: {a: {auth: {password: x}}, b: {auth: {username: x}}}", "secure.yaml": "clouds: {}"}, 0o644)
	for name, want := range map[string]int{"a": 2, "b": 1} {
		_, warnings, err := Cloud{Name: name, File: filepath.Join(dir, "clouds.yaml")}.complete()
		if err != nil || len(warnings) != want || !strings.Contains(strings.Join(warnings, " "), "can read "+dir+"/secure.yaml, which holds a secret: chmod 640 it") {
			t.Errorf("%s: %q (%v)", name, warnings, err)
		}
	}
}

// FuzzClouds looks for a file that stops the reader, or whose secret comes out.
func FuzzClouds(f *testing.F) {
	f.Add("clouds:\n  c:\n    auth: {password: " + yamlSecret + ", auth_url: 'http://x', username: u}\n    regions: [a, {name: b}]\n")
	f.Add("clouds: {c: {profile: x, verify: no, cacert: ~/x, auth: {application_credential_id: 1}}}")
	f.Add("clouds: &a {c: *a}")
	f.Add("clouds: {c: {auth: {auth_url: 'http://u:" + yamlSecret + "@h'}}}")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "clouds.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := Cloud{Name: "c", File: path}.complete()
		if err == nil {
			_, err = c.login()
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), yamlSecret) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
