package binding_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/binding"
	"kuryr/internal/courier"
)

// programs makes a folder that only root can write, all the way up, and a
// Binder that looks for executables there.
func (l *lab) programs(files map[string]string) string {
	l.tb.Helper()
	dir, err := os.MkdirTemp("/run", "kuryr-test-")
	if err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(func() { os.RemoveAll(dir) })
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			l.tb.Fatal(err)
		}
	}
	l.binder = binding.New(l.links, binding.Options{Programs: dir})
	return dir
}

// plugged is a port of a vif_type that only the operator knows.
func plugged(vifType string) courier.Plug {
	p := plugOf(network, 1)
	p.Device, p.Project = "e0e1", "p0p1"
	p.Binding = courier.Binding{Host: "node1", VIFType: vifType, VIFDetails: map[string]any{
		"port_filter": true, "vlan": float64(7), "note": "it's; $(reboot) `x`\n\x1b", "list": []any{nil, 1.5, `"`}}}
	return p
}

// bridging does what the Python Kuryr's scripts do, and writes down how it was called.
const bridging = `#!/bin/sh
printf '%s\n' "$@" > DIR/$1.args
env | sort > DIR/$1.env
case $1 in
bind)
	ip link show br-op > /dev/null 2>&1 || ip link add br-op type bridge
	ip link set "$3" master br-op ;;
unbind) ip link del br-op 2> /dev/null ;;
esac
exit 0
`

