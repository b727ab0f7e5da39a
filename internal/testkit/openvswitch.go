package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NeedOpenVSwitch skips a test where there is no Open vSwitch to be started.
func NeedOpenVSwitch(t testing.TB) {
	t.Helper()
	for _, program := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs Open vSwitch (the package openvswitch-switch): %v", err)
		}
	}
}

// ovsPatience bounds how long one of its daemons takes to start or stop.
const ovsPatience = 20 * time.Second

// OVS is an Open vSwitch of one test, in a namespace: a database
// and a switch with files and sockets of their own, which know nothing of the
// machine's. It uses the userspace datapath, which needs no kernel module.
type OVS struct {
	tb      testing.TB
	inside  func(func()) // calls in the namespace
	dir     string
	server  *process // ovsdb-server
	switchd *process // ovs-vswitchd
}

// NewOVS starts an Open vSwitch without bridges. It skips the test where there
// is none to be started.
func NewOVS(tb testing.TB, ns *NS) *OVS {
	tb.Helper()
	NeedOpenVSwitch(tb)
	dir, err := newOwnedDir()
	if err != nil {
		tb.Fatal(err)
	}
	return newOVS(tb, dir, ns.Do)
}

// NewMachineOVS is NewOVS on a machine, with its files in the machine's folder
// openvswitch: root's alone, as that of Debian's package.
func NewMachineOVS(tb testing.TB, m *Machine) *OVS {
	tb.Helper()
	NeedOpenVSwitch(tb)
	dir := m.Path("openvswitch")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		tb.Fatal(err)
	}
	return newOVS(tb, dir, func(f func()) {
		err := m.Do(func() error { f(); return nil })
		if err != nil {
			tb.Error(err)
		}
	})
}

func newOVS(tb testing.TB, dir string, inside func(func())) *OVS {
	tb.Helper()
	o := &OVS{tb: tb, inside: inside, dir: dir}
	tb.Cleanup(o.close)
	o.must(exec.Command("ovsdb-tool", "create", o.path("conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"))
	o.StartServer()
	o.VSCtl("--no-wait", "init")
	o.StartSwitch()
	return o
}

// Namespace is the machine's network namespace in the hands of a test.
func (m *Machine) Namespace(tb testing.TB) *NS {
	tb.Helper()
	file, err := os.Open(filepath.Join(netnsDir, m.Name))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	return &NS{tb: tb, file: file}
}

// newOwnedDir makes a directory that is swept away, with the processes that
// name it, should this process die.
func newOwnedDir() (string, error) {
	unlock, err := lockMachines()
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := os.MkdirTemp("", machinePrefix)
	if err != nil {
		return "", err
	}
	return dir, writeOwner(dir)
}

func (o *OVS) close() {
	for _, p := range []*process{o.switchd, o.server} {
		if p != nil && !p.ended() {
			p.kill()
		}
	}
	if err := os.RemoveAll(o.dir); err != nil {
		o.tb.Error(err)
	}
}

func (o *OVS) path(name string) string { return filepath.Join(o.dir, name) }

// Connection is the database's address.
func (o *OVS) Connection() string { return "unix:" + o.path("db.sock") }

// StartServer starts the database.
func (o *OVS) StartServer() {
	o.tb.Helper()
	o.server = o.start("ovsdb-server", o.path("conf.db"), "--remote=p"+o.Connection(), "--unixctl="+o.path("ovsdb.ctl"))
	o.wait(o.server, func() error {
		_, err := os.Stat(o.path("db.sock"))
		return err
	})
}

// StopServer ends the database with no chance to say so to its clients.
func (o *OVS) StopServer() {
	o.server.kill()
	// The socket of a killed server stays, and its next one waits for none.
	if err := os.Remove(o.path("db.sock")); err != nil && !errors.Is(err, os.ErrNotExist) {
		o.tb.Error(err)
	}
}

// StartSwitch starts the switch.
func (o *OVS) StartSwitch() {
	o.tb.Helper()
	o.switchd = o.start("ovs-vswitchd", o.Connection(), "--unixctl="+o.path("vswitchd.ctl"), "--disable-system")
	o.wait(o.switchd, func() error {
		_, err := o.command("ovs-appctl", "-t", o.path("vswitchd.ctl"), "version").Output()
		return err
	})
}

// StopSwitch ends the switch; the database goes on.
func (o *OVS) StopSwitch() { o.switchd.kill() }

// VSCtl runs ovs-vsctl on the database, and returns what it prints.
func (o *OVS) VSCtl(args ...string) string {
	o.tb.Helper()
	return o.must(o.command("ovs-vsctl", append([]string{"--db=" + o.Connection(), "--timeout=20"}, args...)...))
}

// AddBridge makes a bridge that forwards as a learning switch does.
func (o *OVS) AddBridge(name, datapath string) {
	o.tb.Helper()
	o.VSCtl("add-br", name, "--", "set", "bridge", name, "datapath_type="+datapath)
}

// command runs with the files of this Open vSwitch.
func (o *OVS) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(quietEnv(), "OVS_RUNDIR="+o.dir, "OVS_LOGDIR="+o.dir, "OVS_DBDIR="+o.dir, "OVS_SYSCONFDIR="+o.dir)
	return cmd
}

func (o *OVS) start(name string, args ...string) (p *process) {
	o.tb.Helper()
	args = append(args, "-vconsole:warn", "-vsyslog:off")
	var err error
	o.inside(func() { p, err = start(o.command(name, args...), o.path(name+".log")) })
	if err != nil {
		o.tb.Fatal(err)
	}
	return p
}

func (o *OVS) wait(p *process, ready func() error) {
	o.tb.Helper()
	if err := p.waitFor(ovsPatience, ready); err != nil {
		o.tb.Fatal(err)
	}
}

func (o *OVS) must(cmd *exec.Cmd) string {
	o.tb.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.tb.Fatal(fmt.Errorf("%v: %w\n%s", cmd.Args, err, out))
	}
	return strings.TrimSpace(string(out))
}
