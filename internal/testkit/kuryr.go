package testkit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Kuryr is a `kuryr serve` that runs on a machine, as a plugin with a name of
// its own: Docker finds plugins in one folder of the real machine.
type Kuryr struct {
	Name    string // of the plugin: what -d and --ipam-driver take
	Host    string // what Neutron knows the machine as
	Machine *Machine
	Neutron *Neutron // its Neutron's API
	binary  string
	config  string
	env     []string
	plugin  string // path of the socket that Docker talks to
	admin   string // path of the admin API's
	cloud   *Cloud // nil: its Neutron is its own, or a test's
	proc    *process
}

// KuryrOptions of a daemon.
type KuryrOptions struct {
	// Name of the plugin. Empty: the machine's name, which no other has.
	Name string
	// Neutron is the URL of a Neutron without authentication, as the machine
	// reaches it. Empty: the embedded one.
	Neutron string
	// Listen is where the embedded one listens, on the machine's loopback.
	// Empty: port 9696.
	Listen string
	// Config is added to kuryr.conf, options of section DEFAULT first. It wins
	// over what is there because of the other options.
	Config string
	// Env is added to the daemon's environment.
	Env []string
	// Cloud is the southbound instead. nil: what Neutron says.
	Cloud *Cloud
}

// Cloud is a real one, as a Kuryr in it needs it.
type Cloud struct {
	Host    string   // what Neutron knows the machine as
	Neutron *Neutron // as the test looks at it
	Config  string   // the sections of kuryr.conf by which Kuryr finds it
	OVSDB   string   // address of the machine's Open vSwitch database; "": there is none
	// BridgeAgent says that Neutron's linuxbridge agent runs on the machine, and
	// makes bridges and tunnels there, too.
	BridgeAgent bool
}

// pluginDir is where Docker looks for the sockets of plugins.
const pluginDir = "/run/docker/plugins"

// neutronListen is where a Neutron listens on each machine.
const neutronListen = "127.0.0.1:9696"

const (
	kuryrReady = 15 * time.Second
	// cloudReady is longer than a busy cloud takes for a token and a look at it.
	cloudReady = time.Minute
	// kuryrStops is longer than the deadline of any call in flight.
	kuryrStops = 30 * time.Second
)

// StartKuryr starts binary on the machine.
func StartKuryr(ctx context.Context, m *Machine, binary string, o KuryrOptions) (*Kuryr, error) {
	if o.Listen == "" {
		o.Listen = neutronListen
	}
	if o.Name == "" {
		o.Name = m.Name
	}
	k := &Kuryr{Name: o.Name, Host: m.Name, Machine: m, Neutron: NewNeutron(m, o.Listen), binary: binary, config: m.Path("kuryr.conf"),
		plugin: filepath.Join(pluginDir, o.Name+".sock"), admin: m.Path("admin.sock"), env: o.Env, cloud: o.Cloud}
	if o.Cloud != nil {
		k.Host, k.Neutron = o.Cloud.Host, o.Cloud.Neutron
	}
	if err := k.configure(o); err != nil {
		return nil, err
	}
	return k, k.Start(ctx)
}

// configure writes kuryr.conf.
func (k *Kuryr) configure(o KuryrOptions) error {
	conf := "[DEFAULT]\nhost = " + k.Host + "\n"
	if o.Neutron == "" && o.Cloud == nil {
		conf += "neutron_listen = " + o.Listen + "\n"
	}
	switch {
	case o.Cloud != nil:
		conf += o.Cloud.Config
	case o.Neutron != "":
		conf += "[neutron]\nauth_type = none\nendpoint_override = " + o.Neutron + "\n"
	}
	conf += "[DEFAULT]\n" + o.Config + "\n"
	return os.WriteFile(k.config, []byte(conf), 0o600)
}

// Start starts the daemon, again after Stop or Kill, and waits until it is ready.
func (k *Kuryr) Start(ctx context.Context) error {
	if err := k.Launch(ctx); err != nil {
		return err
	}
	return k.AwaitReady(ctx)
}

// AwaitReady waits until the daemon is ready, as long as a start may take.
func (k *Kuryr) AwaitReady(ctx context.Context) error {
	patience := kuryrReady
	if k.cloud != nil {
		patience = cloudReady
	}
	return k.proc.waitFor(patience, func() error { return k.Ready(ctx) })
}

// Launch starts the daemon and waits for nothing: its Neutron may be away.
func (k *Kuryr) Launch(ctx context.Context) error {
	cmd := k.Machine.Command(context.WithoutCancel(ctx), k.binary,
		"serve", "--config-file", k.config, "--state-dir", k.Machine.Path("state"),
		"--docker-socket", k.PluginSocket(), "--admin-socket", k.AdminSocket(), "--debug")
	cmd.Env = append(cmd.Env, k.env...)
	p, err := start(cmd, k.Machine.Path("kuryr.log"))
	if err != nil {
		return err
	}
	k.proc = p
	return nil
}

// Ended reports whether the daemon is gone.
func (k *Kuryr) Ended() bool { return k.proc.ended() }

// Replace makes another binary the one that is started next.
func (k *Kuryr) Replace(binary string) { k.binary = binary }

