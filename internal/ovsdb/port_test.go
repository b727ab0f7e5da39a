package ovsdb_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
	"kuryr/internal/ovsdb"
)

func TestAddPort(t *testing.T) {
	l := newLab(t)
	p := port(1)
	l.interfaces(p)
	for range 2 { // it is idempotent
		got, err := l.client.AddPort(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Userspace {
			t.Error("a netdev bridge is not told as one in userspace")
		}
		if diff := cmp.Diff([]string{p.Name}, l.ports()); diff != "" {
			t.Errorf("ports (-want +got):\n%s", diff)
		}
	}
	want := fmt.Sprintf(`{attached-mac="fa:16:3e:00:00:01", iface-id="%s", iface-status=active, kuryr-mark="kuryr:node1:intent-1", owner=kuryr, vm-uuid=%s}`, p.ID, p.Device)
	for _, table := range []string{"Port", "Interface"} {
		if diff := cmp.Diff(want, l.ovs.VSCtl("get", table, p.Name, "external_ids")); diff != "" {
			t.Errorf("external_ids of the %s (-want +got):\n%s", table, diff)
		}
	}
	if got := l.ovs.VSCtl("get", "Interface", p.Name, "ofport"); got != "1" {
		t.Errorf("ofport %s: AddPort came back before the switch had made it", got)
	}
	all, err := l.client.Ports(t.Context())
	want1 := p
	want1.Bridge = ""
	if diff := cmp.Diff([]ovsdb.Port{want1}, all); diff != "" || err != nil {
		t.Errorf("Ports: %v (-want +got):\n%s", err, diff)
	}
	for range 2 {
		if err := l.client.DeletePorts(t.Context(), p.Name); err != nil {
			t.Fatal(err)
		}
		if l.rows() != 0 {
			t.Error("rows are left")
		}
	}
}

// What others write beside our keys (OVN: ovn-installed) is no reason to make
// a port anew; another identity is.
func TestAddPortReplacesOurs(t *testing.T) {
	l := newLab(t)
	p := port(1)
	l.interfaces(p)
	add := func() (uuid string) {
		t.Helper()
		if _, err := l.client.AddPort(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return l.ovs.VSCtl("get", "Interface", p.Name, "_uuid")
	}
	first := add()
	l.ovs.VSCtl("set", "Interface", p.Name, "external_ids:ovn-installed=true")
	if second := add(); second != first {
		t.Error("a port that is as wanted was made anew")
	}
	p.Mark.Intent = "intent-2"
	if third := add(); third == first {
		t.Error("the stale port was kept")
	}
	if got := l.ovs.VSCtl("get", "Interface", p.Name, "external_ids:kuryr-mark"); got != `"kuryr:node1:intent-2"` {
		t.Errorf("mark %s", got)
	}
	l.ovs.AddBridge("br-other", "netdev")
	p.Bridge = "br-other"
	add()
	if got := l.ovs.VSCtl("port-to-br", p.Name); got != "br-other" || len(l.ports()) != 0 {
		t.Errorf("the port is on %s, and %s has %v", got, bridge, l.ports())
	}
}

func TestOthersPortsAreLeftAlone(t *testing.T) {
	l := newLab(t)
	mine, theirs := port(1), port(2)
	l.interfaces(mine, theirs)
	if _, err := l.client.AddPort(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	l.ovs.VSCtl("add-port", bridge, theirs.Name, "--", "set", "Interface", theirs.Name, "external_ids:iface-id="+string(theirs.ID))
	_, err := l.client.AddPort(t.Context(), theirs)
	wantKind(t, err, courier.Conflict, "cannot add port "+theirs.Name+" to bridge br-int: ", "not Kuryr's")
	wantKind(t, l.client.DeletePorts(t.Context(), mine.Name, theirs.Name), courier.Conflict, theirs.Name)
	if diff := cmp.Diff([]string{mine.Name, theirs.Name}, l.ports()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	// A bond has interfaces of other names, and none of ours.
	l.interfaces(port(3), port(4))
	l.ovs.VSCtl("add-bond", bridge, "bond0", port(3).Name, port(4).Name)
	wantKind(t, l.client.DeletePorts(t.Context(), "bond0"), courier.Conflict, "bond0")

	// The Python Kuryr's are ours.
	l.ovs.VSCtl("set", "Interface", theirs.Name, "external_ids:owner=kuryr")
	if err := l.client.DeletePorts(t.Context(), mine.Name, theirs.Name); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"bond0"}, l.ports()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestAddPortFailsWithNothingLeft(t *testing.T) {
	l := newLab(t)
	p := port(1)
	_, err := l.client.AddPort(t.Context(), p)
	wantKind(t, err, courier.Unavailable, "cannot add port "+p.Name+" to bridge br-int: ovs-vswitchd could not take it up: ", "No such device")
	p.Bridge = "br-none"
	_, err = l.client.AddPort(t.Context(), p)
	wantKind(t, err, courier.NotFound, "cannot add port "+p.Name+" to bridge br-none: Open vSwitch has no bridge br-none")
	ended, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	_, err = l.client.AddPort(ended, port(1))
	wantKind(t, err, courier.Unavailable, "can't be reached: it did not answer in time")
	if l.rows() != 0 {
		t.Errorf("rows are left:\n%s", l.ovs.VSCtl("show"))
	}
}

func TestSwitchIsDead(t *testing.T) {
	l := newLab(t)
	p := port(1)
	l.interfaces(p)
	l.ovs.StopSwitch()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	start := time.Now()
	_, err := l.client.AddPort(ctx, p)
	wantKind(t, err, courier.Unavailable, "cannot add port "+p.Name+" to bridge br-int: ovs-vswitchd has not taken it up in time")
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if l.ovs.VSCtl("--no-wait", "list-ports", bridge) != "" {
		t.Error("the port is left")
	}
	l.ovs.StartSwitch()
	if _, err := l.client.AddPort(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestServerRestarts(t *testing.T) {
	l := newLab(t)
	one, two := port(1), port(2)
	l.interfaces(one, two)
	if _, err := l.client.AddPort(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	l.ovs.StopServer()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := l.client.AddPort(ctx, two)
	wantKind(t, err, courier.Unavailable, "cannot add port "+two.Name+" to bridge br-int: the Open vSwitch database at /", "can't be reached: there is no such socket")
	// What comes while it is away waits for it.
	done := make(chan error)
	go func() {
		_, err := l.client.AddPort(t.Context(), two)
		done <- err
	}()
	time.Sleep(200 * time.Millisecond)
	l.ovs.StartServer()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{one.Name, two.Name}, l.ports()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if err := l.client.DeletePorts(t.Context(), one.Name, two.Name); err != nil || l.rows() != 0 {
		t.Errorf("DeletePorts: %v, %d rows are left", err, l.rows())
	}
}

// Fifty ports are added at once, and the server dies in their midst.
func TestManyAtOnce(t *testing.T) {
	l := newLab(t)
	const n = 50
	var names []string
	var all sync.WaitGroup
	for i := range n {
		l.interfaces(port(i))
		names = append(names, port(i).Name)
	}
	for i := range n {
		all.Go(func() {
			if _, err := l.client.AddPort(t.Context(), port(i)); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	l.ovs.StopServer()
	l.ovs.StartServer()
	all.Wait()
	if got := l.ports(); len(got) != n {
		t.Errorf("%d ports, want %d: %v", len(got), n, got)
	}
	if err := l.client.DeletePorts(t.Context(), names...); err != nil || l.rows() != 0 {
		t.Errorf("DeletePorts: %v, %d rows are left", err, l.rows())
	}
}

func TestConnection(t *testing.T) {
	for connection, want := range map[string]string{
		"unix:/run/x.sock":     "/run/x.sock",
		"unix:relative":        "",
		"tcp:127.0.0.1:6640":   "",
		"/run/openvswitch/db":  "",
		"unix://host/run/sock": "",
		"unix:/a?b":            "",
	} {
		got, err := ovsdb.ParseConnection(connection)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v; want %q", connection, got, err, want)
		}
		if err != nil {
			wantKind(t, err, courier.Invalid, connection)
		}
	}
}
