package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// defaults is the Config of a machine named node1 where nothing is set.
func defaults() Config {
	return Config{
		Host:                        "node1",
		StateDir:                    "/var/lib/kuryr",
		DockerSocket:                "/run/docker/plugins/kuryr.sock",
		AdminSocket:                 "/run/kuryr/kuryr.sock",
		SocketGroup:                 "docker",
		CapabilityScope:             "local",
		LocalAddressSpace:           "no_address_space",
		GlobalAddressSpace:          "no_address_space",
		ProcessExternalConnectivity: true,
		SubnetPoolPrefix:            "kuryrPool",
		RequestTimeout:              20 * time.Second,
		LostRequestTimeout:          30 * time.Second,
		BindDir:                     "/usr/libexec/kuryr",
		ReconcileInterval:           300 * time.Second,
		VethDstPrefix:               "eth",
		OVSDBConnection:             "unix:/run/openvswitch/db.sock",
		IntegrationBridge:           "br-int",
		PortPoolMax:                 64,
		PortPoolMin:                 3,
		PortPoolBatch:               10,
		PortPoolCoolDown:            10 * time.Second,
		PortPoolIdle:                5 * time.Minute,
		EnableDHCP:                  true,
		DefaultPoolV4:               "kuryr",
		DefaultPoolV6:               "kuryr6",
		AllowedOptions:              []string{"safe"},
		SSLCertFile:                 "/var/lib/kuryr/certs/cert.pem",
		SSLKeyFile:                  "/var/lib/kuryr/certs/key.pem",
		Cloud:                       Cloud{Timeout: 120 * time.Second, MaxRequests: 32},
	}
}