// Stop ends the daemon as an operator does.
func (k *Kuryr) Stop() error { return k.proc.stop(kuryrStops) }

// Kill ends the daemon with SIGKILL.
func (k *Kuryr) Kill() { k.proc.kill() }

// Restart kills the daemon and starts it again.
func (k *Kuryr) Restart(ctx context.Context) error {
	k.Kill()
	return k.Start(ctx)
}

// Close stops the daemon if it runs, and removes its socket.
func (k *Kuryr) Close() error {
	var err error
	if k.proc != nil && !k.proc.ended() {
		err = k.Stop()
	}
	if e := os.Remove(k.PluginSocket()); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// PluginSocket is the path of the socket that Docker talks to.
func (k *Kuryr) PluginSocket() string { return k.plugin }

// Log returns the end of the daemon's log.
func (k *Kuryr) Log(lines int) string { return tail(k.Machine.Path("kuryr.log"), lines) }

// PID returns the daemon's process ID.
func (k *Kuryr) PID() int { return k.proc.cmd.Process.Pid }

// Ready returns nil once the daemon serves its engine.
func (k *Kuryr) Ready(ctx context.Context) error {
	c := UnixClient(k.AdminSocket())
	defer c.CloseIdleConnections()
	return getJSON(ctx, c, "http://kuryr/readyz", nil)
}

// Status is what `kuryr status -o json` prints, as far as tests look at it.
type Status struct {
	Notices []string `json:"notices"`
	Courier struct {
		Networks []struct {
			Docker  string   `json:"docker_network_id"`
			Neutron string   `json:"network_id"`
			CIDRs   []string `json:"cidrs"`
			State   string   `json:"state"`
		} `json:"networks"`
		Pools []struct {
			ID     string `json:"pool_id"`
			Docker string `json:"docker_network_id"`
			CIDR   string `json:"cidr"`
			State  string `json:"state"`
		} `json:"pools"`
		Attachments []struct {
			Docker    string   `json:"docker_network_id"`
			Endpoint  string   `json:"endpoint_id"`
			Port      string   `json:"port_id"`
			MAC       string   `json:"mac_address"`
			Addresses []string `json:"addresses"`
			Link      string   `json:"link"`
			State     string   `json:"state"`
		} `json:"attachments"`
		PortPools []PortPool `json:"port_pools"`
		Pending   int        `json:"pending_removals"`
		LastError string     `json:"last_error"`
	} `json:"courier"`
}

// PortPool is what is ready of one network.
type PortPool struct {
	Docker  string `json:"docker_network_id"`
	Ready   int    `json:"ready"`
	Resting int    `json:"resting"`
	Target  int    `json:"target"`
	Hits    int    `json:"hits"`
	Misses  int    `json:"misses"`
	Ports   []struct {
		Port  string `json:"port_id"`
		Link  string `json:"link"`
		State string `json:"state"`
	} `json:"ports"`
}

// NoPortPools is what KuryrOptions.Config ends with for tests that count calls
// to Neutron, or break them: none is made that no container asked for.
const NoPortPools = "\n[vif_pool]\nports_pool_max = 0\n"

// Pooled tells of ports, by their IDs, whether no container has them yet: they
// are in a port pool, or on their way into or out of it.
func (s Status) Pooled() map[string]bool {
	pooled := map[string]bool{}
	for _, p := range s.Courier.PortPools {
		for _, x := range p.Ports {
			pooled[x.Port] = true
		}
	}
	return pooled
}

// Taken tells of ports, by their IDs, whether a container has them, or had.
func (s Status) Taken() map[string]bool {
	taken := map[string]bool{}
	for _, a := range s.Courier.Attachments {
		taken[a.Port] = taken[a.Port] || a.Endpoint != ""
	}
	return taken
}

// Status asks the daemon for what `kuryr status` shows.
func (k *Kuryr) Status(ctx context.Context) (Status, error) {
	c := UnixClient(k.AdminSocket())
	defer c.CloseIdleConnections()
	var s Status
	return s, getJSON(ctx, c, "http://kuryr/v1/status", &s)
}

// Goroutines returns the stacks of what the daemon is doing.
func (k *Kuryr) Goroutines(ctx context.Context) (string, error) {
	c := UnixClient(k.AdminSocket())
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kuryr/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return "", err
	}
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// CLI runs a command of the binary on the machine and returns what it prints.
func (k *Kuryr) CLI(ctx context.Context, args ...string) (string, error) {
	return k.Machine.Output(ctx, k.binary, args...)
}

// AdminSocket is the path of the socket that `kuryr status` talks to.
func (k *Kuryr) AdminSocket() string { return k.admin }

// Build builds the kuryr of this source tree as dir/kuryr, with the race
// detector when race is set and with these build tags, and returns its path.
func Build(ctx context.Context, dir string, race bool, tags ...string) (string, error) {
	binary := filepath.Join(dir, "kuryr")
	args := []string{"build", "-o", binary, "-tags", strings.Join(tags, ",")}
	cgo := "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "kuryr/cmd/kuryr")...)
	cmd.Env = append(os.Environ(), cgo)
	_, err := output(cmd)
	return binary, err
}
