package courier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// job is a finding, and what is to be done about it.
type job struct {
	Finding
	stage int                         // jobs of a lower stage come first
	do    func(context.Context) error // nil: it takes a person
}

// The order in which things go: what uses others before those.
const (
	stageLinks = iota
	stagePorts
	stageSubnets
	stageNetworks
	stageRest
	stages
)

// judge tells of marks whose things they are.
type judge struct {
	host     string
	identity string
	held     holdings
	living   map[string]bool // intents of links whose other end is in a sandbox
	o        ReconcileOptions
}

// verdict is what a mark, and the records, say of a thing.
type verdict int

const (
	notOurs verdict = iota // another host's, or of no journal's
	owned                  // there is a record
	surplus                // there is a record, of another one
	unowned                // this journal made it, and has no record
	strayed                // another journal made it: that is lost, or elsewhere
)

// problems are the verdicts in words.
var problems = map[verdict]string{
	surplus: "a second one was made for the same step",
	unowned: "this journal made it, and has no record of it any more",
	strayed: "it has this host's mark, and another journal made it",
}

// of judges a thing by its mark and ID. same tells whether a record of its
// intent names it, as far as that is settled.
func (j judge) of(m Mark, id string, same func(holding) bool) verdict {
	_, isIntent := m.identity()
	if m.Host != j.host || !isIntent {
		return notOurs
	}
	if j.held.ids[id] {
		return owned
	}
	if h, there := j.held.intents[m.intent()]; there {
		if h.settled && !same(h) {
			return surplus
		}
		return owned
	}
	if m.madeBy(j.identity) && !j.held.lossy {
		return unowned
	}
	return strayed
}

// deletes is the Action of what is collected.
const deletes = "delete"

// job makes one of a verdict; nil if there is nothing to be done. Without a
// sure proof it takes a person, who may ask for what is lost.
func (j judge) job(v verdict, stage int, f Finding, do func(context.Context) error) []job {
	f.Problem, f.Action = problems[v], deletes
	switch v {
	case notOurs, owned:
		return nil
	case strayed:
		if !j.o.Lost {
			f.Action, do = noAction, nil
		}
	}
	return []job{{Finding: f, stage: stage, do: do}}
}

// leave turns a job into one for a person.
func leave(jobs []job, why string) []job {
	for i := range jobs {
		jobs[i].Problem, jobs[i].Action, jobs[i].do = jobs[i].Problem+"; "+why, noAction, nil
	}
	return jobs
}

// garbage returns what nobody owns.
func (c *Courier) garbage(s census, o ReconcileOptions) (all []job) {
	j := judge{host: c.opt.Host, identity: c.identity, held: c.holdings().with(s.before), living: map[string]bool{}, o: o}
	for _, p := range s.pairs {
		if m, ok := ParseMark(p.Alias); ok && p.Ours && p.Away() {
			j.living[m.intent()] = true
		}
	}
	for _, p := range s.pairs {
		all = append(all, c.judgePair(j, p)...)
	}
	for _, p := range s.plugs {
		all = append(all, c.judgePlug(j, p)...)
	}
	for _, p := range s.ports {
		all = append(all, c.judgePort(j, p)...)
	}
	gone := map[NetworkID]bool{}
	for _, n := range s.networks {
		found := c.judgeNetwork(j, n)
		gone[n.ID] = len(found) > 0 && found[0].do != nil
		all = append(all, found...)
	}
	for _, x := range s.subnets {
		if !gone[x.Network] { // else it goes with its network
			all = append(all, c.judgeSubnet(j, x)...)
		}
	}
	for _, p := range s.pools {
		all = append(all, c.judgePool(j, p)...)
	}
	for _, g := range s.groups {
		all = append(all, c.judgeGroup(j, g)...)
	}
	return all
}

// never is for what there may be several of, or what its record can't name.
func never(holding) bool { return true }

const containerUses = "a container uses it"

func (c *Courier) judgePair(j judge, p Pair) []job {
	if !p.Ours || j.held.links[p.HostEnd] {
		return nil
	}
	f := Finding{Kind: "link", ID: p.HostEnd}
	remove := func(ctx context.Context) error { return c.Linker.Delete(ctx, p.HostEnd) }
	m, ok := ParseMark(p.Alias)
	if !ok { // what a crash interrupted has a record, which names it
		m = Mark{Host: j.host, Intent: unknownIntent}
		if p.Alias != "" {
			return nil
		}
	}
	found := j.job(j.of(m, "", never), stageLinks, f, remove)
	if p.Away() {
		return leave(found, containerUses)
	}
	return found
}

// unknownIntent stands for that of a link whose alias was never written.
const unknownIntent = "00000000-0000-0000-0000-000000000000"

func (c *Courier) judgePlug(j judge, p Plug) []job {
	f := Finding{Kind: "binding", ID: p.HostEnd, Name: string(p.Port)}
	remove := func(ctx context.Context) error { return c.Binder.Unbind(ctx, p) }
	if p.HostEnd == "" { // a bridge, with nothing on it
		if j.held.bridged[p.Network] || p.Network == "" {
			return nil
		}
		f = Finding{Kind: "bridge", ID: BridgeName(p.Network), Name: string(p.Network), Problem: "nothing uses it", Action: deletes}
		return []job{{Finding: f, stage: stageLinks, do: remove}}
	}
	found := j.job(j.of(p.Mark, "", never), stageLinks, f, remove)
	if j.living[p.Mark.intent()] {
		return leave(found, containerUses)
	}
	return found
}

