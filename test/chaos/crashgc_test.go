package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kuryr/internal/testkit"
)

// Operations of the reconciler: docs/decisions/0012-reconciler.md.

// gc is `kuryr gc --yes` where there is one of each kind that this host made and
// that nobody owns any more. Where Kuryr dies in it nobody asks again: the next
// start finds the rest.
func (l *crashLab) gc() crashTrial {
	tenant, n := l.existing("networks", "network", crashObject{"name": "tenant"}), 0
	return crashTrial{
		prepare: func(ctx context.Context) error {
			n++
			// What Kuryr compares by itself when it starts is over then.
			if err := l.cli(ctx, "reconcile"); err != nil {
				return err
			}
			return l.litter(ctx, n, tenant)
		},
		do: func(ctx context.Context) error { return l.cli(ctx, "gc", "--yes") },
	}
}

func (l *crashLab) cli(ctx context.Context, args ...string) error {
	out, err := l.kuryr.CLI(ctx, append(args, "--admin-socket", l.kuryr.AdminSocket())...)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// litter makes what an earlier step of Kuryr's may have left: with its mark, of
// which its journal knows nothing.
func (l *crashLab) litter(ctx context.Context, n int, tenant string) error {
	alice, err := l.portOf(ctx, &l.bystander.a)
	if err != nil {
		return err
	}
	i := strings.LastIndexByte(alice.Description, ':')
	self, identity := alice.Description[:i+1], alice.Description[i+1:][:8] // which an intent starts with
	id := func(kind int) string { return fmt.Sprintf("%s-%04d-8%03d-9111-111111111111", identity, n, kind) }
	failed := error(nil)
	post := func(path, kind string, mark int, f crashObject) string {
		var answer map[string]struct{ ID string }
		f["description"] = self + id(mark)
		failed = errors.Join(failed, l.kuryr.Neutron.Post(ctx, path, crashObject{kind: f}, &answer))
		return answer[kind].ID
	}
	network := post("networks", "network", 1, crashObject{"name": "kuryr-net-3f8a0b1c"})
	pool := post("subnetpools", "subnetpool", 2, crashObject{"name": "kuryrPool-x", "prefixes": []string{l.cidr()}, "default_prefixlen": 24})
	post("subnets", "subnet", 2, crashObject{"network_id": network, "ip_version": 4, "subnetpool_id": pool, "prefixlen": 24})
	port := post("ports", "port", 3, crashObject{"name": "kuryr-port", "network_id": network, "device_owner": "compute:kuryr", "binding:host_id": alice.Host})
	post("ports", "port", 1, crashObject{"name": "kuryr-aux-a", "network_id": network, "device_owner": "kuryr:auxiliary"})
	post("security-groups", "security_group", 4, crashObject{"name": "kuryr-exposed tcp/80"})
	// A subnet on a network that is nobody's business.
	post("subnets", "subnet", 5, crashObject{"network_id": tenant, "ip_version": 6, "cidr": l.cidr6()})
	if failed != nil {
		return failed
	}
	tap, peer := "tap"+port[:11], "t_c"+port[:11]
	err = l.engine.ip(ctx, []string{"link", "add", tap, "type", "veth", "peer", "name", peer},
		[]string{"link", "set", tap, "alias", self + id(3)})
	if err != nil || l.vsctl == nil {
		return err
	}
	// As the row of a container's, but for whose it is.
	like := l.vsctl("get", "Interface", "tap"+alice.ID[:11], "external_ids")
	like = strings.NewReplacer(alice.ID, port, alice.Description, self+id(3)).Replace(strings.TrimSpace(like))
	l.vsctl("add-port", "br-int", tap, "--", "set", "Interface", tap, "external_ids="+like)
	return nil
}

// portOf is a container's port in Neutron.
func (l *crashLab) portOf(ctx context.Context, c *crashContainer) (testkit.Port, error) {
	ports, err := l.kuryr.Neutron.Ports(ctx, "")
	if err != nil {
		return testkit.Port{}, err
	}
	for _, p := range ports {
		if p.DeviceID == c.id {
			return p, nil
		}
	}
	return testkit.Port{}, fmt.Errorf("no port is of endpoint %s", c.id)
}

// reconcile is `kuryr reconcile` after somebody has taken something from a
// running container, which is not one of the bystanders. broken has it happen, and
// whole tells whether it is as before. Where Kuryr dies it mends that by itself.
func (l *crashLab) reconcile(carol *crashContainer, broken func(context.Context, testkit.Port) error, whole func(context.Context, testkit.Port) (bool, error)) crashTrial {
	l.t.Helper()
	ctx := l.t.Context()
	carol.network = &crashNetwork{pools: []crashPool{{wish: l.cidr()}}}
	err := l.engine.createNetwork(ctx, carol.network)
	if err == nil {
		l.staying(carol.network)
		err = l.engine.start(ctx, carol)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.staying(carol.network, carol)
	port, err := l.portOf(ctx, carol)
	if err != nil {
		l.t.Fatal(err)
	}
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.cli(ctx, "reconcile") },
		do: func(ctx context.Context) error { // at once: Kuryr looks by itself each 10 s
			if err := broken(ctx, port); err != nil {
				return err
			}
			return l.cli(ctx, "reconcile")
		},
		tidy: func(ctx context.Context, _ error) error {
			for deadline := time.Now().Add(2 * crashSoon); ; time.Sleep(25 * time.Millisecond) {
				ok, err := whole(ctx, port)
				if ok || time.Now().After(deadline) {
					return errors.Join(err, map[bool]error{false: fmt.Errorf("what was taken from a container is not mended")}[ok])
				}
			}
		},
	}
}