// sources are a file of that text (none when it is empty) and an environment.
func sources(t *testing.T, text string, env map[string]string) Sources {
	t.Helper()
	s := Sources{
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Hostname:  func() (string, error) { return "node1", nil },
	}
	if text != "" {
		s.File, s.FileGiven = filepath.Join(t.TempDir(), "kuryr.conf"), true
		if err := os.WriteFile(s.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestLoadDefaults(t *testing.T) {
	c, r, err := Load(sources(t, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), c); diff != "" {
		t.Errorf("config (-want +got)\n%s", diff)
	}
	if r.File != "" || len(r.Warnings) != 0 {
		t.Errorf("report of file %q, warnings %q", r.File, r.Warnings)
	}
	if len(r.Settings) != len(Options()) {
		t.Errorf("%d settings of %d options", len(r.Settings), len(Options()))
	}
	for _, s := range r.Settings {
		if s.Origin.String() != "default" || s.Ignored {
			t.Errorf("%s.%s from %s, ignored %t", s.Section, s.Option, s.Origin, s.Ignored)
		}
	}
}

func TestLoadEverythingFromTheFile(t *testing.T) {
	c, r, err := Load(sources(t, `
[DEFAULT]
host = node-a
state_dir = /srv/kuryr
docker_socket = /run/docker/plugins/k.sock
admin_socket: "/run/k/admin.sock"
socket_group = wheel
neutron_listen = [::1]:9696
debug = YES
kuryr_uri = http://192.0.2.1:23750/
enable_ssl = true
ssl_cert_file = /etc/k/cert
ssl_key_file = /etc/k/key
ssl_ca_file = /etc/k/ca
capability_scope = 'global'
local_default_address_space = l
global_default_address_space = g
process_external_connectivity = off
requires_mac_address = 1
subnetpool_name_prefix = my Pool
request_timeout = 300
bindir = /opt/vifs
lost_request_timeout = 200
reconcile_interval = 900
[Binding]
veth_dst_prefix = net
[OVS]
ovsdb_connection = unix:/run/ovs.sock
integration_bridge = br0
[vif_pool]
ports_pool_max = 0
ports_pool_min = 1
ports_pool_batch = 100
ports_pool_cooldown = 0
ports_pool_idle = 60
[NEUTRON]
vif_plugging_is_fatal = true
vif_plugging_timeout = 30
enable_dhcp = False
default_subnetpool_v4 = four-$host
default_subnetpool_v6 = six
allowed_options = safe,, neutron.port.*
compat_tags = on
timeout = 7
max_requests = 8
`, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Host: "node-a", StateDir: "/srv/kuryr", KuryrURI: "https://192.0.2.1:23750", EnableSSL: true,
		SSLCertFile: "/etc/k/cert", SSLKeyFile: "/etc/k/key", SSLCAFile: "/etc/k/ca", DockerSocket: "/run/docker/plugins/k.sock",
		AdminSocket: "/run/k/admin.sock", SocketGroup: "wheel", CapabilityScope: "global", LocalAddressSpace: "l",
		GlobalAddressSpace: "g", RequiresMACAddress: true, SubnetPoolPrefix: "my Pool", RequestTimeout: 300 * time.Second, LostRequestTimeout: 200 * time.Second, ReconcileInterval: 900 * time.Second,
		Debug: true, NeutronListen: "[::1]:9696", BindDir: "/opt/vifs", VethDstPrefix: "net", DefaultPoolV4: "four-node-a", DefaultPoolV6: "six",
		AllowedOptions: []string{"safe", "neutron.port.*"}, CompatTags: true,
		Cloud:           Cloud{Timeout: 7 * time.Second, MaxRequests: 8},
		OVSDBConnection: "unix:/run/ovs.sock", IntegrationBridge: "br0", VIFPluggingIsFatal: true, VIFPluggingTimeout: 30 * time.Second,
		PortPoolMax: 0, PortPoolMin: 1, PortPoolBatch: 100, PortPoolCoolDown: 0, PortPoolIdle: time.Minute,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("config (-want +got)\n%s", diff)
	}
	for _, s := range r.Settings {
		if s.Origin.Kind != FromFile && !of(cloudOptions(), s.Option) && s.Option != "port_forwarding_ip" {
			t.Errorf("%s.%s from %s", s.Section, s.Option, s.Origin)
		}
	}
	if len(r.Warnings) != 1 || !strings.HasPrefix(r.Warnings[0], "options without an effect in this version: [neutron] timeout (") || !strings.Contains(r.Warnings[0], ", [neutron] max_requests (") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

func of(options []Option, name string) bool {
	return slices.ContainsFunc(options, func(o Option) bool { return o.Name == name })
}

func TestLoadPrecedence(t *testing.T) {
	const file = "[DEFAULT]\nhost = from-file\ncapability_scope = global\n"
	for name, test := range map[string]struct {
		file         string
		env, flags   map[string]string
		want, origin string // of host
	}{
		"default":                  {want: "node1", origin: "default"},
		"file over default":        {file: file, want: "from-file", origin: "kuryr.conf:2"},
		"environment over file":    {file: file, env: map[string]string{"KURYR_HOST": "from-env"}, want: "from-env", origin: "env KURYR_HOST"},
		"oslo's variable too":      {file: file, env: map[string]string{"OS_DEFAULT__HOST": "oslo"}, want: "oslo", origin: "env OS_DEFAULT__HOST"},
		"our variable over oslo's": {env: map[string]string{"OS_DEFAULT__HOST": "oslo", "KURYR_HOST": "ours"}, want: "ours", origin: "env KURYR_HOST"},
		"an empty variable is none": {file: file, env: map[string]string{"KURYR_HOST": ""},
			want: "from-file", origin: "kuryr.conf:2"},
		"flag over all": {file: file, env: map[string]string{"KURYR_HOST": "from-env"}, flags: map[string]string{"host": "from-flag"},
			want: "from-flag", origin: "flag --host"},
		"no references in variables": {env: map[string]string{"KURYR_HOST": "$host"}, want: "$host", origin: "env KURYR_HOST"},
		"the last assignment wins":   {file: file + "host = later\n", want: "later", origin: "kuryr.conf:4"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sources(t, test.file, test.env)
			s.Flags = test.flags
			c, r, err := Load(s)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(r.Settings, func(s Setting) bool { return s.Option == "host" })
			origin := filepath.Base(r.Settings[i].Origin.String())
			if c.Host != test.want || r.Settings[i].Value != test.want || origin != test.origin {
				t.Errorf("host is %q, shown as %q from %s; want %q from %s", c.Host, r.Settings[i].Value, origin, test.want, test.origin)
			}
		})
	}
}

// refusals are texts of kuryr.conf and the one line each is refused with;
// FILE stands for the path.
var refusals = []struct {
	text        string
	unsupported bool
	want        string
	hint        string // a part of it
}{
	{"[DEFAULT]\nrequest_timeout = soon\n", false,
		`cannot use [DEFAULT] request_timeout at FILE:2: "soon" is not a whole number of seconds from 1 to 300`, ""},
	{"[DEFAULT]\nrequest_timeout = 301\n", false,
		`cannot use [DEFAULT] request_timeout at FILE:2: "301" is not a whole number of seconds from 1 to 300`, ""},
	{"[DEFAULT]\nrequest_timeout = -9223372036\n", false,
		`cannot use [DEFAULT] request_timeout at FILE:2: "-9223372036" is not a whole number of seconds from 1 to 300`, ""},
	{"[DEFAULT]\n\ndebug = maybe\n", false,
		`cannot use [DEFAULT] debug at FILE:3: "maybe" is neither true nor false (nor yes, no, on, off, 1, 0)`, ""},
	{"[DEFAULT]\ndebug = true # for now\n", false,
		`cannot use [DEFAULT] debug at FILE:2: "true # for now" is neither true nor false (nor yes, no, on, off, 1, 0)`, "line of its own"},
	{"[DEFAULT]\ndebug = true\n  # for now\n", false,
		`cannot use [DEFAULT] debug at FILE:2: its value goes on in the next line`, "first column"},
	{"[DEFAULT]\ncapability_scope = Local\n", false,
		`cannot use [DEFAULT] capability_scope at FILE:2: "Local" is not one of: local, global`, ""},
	{"[neutron]\nallowed_options = neutron.net.uuid, neutron.*.uuid\n", false,
		`cannot use [neutron] allowed_options at FILE:2: "neutron.*.uuid" has a star that is not at its end`, ""},
	{"[neutron]\nallowed_options = net.uuid\n", false,
		`cannot use [neutron] allowed_options at FILE:2: "net.uuid" is no option of Neutron's`, "neutron.net.uuid"},
	{"[DEFAULT]\nhost =\n", false, `cannot use [DEFAULT] host at FILE:2: it must not be empty`, ""},
	{"[DEFAULT]\nhost = a b\n", false, `cannot use [DEFAULT] host at FILE:2: "a b" has white space in it`, ""},
	{"[DEFAULT]\nhost = $nothing\n", false, `cannot use [DEFAULT] host at FILE:2: $nothing refers to no option`, "$$"},
	{"[DEFAULT]\nhost = $host\n", false, `cannot use [DEFAULT] host at FILE:2: $host refers to itself`, ""},
	{"[DEFAULT]\nhost = x$neutron.password\n[neutron]\nauth_url = http://k\npassword = hunter2\n", false,
		`cannot use [DEFAULT] host at FILE:2: $neutron.password refers to a secret`, ""},
	{"[DEFAULT]\nstate_dir = lib\n", false, `cannot use [DEFAULT] state_dir at FILE:2: "lib" is not an absolute path`, ""},
	{"[DEFAULT]\nadmin_socket = /run/\n", false,
		`cannot use [DEFAULT] admin_socket at FILE:2: "/run/" is a directory's path, not a socket's`, ""},
	{"[DEFAULT]\nadmin_socket = /run/docker/plugins/kuryr.sock\n", false,
		`cannot use [DEFAULT] admin_socket at FILE:2: "/run/docker/plugins/kuryr.sock" is the docker_socket already`, ""},
	{"[DEFAULT]\nkuryr_uri = https://127.0.0.1:23750\n", false,
		`cannot use [DEFAULT] kuryr_uri at FILE:2: https:// needs enable_ssl = true`, "ssl_ca_file"},
	{"[DEFAULT]\nkuryr_uri = https://example.org:23750\nenable_ssl = true\nssl_ca_file = /ca\n", false,
		`cannot use [DEFAULT] kuryr_uri at FILE:2: "example.org" is not an IP address`, "0.0.0.0"},
	{"[DEFAULT]\nkuryr_uri = https://0.0.0.0:23750\nenable_ssl = true\nssl_cert_file =\nssl_ca_file = /ca\n", false,
		`cannot use [DEFAULT] enable_ssl at FILE:3: it needs ssl_cert_file and ssl_key_file`, ""},
	{"[DEFAULT]\nkuryr_uri = http://0.0.0.0:23750\n", false,
		`cannot use [DEFAULT] kuryr_uri at FILE:2: "0.0.0.0" is not a loopback address, and whoever can connect may do everything`, "127.0.0.1"},
	{"[DEFAULT]\nkuryr_uri = http://127.0.0.1\n", false, `cannot use [DEFAULT] kuryr_uri at FILE:2: it names no port`, "23750"},
	{"[DEFAULT]\nkuryr_uri = 127.0.0.1:23750\n", false, `cannot use [DEFAULT] kuryr_uri at FILE:2: it is not a URL`, ""},
	{"[DEFAULT]\nkuryr_uri = tcp://127.0.0.1:23750\n", false,
		`cannot use [DEFAULT] kuryr_uri at FILE:2: it is not an http:// or https:// URL`, ""},
	{"[DEFAULT]\nkuryr_uri = http://127.0.0.1:1/v2\n", false,
		`cannot use [DEFAULT] kuryr_uri at FILE:2: a path (/v2) has no meaning here`, ""},
	{"[neutron]\nport_forwarding_ip = 203.0.113.68\n", false,
		`cannot use [neutron] port_forwarding_ip at FILE:2: the embedded Neutron has no floating IPs`, "leave it out"},
	{"[neutron]\nauth_type = none\nendpoint = http://h\nport_forwarding_ip = fd00::1\n", false,
		`cannot use [neutron] port_forwarding_ip at FILE:4: "fd00::1" is not the IPv4 address of a floating IP`, ""},
	{"[DEFAULT]\nneutron_listen = 9696\n", false, `cannot use [DEFAULT] neutron_listen at FILE:2: "9696" is not ADDRESS:PORT`, "127.0.0.1:9696"},
	{"[DEFAULT]\nneutron_listen = :9696\n", false,
		`cannot use [DEFAULT] neutron_listen at FILE:2: "" is not a loopback address, and whoever can connect may do everything`, "127.0.0.1"},
	{"[DEFAULT]\nneutron_listen = ::1:0x10\n", false, `cannot use [DEFAULT] neutron_listen at FILE:2: "::1:0x10" is not ADDRESS:PORT`, ""},
	{"[DEFAULT]\nneutron_listen = 127.0.0.1:0\n", false, `cannot use [DEFAULT] neutron_listen at FILE:2: "0" is not a port (1 to 65535)`, ""},
	{"[binding]\nveth_dst_prefix = e%d\n", false, `cannot use [binding] veth_dst_prefix at FILE:2: "e%d" can't start an interface's name`, ""},
	{"[binding]\nveth_dst_prefix = abcdefghijklm\n", false,
		`cannot use [binding] veth_dst_prefix at FILE:2: "abcdefghijklm" is longer than 12 characters`, ""},
	{"[neutron]\ndefault_subnetpool_v4 =\n", false, `cannot use [neutron] default_subnetpool_v4 at FILE:2: it must not be empty`, ""},
	{"[neutron]\nauth_type = none\n", false, `cannot use [neutron] auth_type at FILE:2: it needs endpoint_override`, "URL"},
	{"[neutron]\nendpoint_override = http://h:9696\n", false,
		`cannot use [neutron] endpoint_override at FILE:2: it needs auth_type, auth_url or cloud`, "auth_type"},
	{"[neutron]\nauth_type = none\nendpoint_override = ftp://h\n", false,
		`cannot use [neutron] endpoint_override at FILE:3: it is not an http:// or https:// URL`, ""},
	{"[neutron]\nauth_type = none\nendpoint_override = http://u:hunter2@h\n", false,
		`cannot use [neutron] endpoint_override at FILE:3: it holds credentials, which are not sent`, ""},
	{"[neutron]\nauth_type = none\nendpoint = http://h\n[DEFAULT]\nneutron_listen = 127.0.0.1:9696\n", false,
		`cannot use [DEFAULT] neutron_listen at FILE:5: the embedded Neutron does not run when a real one is used`, ""},

	{"[neutron]\nauth_type = v2password\nauth_url = http://h\npassword = hunter2\nusername = kuryr\n", true,
		`cannot use [neutron] auth_type at FILE:2: Keystone's API v2.0 is not supported by this version`, "auth_type = password"},
	{"[neutron]\nauth_type = v3oidcpassword\nauth_url = http://h\npassword = hunter2\n", true,
		`cannot use [neutron] auth_type at FILE:2: authentication by "v3oidcpassword" is not supported by this version`, "v3applicationcredential"},
	{"[neutron]\nauth_type = password\npassword = hunter2\n", false, `cannot use [neutron] auth_type at FILE:2: it needs auth_url`, "clouds.yaml"},
	{"[neutron]\nusername = kuryr\npassword = hunter2\n", false, `cannot use [neutron] username at FILE:2: it needs auth_url, or cloud`, "embedded"},
	{"[neutron]\nauth_url = http://u:hunter2@h/v3\n", false, `cannot use [neutron] auth_url at FILE:2: it holds credentials, which are not sent`, ""},
	{"[neutron]\nauth_url = http://h/v3\npassword = x$hunter2\n", false, `cannot use [neutron] password at FILE:3: it refers to no option`, "$$"},
	{"[neutron]\nauth_url = http://h/v3\npassword = hunter2\n  hunter2\n", false,
		`cannot use [neutron] password at FILE:3: its value goes on in the next line`, "first column"},
	{"[neutron]\nauth_url = http://h/v3\ntoken = hunter2\nusername = $token\n", false,
		`cannot use [neutron] username at FILE:4: $token refers to a secret`, ""},
	{"[neutron]\nauth_url = http://h/v3\nusername = a\tb\n", false, `cannot use [neutron] username at FILE:3: it has control characters in it`, ""},
	{"[neutron]\nauth_url = http://h/v3\nvalid_interfaces = internal,private\n", false,
		`cannot use [neutron] endpoint_type at FILE:3: "private" is not one of: public, internal, admin`, ""},
	{"[neutron]\nauth_url = http://h/v3\nmax_requests = 0\n", false,
		`cannot use [neutron] max_requests at FILE:3: "0" is not a whole number from 1 to 1000`, ""},
	{"[neutron]\nauth_url = http://h/v3\ncertfile = /c.pem\n", false, `cannot use [neutron] certfile at FILE:3: it needs keyfile`, ""},
	{"[neutron]\nauth_section = other\n", false, `cannot use [neutron] auth_section at FILE:2: the file has no section [other]`, ""},
	{"[neutron]\nauth_section = other\n[other]\nauth_url = h\n", false,
		`cannot use [other] auth_url at FILE:4: it is not an http:// or https:// URL`, ""},
	{"[vif_pool]\nports_pool_batch = 0\n", false,
		`cannot use [vif_pool] ports_pool_batch at FILE:2: "0" is not a whole number from 1 to 1000`, ""},
	{"[neutron]\nvif_plugging_timeout = -1\n", false,
		`cannot use [neutron] vif_plugging_timeout at FILE:2: "-1" is not a whole number of seconds from 0 to 300`, ""},
	{"[ovs]\novsdb_connection = tcp:127.0.0.1:6640\n", true,
		`cannot use [ovs] ovsdb_connection at FILE:2: "tcp:127.0.0.1:6640" is not unix: and the path of a socket`, "unix:/run/openvswitch/db.sock"},
	{"[ovs]\novsdb_connection = unix:db.sock\n", false,
		`cannot use [ovs] ovsdb_connection at FILE:2: "db.sock" is not an absolute path`, ""},
	{"[ovs]\nintegration_bridge = br/int\n", false,
		`cannot use [ovs] integration_bridge at FILE:2: "br/int" can't be an interface's name`, ""},
	{"[DEFAULT]\nenable_ssl = true\n", false,
		`cannot use [DEFAULT] enable_ssl at FILE:2: it needs kuryr_uri`, "Unix socket"},
	{"[DEFAULT]\nenable_ssl = true\nkuryr_uri = https://0.0.0.0:23750\n", false,
		`cannot use [DEFAULT] enable_ssl at FILE:2: it needs ssl_ca_file, or anybody could connect`, "ssl_ca_file"},
	{"[DEFAULT]\nenable_ssl = hunter\n", false,
		`cannot use [DEFAULT] enable_ssl at FILE:2: "hunter" is neither true nor false (nor yes, no, on, off, 1, 0)`, ""},
	{"[DEFAULT]\ndefault_port_driver = kuryr_libnetwork.port_driver.drivers.nested\n", true,
		`cannot use [DEFAULT] default_port_driver at FILE:2: the driver "nested" is not supported by this version`, "veth is used"},
	{"[DEFAULT]\nenabled_port_drivers = kuryr_libnetwork.port_driver.drivers.veth, kuryr_libnetwork.port_driver.drivers.sriov\n", true,
		`cannot use [DEFAULT] enabled_port_drivers at FILE:2: the driver "sriov" is not supported by this version`, "veth is used"},
	{"[binding]\ndriver = kuryr.lib.binding.drivers.macvlan\n", true,
		`cannot use [binding] driver at FILE:2: the driver "macvlan" is not supported by this version`, "veth is used"},

	{"[DEFAULT]\nhunter2\n", false, `cannot read FILE:2: neither a section, a comment nor an assignment (option = value)`, ""},
	{"host = a\n", false, `cannot read FILE:1: an assignment before the first section`, "[DEFAULT]"},
	{"[DEFAULT]\n  host = a\n", false,
		`cannot read FILE:2: a line that starts with white space continues a value, and there is none before it`, "first column"},
	{"[DEFAULT] # main\n", false, `cannot read FILE:1: a section must end with ]`, "line of their own"},
	{"[]\n", false, `cannot read FILE:1: a section without a name`, ""},
	{"[DEFAULT]\nhost = \xff\n", false, `cannot read FILE:2: not UTF-8`, ""},
}

func TestLoadRefuses(t *testing.T) {
	for _, test := range refusals {
		s := sources(t, test.text, nil)
		_, report, err := Load(s)
		if err == nil {
			t.Errorf("%q is accepted, want %s", test.text, test.want)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), s.File, "FILE"); got != test.want {
			t.Errorf("%q is refused with\n %s\nwant\n %s", test.text, got, test.want)
		}
		var e *Error
		if !errors.As(err, &e) || e.Unsupported != test.unsupported || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%q: %+v, want unsupported: %t, and a hint with %q", test.text, e, test.unsupported, test.hint)
		}
		if e.Op == "use" && (e.Origin.File != s.File || e.Origin.Line == 0) {
			t.Errorf("%q: origin %s", test.text, e.Origin)
		}
		if all := fmt.Sprintf("%v %+v %+v", err, e, report); strings.Contains(all, "hunter2") {
			t.Errorf("%q: the secret is in %s", test.text, all)
		}
	}
}

func TestLoadNamesEveryFault(t *testing.T) {
	s := sources(t, "[DEFAULT]\ndebug = x\nhost = ok\n[neutron]\nenable_dhcp = y\n", map[string]string{"CAPABILITY_SCOPE": "z"})
	s.Flags = map[string]string{"neutron-listen": "h:1"}
	c, _, err := Load(s)
	want := strings.Join([]string{
		`cannot use --neutron-listen: "h" is not a loopback address, and whoever can connect may do everything`,
		`cannot use [DEFAULT] debug at FILE:2: "x" is neither true nor false (nor yes, no, on, off, 1, 0)`,
		`cannot use CAPABILITY_SCOPE (environment): "z" is not one of: local, global`,
		`cannot use [neutron] enable_dhcp at FILE:5: "y" is neither true nor false (nor yes, no, on, off, 1, 0)`,
	}, "\n")
	if got := strings.ReplaceAll(fmt.Sprint(err), s.File, "FILE"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if c.Host != "ok" || c.AdminSocket != "/run/kuryr/kuryr.sock" {
		t.Errorf("what was right is lost: %+v", c)
	}
}

func TestLoadFileProblems(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.conf")
	for _, test := range []struct {
		path  string
		given bool
		is    error
		want  string
	}{
		{missing, true, fs.ErrNotExist, "cannot read " + missing + ": no such file"},
		{missing, false, nil, ""},
		{dir, true, nil, "cannot read " + dir + ": not a regular file"},
		{large, false, nil, "cannot read " + large + ": larger than 1048576 bytes"},
	} {
		s := sources(t, "", nil)
		s.File, s.FileGiven = test.path, test.given
		c, _, err := Load(s)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s (given: %t): %v, want %q", test.path, test.given, err, test.want)
		}
		if diff := cmp.Diff(defaults(), c); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", test.path, diff)
		}
	}
}

func TestLoadPeersFileWithOneWarning(t *testing.T) {
	s := sources(t, `[DEFAULT]
pybasedir = /usr/lib/python3/dist-packages
kuryr_uri = http://127.0.0.1:23750
bindir = $pybasedir/usr/libexec/kuryr
default_port_driver = kuryr_libnetwork.port_driver.drivers.veth
enabled_port_drivers = kuryr_libnetwork.port_driver.drivers.veth
enable_ssl = False
deployment_type = baremetal
log-dir = /var/log/kuryr
use_syslog = false
[binding]
default_driver = kuryr.lib.binding.drivers.veth
link_iface =
[neutron]
vif_plugging_is_fatal = no
region_name = RegionOne
admin_password = hunter2
passcode = hunter2
`, map[string]string{"OS_NEUTRON__ACCESS_SECRET": "hunter2"})
	_, r, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"options without an effect in this version: [neutron] region_name (FILE:16), [DEFAULT] pybasedir (FILE:2), " +
		"[DEFAULT] deployment_type (FILE:8), [DEFAULT] default_port_driver (FILE:5), [DEFAULT] enabled_port_drivers (FILE:6), " +
		"[binding] default_driver (FILE:12), [binding] link_iface (FILE:13), " +
		"[neutron] access_secret (env OS_NEUTRON__ACCESS_SECRET), " +
		"[neutron] admin_password (FILE:17), [neutron] passcode (FILE:18), [DEFAULT] log_dir (FILE:9), [DEFAULT] use_syslog (FILE:10)"}
	got := slices.Clone(r.Warnings)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], s.File, "FILE")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got)\n%s", diff)
	}
	ignored := map[string]string{}
	for _, s := range r.Settings {
		if s.Ignored {
			ignored[s.Option] = s.Value
		}
	}
	for option, want := range map[string]string{
		"admin_password": "***", "passcode": "***", "access_secret": "***", "region_name": "RegionOne",
	} {
		if ignored[option] != want {
			t.Errorf("%s is shown as %q, want %q", option, ignored[option], want)
		}
	}
}