func TestProgramPlugs(t *testing.T) {
	l := newLab(t)
	dir := l.programs(nil)
	script := filepath.Join(dir, "fabric_x")
	if err := os.WriteFile(script, []byte(strings.ReplaceAll(bridging, "DIR", dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	p := plugged("fabric_x")
	for range 2 { // as after a crash
		l.mustAttach(p)
	}
	if d := cmp.Diff([]string{p.HostEnd}, l.ports("br-op")); d != "" {
		t.Errorf("ports of the bridge (-want +got):\n%s", d)
	}
	for range 2 {
		if err := l.detach(p); err != nil {
			t.Fatal(err)
		}
	}
	if l.exists("br-op") || l.exists(p.HostEnd) {
		t.Error("something is left")
	}
	const details = `"{'list': [None, 1.5, '"'], 'note': "it's; $(reboot) ` + "`x`" + `\n\x1b", 'port_filter': True, 'vlan': 7}"`
	for what, want := range map[string][]string{
		"bind.args":   {"bind", string(p.Port), p.HostEnd, "e0e1", "fa:16:3e:00:00:01", string(network), "p0p1", details},
		"unbind.args": {"unbind", string(p.Port), p.HostEnd, "e0e1", "fa:16:3e:00:00:01", details, string(network)},
		"bind.env":    {"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PWD=/"},
	} {
		got, err := os.ReadFile(filepath.Join(dir, what))
		if d := cmp.Diff(want, strings.Split(strings.TrimSpace(string(got)), "\n")); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, d)
		}
	}
}

func TestProgramFails(t *testing.T) {
	l := newLab(t)
	dir := l.programs(map[string]string{
		"says": "#!/bin/sh\n[ $1 = unbind ] && exit 0\necho doing\nprintf 'no \\033[2J fabric\\n\\n' >&2\nexit 3\n",
		"mute": "#!/bin/sh\n[ $1 = unbind ] && exit 0\nexit 4\n",
	})
	hangs := "#!/bin/sh\n[ $1 = unbind ] && exit 0\nsleep 600 &\necho $! > " + dir + "/child\nsleep 600\n"
	if err := os.WriteFile(filepath.Join(dir, "hangs"), []byte(hangs), 0o755); err != nil {
		t.Fatal(err)
	}
	for vifType, want := range map[string]string{
		"says":  "/says bind failed: no  [2J fabric",
		"mute":  "/mute bind failed: exit status 4",
		"hangs": "/hangs bind failed: it took too long",
	} {
		p := plugged(vifType)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		err := l.binder.Bind(ctx, p)
		cancel()
		if want = "cannot plug port " + string(p.Port) + ": " + dir + want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	pid, err := os.ReadFile(filepath.Join(dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") { // init has yet to take note
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what the executable started goes on: %s", state)
		}
	}
}

// TestProgramRefused: what somebody else could have put there is not run, and
// names of a cloud's lead nowhere.
func TestProgramRefused(t *testing.T) {
	l := newLab(t)
	const script = "#!/bin/sh\nip link add ran type bridge\n"
	dir := l.programs(map[string]string{"wide": script, "group": script, "alien": script, "plain": script, "target": script,
		"unbound": script, "binding_failed": script, "bridge": script, "tap": script, "A": script, "a b": script, "x.sh": script})
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{os.Chmod(at("wide"), 0o757), os.Chmod(at("group"), 0o775), os.Chown(at("alien"), 1, 0), os.Chmod(at("plain"), 0o644),
		os.Symlink("target", at("link")), os.Mkdir(at("folder"), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	const (
		advice = "it and the folders above it must be root's, and writable by nobody else"
		none   = "the vif_types that can be plugged are bridge, ovs and tap"
	)
	for _, x := range []struct{ vifType, want, hint string }{
		{"wide", "the executable of its vif_type can't be run: " + at("wide") + " can be written by others (mode 0757)", advice},
		{"group", "the executable of its vif_type can't be run: " + at("group") + " can be written by others (mode 0775)", advice},
		{"alien", "the executable of its vif_type can't be run: " + at("alien") + " belongs to user 1", advice},
		{"plain", "the executable of its vif_type can't be run: " + at("plain") + " is not executable", advice},
		{"link", "the executable of its vif_type can't be run: " + at("link") + " is a symbolic link, or no folder", advice},
		{"folder", "the executable of its vif_type can't be run: " + at("folder") + " is no regular file", advice},
		{"absent", "this version has no way to plug vif_type absent", none + "; another one takes an executable " + at("absent") + ", see docs/bindings.md"},
		{"../" + filepath.Base(dir) + "/target", "this version has no way to plug vif_type ../" + filepath.Base(dir) + "/target", none},
		{"A", "this version has no way to plug vif_type A", none},
		{"a b", "this version has no way to plug vif_type a b", none},
		{"x.sh", "this version has no way to plug vif_type x.sh", none},
		{"target\x00", "this version has no way to plug vif_type target", none},
		{"target\n", "this version has no way to plug vif_type target", none},
		{strings.Repeat("a", 10<<20), "this version has no way to plug vif_type " + strings.Repeat("a", 40), none},
		{"binding_failed", "Neutron failed to bind it to host node1 (vif_type binding_failed)", ""},
	} {
		p := plugged(x.vifType)
		err := l.binder.Bind(t.Context(), p)
		if want := "cannot plug port " + string(p.Port) + ": " + x.want; err == nil || strings.TrimSpace(err.Error()) != want {
			t.Errorf("%.40q: %.300v\nwant %s", x.vifType, err, want)
		}
		if got := courier.HintOf(err); x.hint != "" && got != x.hint {
			t.Errorf("%.40q: hint %q, want %q", x.vifType, got, x.hint)
		}
		if err := l.binder.Unbind(t.Context(), p); err != nil {
			t.Errorf("%.40q: %v", x.vifType, err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := l.binder.Bind(t.Context(), plugged("target")); err == nil || !strings.Contains(err.Error(), dir+" can be written by others (mode 0777)") {
		t.Errorf("in a folder that anybody may write: %v", err)
	}
	big := plugged("target")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	big.Binding.VIFDetails["x"] = strings.Repeat("x", 10<<20)
	if err := l.binder.Bind(t.Context(), big); err == nil || !strings.HasSuffix(err.Error(), "its binding:vif_details are longer than 32768 bytes") {
		t.Errorf("with 10 MiB of details: %v", err)
	}
	if l.exists("ran") {
		t.Error("something was run")
	}
}
