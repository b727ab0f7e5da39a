package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// exposure is what systemd-analyze security may say at most, times ten.
const exposure = 25

func TestUnitsAreSound(t *testing.T) {
	h := newHost(t)
	if out, err := h.Output(t.Context(), "systemd-analyze", "verify", "--man=no", "kuryr.service", "kuryr.socket"); err != nil || out != "" {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := h.Output(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+strconv.Itoa(exposure), "kuryr.service")
	if err != nil {
		t.Errorf("security: %v\n%s", err, out)
	}
	after := strings.Fields(h.property("docker.service", "After"))
	for _, unit := range []string{"kuryr.service", "kuryr.socket"} {
		if !slices.Contains(after, unit) {
			t.Errorf("docker.service is not started after %s, only after %s", unit, after)
		}
	}
	for _, unit := range []string{"openvswitch-switch.service", "ovs-vswitchd.service", "network-online.target"} {
		if after := h.property("kuryr.service", "After"); !slices.Contains(strings.Fields(after), unit) {
			t.Errorf("kuryr.service is not started after %s, only after %s", unit, after)
		}
	}
	h.is("docker.service", "active")
	if status := h.property("kuryr.service", "StatusText"); status != "Serving Docker from the embedded Neutron" {
		t.Errorf("systemctl status says %q", status)
	}
	h.systemctl("stop", "kuryr.socket")
	h.is("kuryr.service", "inactive")
	if _, err := os.Lstat(h.Kuryr.PluginSocket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there after its end: %v", err)
	}
}

// The sandbox is in force, and the daemon is the one in it.
func TestRightsOfTheDaemon(t *testing.T) {
	h := newHost(t)
	pid := h.property("kuryr.service", "MainPID")
	const netAdmin, sysAdmin = 1 << 12, 1 << 21
	all := fmt.Sprintf("%016x", netAdmin|sysAdmin)
	for key, want := range map[string]string{"CapEff": all, "CapPrm": all, "CapBnd": all, "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"} {
		if got := h.status(pid, key); got != want {
			t.Errorf("%s is %s, not %s", key, got, want)
		}
	}
	for path, want := range map[string]string{"/run/docker/plugins/kuryr.sock": "660 root docker", "/run/kuryr/kuryr.sock": "660 root docker", "/var/lib/kuryr": "700 root root"} {
		if got, err := h.Output(t.Context(), "stat", "-c", "%a %U %G", path); err != nil || got != want {
			t.Errorf("%s is %s, not %s: %v", path, got, want, err)
		}
	}
	// Nothing but its state directory and the network's settings can be written to.
	writable, err := h.Output(t.Context(), "nsenter", "--target", pid, "--mount", "--", "sh", "-c",
		`for d in / /usr /etc /etc/kuryr /run /run/docker/plugins /proc/sys /proc/sys/kernel /sys /var/lib /home /var/lib/kuryr /proc/sys/net; do
			findmnt --noheadings --output OPTIONS --target $d | grep -q '^rw' && echo $d; done; true`)
	if err != nil || writable != "/var/lib/kuryr\n/proc/sys/net" {
		t.Errorf("the daemon may write to %q: %v", writable, err)
	}
}

// Docker's calls wait in the socket while Kuryr is replaced.
func TestUpgradesLoseNoCall(t *testing.T) {
	h := newHost(t)
	upgrade, err := os.ReadFile(build(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calling sync.WaitGroup
	var mu sync.Mutex
	var lost []error
	made := 0
	for range 4 {
		calling.Go(func() {
			p := testkit.NewPlugin(h.Kuryr.PluginSocket())
			defer p.Close()
			for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
				err := h.call(context.WithoutCancel(ctx), p)
				mu.Lock()
				if made++; err != nil {
					lost = append(lost, err)
				}
				mu.Unlock()
			}
		})
	}
	const upgrades = 20
	pids := map[string]bool{h.property("kuryr.service", "MainPID"): true}
	for range upgrades {
		if err := h.Replace(t.Context(), "/usr/bin/kuryr", upgrade, 0o755); err != nil {
			t.Fatal(err)
		}
		h.systemctl("restart", "kuryr.service")
		pids[h.property("kuryr.service", "MainPID")] = true
		h.systemctl("reset-failed", "kuryr.service") // the count of its starts
	}
	cancel()
	calling.Wait()
	for _, err := range lost {
		t.Error(err)
	}
	if len(pids) != upgrades+1 {
		t.Errorf("%d processes after %d upgrades", len(pids), upgrades)
	}
	t.Logf("%d calls over %d upgrades, %d lost", made, upgrades, len(lost))
}

// A daemon that dies is there again by itself, and who calls meanwhile waits.
func TestKilledAndStartedAgain(t *testing.T) {
	h := newHost(t)
	before := h.property("kuryr.service", "MainPID")
	h.systemctl("kill", "--signal=KILL", "kuryr.service")
	p := testkit.NewPlugin(h.Kuryr.PluginSocket())
	defer p.Close()
	h.within("the next call is served", func() error { return h.call(t.Context(), p) })
	h.is("kuryr.service", "active")
	if after := h.property("kuryr.service", "MainPID"); after == before {
		t.Errorf("it is process %s still", before)
	}
}

// A daemon that hangs is started anew.
func TestHangingAndStartedAgain(t *testing.T) {
	h := newHost(t)
	h.configure("watchdog.conf", "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
	h.systemctl("restart", "kuryr.service")
	before := h.property("kuryr.service", "MainPID")
	time.Sleep(5 * time.Second) // more than twice as long as a daemon without a sign of life has
	if now := h.property("kuryr.service", "MainPID"); now != before {
		t.Fatal("a daemon that does not hang was started anew")
	}
	h.systemctl("kill", "--signal=STOP", "kuryr.service")
	h.within("it is another process", func() error {
		if now := h.property("kuryr.service", "MainPID"); now == before || now == "0" {
			return errors.New("it is " + now)
		}
		return h.Kuryr.Ready(t.Context())
	})
}

// Docker waits without end for a socket to answer: that of a Kuryr that does
// not start is closed, and whoever waits is told.
func TestSocketIsClosedAfterStartsInVain(t *testing.T) {
	h := newHost(t)
	conf, err := os.ReadFile(h.Machine.Path("kuryr.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Replace(t.Context(), "/etc/kuryr/kuryr.conf", []byte("[DEFAULT]\nrequest_timeout = soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.systemctl("stop", "kuryr.service")
	p := testkit.NewPlugin(h.Kuryr.PluginSocket())
	defer p.Close()
	began := time.Now()
	if err := h.call(t.Context(), p); err == nil {
		t.Error("a call was served by a Kuryr that does not start")
	}
	t.Logf("the call ended after %v", time.Since(began))
	h.is("kuryr.socket", "failed")
	if result := h.property("kuryr.socket", "Result"); result != "service-start-limit-hit" {
		t.Errorf("kuryr.socket failed because of %s", result)
	}
	for _, path := range []string{h.Kuryr.PluginSocket(), h.Kuryr.AdminSocket()} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there still: %v", path, err)
		}
	}
	if err := h.Replace(t.Context(), "/etc/kuryr/kuryr.conf", conf, 0o600); err != nil {
		t.Fatal(err)
	}
	h.systemctl("reset-failed", "kuryr.service", "kuryr.socket")
	h.systemctl("start", "kuryr.service")
	h.is("kuryr.socket", "active")
	if err := h.call(t.Context(), p); err != nil {
		t.Error(err)
	}
}