func TestLoadWarnsOfTheUnknown(t *testing.T) {
	s := sources(t, `[DEFAULT]
reqest_timeout = 3
enable_dhcp = false
Host = a
zzz = 1
zzz = 2
[default]
host = b
[neutrn]
x = 1
y = 2
[oslo_concurrency]
lock_path = /tmp
`, nil)
	_, r, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"FILE:2: unknown option [DEFAULT] reqest_timeout, ignored; did you mean request_timeout?",
		"FILE:3: unknown option [DEFAULT] enable_dhcp, ignored; did you mean [neutron] enable_dhcp?",
		"FILE:4: unknown option [DEFAULT] Host, ignored; did you mean host?",
		"FILE:5: unknown option [DEFAULT] zzz, ignored",
		"FILE:8: unknown section [default], ignored; did you mean [DEFAULT]?",
		"FILE:10: unknown section [neutrn], ignored; did you mean [neutron]?",
		"FILE:13: unknown section [oslo_concurrency], ignored",
	}
	got := slices.Clone(r.Warnings)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], s.File, "FILE")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got)\n%s", diff)
	}
}

func TestLoadPortForwardingIP(t *testing.T) {
	c, _, err := Load(sources(t, "[neutron]\nauth_type = none\nendpoint = http://h\nport_forwarding_ip = 203.0.113.68\n", nil))
	if err != nil || c.PortForwardingIP != "203.0.113.68" {
		t.Errorf("%q, %v", c.PortForwardingIP, err)
	}
}

