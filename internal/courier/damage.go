package courier

import (
	"context"
	"slices"
	"strings"
	"time"
)

// damage compares what the tables hold in Neutron with what is there, and
// returns what is to be mended, or told.
func (c *Courier) damage(ctx context.Context, s census) (jobs []job, err error) {
	ports, err := c.damagedPorts(ctx, s)
	if err != nil {
		return nil, err
	}
	nets, err := c.damagedNetworks(ctx, s)
	return append(ports, nets...), err
}

// heldPort is a port that an attachment has.
type heldPort struct {
	a   *attachment
	rec attachmentRecord
}

func (c *Courier) damagedPorts(ctx context.Context, s census) (jobs []job, err error) {
	listed := make(map[PortID]Port, len(s.ports))
	for _, p := range s.ports {
		listed[p.ID] = p
	}
	var held []heldPort
	var unlisted []PortID
	c.mu.Lock()
	for _, a := range c.attachments {
		used := a.rec.State == attached && a.rec.Joined || a.rec.State == pooled
		if _, before := s.before.intents[a.rec.Intent]; !before || !used || a.rec.Port == "" {
			continue
		}
		held = append(held, heldPort{a, a.rec})
		if _, there := listed[a.rec.Port]; !there {
			unlisted = append(unlisted, a.rec.Port)
		}
	}
	c.mu.Unlock()
	var more []Port
	err = c.inCloud(ctx, func() (err error) { more, err = c.Neutron.PortsByID(ctx, unlisted); return err })
	if err != nil {
		return nil, err
	}
	for _, p := range more {
		listed[p.ID] = p
	}
	slices.SortFunc(held, func(x, y heldPort) int { return strings.Compare(x.rec.Intent, y.rec.Intent) })
	for _, h := range held {
		if c.snapshot(h.a).State == h.rec.State {
			p, there := listed[h.rec.Port]
			jobs = append(jobs, c.portDamage(h, p, there)...)
		}
	}
	return jobs, nil
}

func (c *Courier) portDamage(h heldPort, p Port, there bool) []job {
	f := Finding{Kind: "port", ID: string(h.rec.Port), Name: h.rec.Endpoint.Short(), Action: noAction}
	switch {
	case h.rec.State == pooled && (!there || p.Binding.Host != c.opt.Host || p.Status == "ERROR"):
		f.Problem, f.Action = "it is in a port pool, and was deleted in Neutron, bound elsewhere, or is in status ERROR", "take it out of the pool"
		return []job{{Finding: f, stage: stagePorts, do: func(context.Context) error { return c.takeOut(h.a) }}}
	case h.rec.State == pooled:
		return nil
	case !there:
		f.Problem = "it was deleted in Neutron, and a container uses it: restart the container"
	case p.Binding.Host != c.opt.Host && h.rec.Origin == adopted:
		f.Problem = "it was there before, and is bound to host " + quoteHost(p.Binding.Host) + " now, while a container here uses it"
	case p.Binding.Host != c.opt.Host, p.Binding.VIFType == "unbound":
		f.Problem, f.Action = "it is bound to host "+quoteHost(p.Binding.Host)+", and a container here uses it", "bind it to this host again"
		return []job{{Finding: f, stage: stagePorts, do: func(ctx context.Context) error { return c.bindAgain(ctx, h) }}}
	case p.Status == "DOWN" && !h.rec.Closed && time.Since(h.rec.Touched) > downGrace:
		f.Problem = "it is DOWN in Neutron, and a container uses it: see its admin state, and the agent of this host"
	default:
		return nil
	}
	return []job{{Finding: f, stage: stagePorts}}
}

func quoteHost(host string) string {
	if host == "" {
		return "none"
	}
	return host
}

// bindAgain has Neutron bind a port here, if it is still held.
func (c *Courier) bindAgain(ctx context.Context, h heldPort) error {
	if !h.a.op.TryLock() {
		return nil
	}
	defer h.a.op.Unlock()
	if now := c.snapshot(h.a); now.State != attached || now.Port != h.rec.Port {
		return nil
	}
	now, err := c.Neutron.UpdatePort(ctx, h.rec.Port, PortUpdate{Host: &c.opt.Host})
	if err == nil && now.Binding.VIFType != h.rec.Binding.VIFType {
		err = &Error{Kind: Conflict, Op: "bind it", Subject: "as it was",
			Public: "Neutron binds it as " + now.Binding.VIFType + " now: restart the container"}
	}
	return err
}

// downGrace is how long Neutron may take to set up a port.
const downGrace = time.Minute

// damagedNetworks tells of networks and subnets that were deleted under us.
func (c *Courier) damagedNetworks(ctx context.Context, s census) (jobs []job, err error) {
	var held []networkRecord
	c.mu.Lock()
	for _, n := range c.networks {
		if _, before := s.before.intents[n.rec.Intent]; before && n.rec.State == ready {
			held = append(held, n.rec)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(held, func(x, y networkRecord) int { return strings.Compare(x.Intent, y.Intent) })
	for _, r := range held {
		found, err := c.networkDamage(ctx, s, r)
		if err != nil {
			return jobs, err
		}
		jobs = append(jobs, found...)
	}
	return jobs, nil
}

func (c *Courier) networkDamage(ctx context.Context, s census, r networkRecord) (jobs []job, err error) {
	listed := slices.ContainsFunc(s.networks, func(n Network) bool { return n.ID == r.Neutron })
	if !listed {
		var found []Network
		err := c.inCloud(ctx, func() (err error) {
			found, err = c.Neutron.FindNetworks(ctx, Reference{ID: string(r.Neutron)})
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return []job{{stage: stageNetworks, Finding: Finding{Kind: "network", ID: string(r.Neutron), Name: r.Name, Action: noAction,
				Problem: "it was deleted in Neutron, or is shared with this project no more: remove the Docker network and create it again"}}}, nil
		}
	}
	missing := slices.DeleteFunc(slices.Clone(r.Subnets), func(x subnetRecord) bool {
		return slices.ContainsFunc(s.subnets, func(y Subnet) bool { return x.ID == y.ID })
	})
	if len(missing) == 0 {
		return nil, nil
	}
	var now []Subnet
	err = c.inCloud(ctx, func() (err error) { now, err = c.Neutron.SubnetsOfNetwork(ctx, r.Neutron); return err })
	for _, x := range missing {
		if err == nil && !slices.ContainsFunc(now, func(y Subnet) bool { return x.ID == y.ID }) {
			jobs = append(jobs, job{stage: stageSubnets, Finding: Finding{Kind: "subnet", ID: string(x.ID), Name: x.CIDR.String(), Action: noAction,
				Problem: "it was deleted in Neutron: remove the Docker network " + r.Name + " and create it again"}})
		}
	}
	return jobs, err
}
