//go:build !openstack

package docker

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// quickly is how long Docker may take over a command of which Kuryr makes
// nothing but notes: its own work, on a busy machine, is nearly all of it.
const quickly = 2 * time.Second

// Neutron is away, stopped or killed: what runs loses nothing, what is
// stopped and removed is so at once, what is started fails at once with one
// line; and when Neutron is back all is settled without anybody's doing.
func TestNeutronAway(t *testing.T) {
	for _, away := range []struct {
		name       string
		leave, end func(*testing.T, *testkit.NeutronServer)
	}{
		{"stopped",
			func(t *testing.T, s *testkit.NeutronServer) { signal(t, s.PID(), syscall.SIGSTOP) },
			func(t *testing.T, s *testkit.NeutronServer) { signal(t, s.PID(), syscall.SIGCONT) }},
		{"killed",
			func(_ *testing.T, s *testkit.NeutronServer) { s.Kill() },
			func(t *testing.T, s *testkit.NeutronServer) {
				if err := s.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}},
	} {
		t.Run(away.name, func(t *testing.T) {
			h, _, server := newFaultyHost(t, fleet.bare)
			n, gone := h.network("net", "--subnet", "10.96.0.0/24"), h.network("gone", "--subnet", "10.97.0.0/24")
			a, b := n.run("alice"), n.run("bob")
			n.run("carol")
			last := gone.run("last")
			pings := pingAll(h, a, b.ip4(), 200, 50*time.Millisecond)
			away.leave(t, server)
			back := false
			defer func() {
				if !back {
					away.end(t, server)
				}
			}()
			h.within(20*time.Second, "the outage is noticed", func() bool {
				err := h.kuryr.Ready(t.Context())
				return err != nil && strings.Contains(err.Error(), "not answering since ")
			})
			if out, err := h.kuryr.CLI(t.Context(), "status", "--admin-socket", h.kuryr.AdminSocket()); !strings.Contains(fmt.Sprint(out, err), "neutron: not answering since ") {
				t.Errorf("kuryr status shows\n%s%v", out, err)
			}
			quick := func(what string, f func()) {
				t.Helper()
				began := time.Now()
				f()
				if took := time.Since(began); took > quickly {
					t.Errorf("%s took %s", what, took.Round(time.Millisecond))
				}
			}
			quick("docker run", func() {
				h.fails([]string{"cannot ", "Neutron: not answering since "}, h.runArgs("dave", "--network", "net")...)
			})
			h.docker("rm", "dave")
			quick("docker network create", func() {
				h.fails([]string{"cannot ", "Neutron: not answering since "}, h.networkArgs("new", "--subnet", "10.98.0.0/24")...)
			})
			quick("docker kill", func() { h.docker("kill", "carol") })
			quick("docker rm", func() { h.docker("rm", "carol") })
			quick("docker rm --force", func() { last.remove() })
			quick("docker network rm", func() { h.docker("network", "rm", "gone") })
			if s, err := h.kuryr.Status(t.Context()); err != nil || s.Courier.Pending == 0 {
				t.Errorf("nothing waits for Neutron: %+v, %v", s.Courier, err)
			}
			if err := <-pings; err != nil {
				t.Error(err)
			}
			back = true
			away.end(t, server)
			h.within(recovery, "all is settled", func() bool {
				s, err := h.kuryr.Status(t.Context())
				return err == nil && s.Courier.Pending == 0 && h.kuryr.Ready(t.Context()) == nil
			})
			if ports := n.ports(); len(ports) != 2 {
				t.Errorf("%d ports are left on the network, want alice's and bob's: %+v", len(ports), ports)
			}
			n.run("dave").reaches(a.ip4())
		})
	}
}

func signal(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// pingAll pings from within a container in the background; not one may be lost.
func pingAll(h *host, from container, to string, count int, pause time.Duration) <-chan error {
	pid, _ := from.state()
	ping := []string{"--target", strconv.Itoa(pid), "--net", "ping", "-q", "-c", strconv.Itoa(count), "-i", fmt.Sprint(pause.Seconds()), "-W", "1", to}
	done := make(chan error, 1)
	go func() {
		out, err := h.machine.Output(h.t.Context(), "nsenter", ping...)
		if err == nil && !strings.Contains(out, " 0% packet loss") {
			err = fmt.Errorf("packets were lost:\n%s", out)
		}
		done <- err
	}()
	return done
}