func TestLoadNeutronWithoutAuthentication(t *testing.T) {
	for _, name := range []string{"endpoint_override", "endpoint", "url"} {
		c, r, err := Load(sources(t, "[neutron]\nauth_plugin = none\n"+name+" = https://cloud:9696/networking\nauth_url = http://h/v3\nadmin_user = http://u:hunter2@h/v3?x\n", nil))
		if err != nil {
			t.Fatal(err)
		}
		if c.Cloud.AuthType != "none" || c.Cloud.EndpointOverride != "https://cloud:9696/networking" {
			t.Errorf("%s: auth_type %q, endpoint_override %q", name, c.Cloud.AuthType, c.Cloud.EndpointOverride)
		}
		if last := r.Settings[len(r.Settings)-1]; last.Value != "http://***@h/v3?x" {
			t.Errorf("admin_user is shown as %q", last.Value)
		}
	}
}

func TestHostnameUnknown(t *testing.T) {
	s := sources(t, "", nil)
	s.Hostname = func() (string, error) { return "", errors.New("no name") }
	_, _, err := Load(s)
	if want := "cannot use [DEFAULT] host: this machine's name is unknown: no name"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSuggest(t *testing.T) {
	candidates := []string{"host", "state_dir", "debug", "kuryr_uri"}
	for word, want := range map[string]string{
		"hots": "host", "statedir": "state_dir", "stat_dri": "state_dir", "DEBUG": "debug", "kuryr_url": "kuryr_uri", "xyz": "", "": "", "capability": "",
	} {
		if got := suggest(word, candidates); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

// TestTablesAreConsistent holds the two tables against each other.
func TestTablesAreConsistent(t *testing.T) {
	seen, flags, envs := map[string]bool{}, map[string]bool{}, map[string]bool{}
	claim := func(m map[string]bool, what string) {
		if m[what] {
			t.Errorf("%s is there twice", what)
		}
		m[what] = true
	}
	var c Config
	for _, o := range Options() {
		for _, name := range append([]string{o.Name}, o.Aliases...) {
			claim(seen, key(o.Section, name))
		}
		if o.Flag != "" {
			claim(flags, o.Flag)
		}
		for _, env := range o.Envs() {
			claim(envs, env)
		}
		claim(envs, o.EnvName())
		if o.Doc == "" || o.Value == "" || !strings.HasSuffix(o.Doc, ".") || (o.Default == "") != (o.DefaultNote != "") {
			t.Errorf("%s.%s: incomplete", o.Section, o.Name)
		}
		if o.Default != "" {
			if f := store(o.field(&c), o.check, o.Default); f != nil {
				t.Errorf("%s.%s: its default is refused: %v", o.Section, o.Name, f)
			}
		}
	}
	for _, old := range legacies() {
		claim(seen, key(old.section, old.name))
		if strings.Contains(old.name, "-") {
			t.Errorf("%s is not in its canonical spelling", old.name)
		}
	}
	want := []string{"admin-socket", "cloud", "debug", "docker-socket", "host", "neutron-listen", "state-dir"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(flags))); diff != "" {
		t.Errorf("flags (-want +got)\n%s", diff)
	}
}

// TestPeersOptionsAreKnown lists what a kuryr.conf of the Python Kuryr may
// hold: kuryr-libnetwork and kuryr-lib of 2026, oslo.log 5.0.1, keystoneauth 5.0.0.
func TestPeersOptionsAreKnown(t *testing.T) {
	l := &loader{options: Options(), legacies: legacies()}
	data, err := os.ReadFile("testdata/peer-options.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		section, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("line %q", line)
		}
		if !l.known(section, name) {
			t.Errorf("[%s] %s is unknown", section, name)
		}
	}
}