func (c *Courier) judgePort(j judge, p Port) []job {
	m, _ := ParseMark(p.Description)
	v := j.of(m, string(p.ID), func(h holding) bool { return p.ID == h.port || slices.Contains(h.aux, p.ID) })
	found := j.job(v, stagePorts, Finding{Kind: "port", ID: string(p.ID), Name: p.Name},
		func(ctx context.Context) error { return c.Neutron.DeletePort(ctx, p.ID) })
	switch p.DeviceOwner {
	case "", ownerEndpoint, ownerAuxiliary:
	default:
		return leave(found, "it is now "+p.DeviceOwner+"'s")
	}
	if j.living[m.intent()] && v != surplus {
		return leave(found, containerUses)
	}
	return found
}

func (c *Courier) judgeNetwork(j judge, n Network) []job {
	m, _ := ParseMark(n.Description)
	v := j.of(m, string(n.ID), func(h holding) bool { return h.network == n.ID })
	if j.used(n.Tags) {
		return nil // other hosts' networks are on it
	}
	found := j.job(v, stageNetworks, Finding{Kind: "network", ID: string(n.ID), Name: n.Name},
		func(ctx context.Context) error { return c.Neutron.DeleteNetwork(ctx, n.ID, n.Revision) })
	return j.python(found, n.Tags)
}

// used tells whether a tag says that somebody uses what has it. This journal's
// own tags say so only while there is a record.
func (j judge) used(tags []string) bool {
	return slices.ContainsFunc(tags, func(t string) bool {
		intent, ok := strings.CutPrefix(t, usedPrefix)
		_, held := j.held.intents[intent]
		return ok && (held || j.held.lossy || !(Mark{Intent: intent}).madeBy(j.identity))
	})
}

// python leaves what has the Python Kuryr's tags, which don't tell whose they
// are, unless a person asks for what is lost.
func (j judge) python(found []job, tags []string) []job {
	if pyMade(tags) && !j.o.Lost {
		return leave(found, "a Python Kuryr may use it")
	}
	return found
}

func (c *Courier) judgeSubnet(j judge, s Subnet) []job {
	m, _ := ParseMark(s.Description)
	if j.used(s.Tags) || j.held.ids[string(s.Network)] && !isCommon(s.Description) {
		return nil
	}
	found := j.job(j.of(m, string(s.ID), never), stageSubnets, Finding{Kind: "subnet", ID: string(s.ID), Name: s.Name},
		func(ctx context.Context) error { return c.Neutron.DeleteSubnet(ctx, s.ID, s.Revision) })
	return j.python(found, s.Tags)
}

func (c *Courier) judgePool(j judge, p SubnetPool) []job {
	m, _ := ParseMark(p.Description)
	v := j.of(m, string(p.ID), func(h holding) bool { return h.pool == p.ID })
	return j.job(v, stageRest, Finding{Kind: "subnetpool", ID: string(p.ID), Name: p.Name},
		func(ctx context.Context) error { return c.Neutron.DeleteSubnetPool(ctx, p.ID) })
}

func (c *Courier) judgeGroup(j judge, g SecurityGroup) []job {
	m, _ := ParseMark(g.Description)
	return j.job(j.of(m, string(g.ID), never), stageRest, Finding{Kind: "security group", ID: string(g.ID), Name: g.Name},
		func(ctx context.Context) error { return c.Neutron.DeleteSecurityGroup(ctx, g.ID) })
}

// collectors is how many deletions the reconciler has under way at once: what
// the engine waits for comes first.
const collectors = 4

// carryOut does what is to be done, stage after stage, and returns what came of
// it. What turns out to be gone was no finding. It stops when the cloud is away.
func (c *Courier) carryOut(ctx context.Context, jobs []job, act bool) (out []Finding, err error) {
	for stage := range stages {
		var mine []job
		for _, j := range jobs {
			if j.stage == stage {
				mine = append(mine, j)
			}
		}
		if !act {
			for _, j := range mine {
				out = append(out, j.Finding)
			}
			continue
		}
		found, err := c.carryOutAll(ctx, mine)
		out = append(out, found...)
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (c *Courier) carryOutAll(ctx context.Context, jobs []job) (out []Finding, err error) {
	var mu sync.Mutex // guards out and err
	var all sync.WaitGroup
	slots := make(chan struct{}, collectors)
	for _, j := range jobs {
		mu.Lock()
		stop := err != nil
		mu.Unlock()
		if stop || take(ctx, slots) != nil {
			break
		}
		all.Go(func() {
			defer func() { <-slots }()
			f, keep, jobErr := c.carryOutOne(ctx, j)
			mu.Lock()
			defer mu.Unlock()
			if keep {
				out = append(out, f)
			}
			if errors.Is(jobErr, ErrAway) {
				err = jobErr
			}
		})
	}
	all.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return out, err
}

// carryOutOne does one job. What others use, Neutron keeps.
func (c *Courier) carryOutOne(ctx context.Context, j job) (f Finding, keep bool, err error) {
	if j.do == nil {
		return j.Finding, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err = c.inCloud(ctx, func() error { return j.do(ctx) })
	switch {
	case err == nil:
	case KindOf(err) == NotFound:
		return f, false, nil
	case KindOf(err) == Conflict && j.stage > stagePorts:
		return f, false, nil // in use: it is as it should be
	default:
		j.Error = err.Error()
	}
	return j.Finding, true, err
}