// crashLink is what `ip -json -details link` says of one.
type crashLink struct {
	Alias  string   `json:"ifalias"`
	Master string   `json:"master"`
	Flags  []string `json:"flags"`
}

func (l *crashLab) link(ctx context.Context, name string) (crashLink, error) {
	out, err := l.machine.Output(ctx, "ip", "-json", "-details", "link", "show", name)
	if err != nil {
		return crashLink{}, err
	}
	var all []crashLink
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		return crashLink{}, fmt.Errorf("ip says %q: %w", out, err)
	}
	return all[0], nil
}

// reconcileBridge is for a container whose bridge is gone, whose link has lost
// its alias and is down, and whose port is bound nowhere.
func (l *crashLab) reconcileBridge() crashTrial {
	host := ""
	return l.reconcile(l.carol(nil),
		func(ctx context.Context, p testkit.Port) error {
			host = p.Host
			tap := "tap" + p.ID[:11]
			return errors.Join(
				l.engine.ip(ctx, []string{"link", "del", "brq" + p.NetworkID[:11]},
					[]string{"link", "set", tap, "down"}, []string{"link", "set", tap, "alias", ""}),
				l.kuryr.Neutron.Put(ctx, "ports/"+p.ID, crashObject{"port": crashObject{"binding:host_id": ""}}))
		},
		func(ctx context.Context, p testkit.Port) (bool, error) {
			var now struct{ Port testkit.Port }
			err := l.kuryr.Neutron.Get(ctx, "ports/"+p.ID, &now)
			tap, failed := l.link(ctx, "tap"+p.ID[:11])
			bridged := tap.Master == "brq"+p.NetworkID[:11] && tap.Alias == p.Description && slices.Contains(tap.Flags, "UP")
			return bridged && now.Port.Host == host, errors.Join(err, failed)
		})
}

// reconcileSwitch is for a container whose row of Open vSwitch's is gone.
func (l *crashLab) reconcileSwitch() crashTrial {
	return l.reconcile(l.carol(nil),
		func(_ context.Context, p testkit.Port) error {
			l.vsctl("del-port", crashPort(l, p))
			return nil
		},
		func(_ context.Context, p testkit.Port) (bool, error) {
			return slices.Contains(l.switchPorts(), "ovs port "+crashPort(l, p)), nil
		})
}

// crashPort is the name of a container's port of Open vSwitch.
func crashPort(l *crashLab, p testkit.Port) string {
	if l.ovs != nil && l.ovs.hybrid {
		return "qvo" + p.ID[:11]
	}
	return "tap" + p.ID[:11]
}
