package courier

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// exposedRecord is what an attachment's record says of its exposed ports.
type exposedRecord struct {
	Ports     PortSet           `json:"ports,omitempty"`     // that the engine wants open
	Groups    []SecurityGroupID `json:"groups,omitempty"`    // ours that the port has, or is about to get
	Done      bool              `json:"done,omitempty"`      // the port is as Ports say
	Unguarded bool              `json:"unguarded,omitempty"` // it is so without a group: nothing guards the port
	Python    bool              `json:"python,omitempty"`    // the Python Kuryr made the port, and perhaps a group for it
}

// want takes note of the ports that the engine wants open. It tells whether
// that is news.
func (r *exposedRecord) want(ports PortSet) bool {
	if slices.Equal(r.Ports, ports) {
		return false
	}
	r.Ports, r.Done, r.Unguarded = ports, false, false
	return true
}

// settled tells whether there is nothing to do.
func (r exposedRecord) settled() bool {
	if len(r.Ports) > 0 {
		return r.Done
	}
	return len(r.Groups) == 0
}

// Exposure is what of an endpoint others are to reach.
type Exposure struct {
	Ports   PortSet      // open to everybody, at the endpoint's own addresses
	Forward []Forwarding // from the operator's floating IP, if there is one
}

// expose takes note of what the engine wants now, and tells whether that is
// news. Called with mu held.
func (r *attachmentRecord) expose(x Exposure) bool {
	opened, forwarded := r.Exposed.want(x.Ports), r.Forwarded.want(x.Forward)
	return opened || forwarded
}

// Expose has ports of an endpoint opened to everybody, beside what its
// security groups let in already, and others forwarded; nothing else than
// these, if it is called again. Neutron is told in the background, and as
// often as it takes. It returns how many are to be forwarded.
func (c *Courier) Expose(ctx context.Context, network EngineNetworkID, endpoint EndpointID, x Exposure) (forwarded int, err error) {
	if !c.opt.ForwardFrom.IsValid() {
		x.Forward = nil
	}
	if !c.opt.ExposePorts || len(x.Ports)+len(x.Forward) == 0 {
		return 0, nil
	}
	a, n, err := c.attachmentOf(ctx, "expose ports of", network, endpoint)
	if err != nil {
		return 0, err
	}
	if c.snapshot(a).Origin == adopted {
		c.log.Info("ports of an endpoint are not exposed: its port was there before, and keeps its security groups", "port", a.rec.Port)
		return 0, nil
	}
	c.mu.Lock()
	news := a.rec.expose(x)
	c.mu.Unlock()
	if news {
		err = c.save(ctx, noted, a)
		c.startExposing(a)
	}
	return len(x.Forward), because("expose ports of endpoint "+endpoint.Short(), "on network "+n.rec.Name, err)
}

// Conceal undoes Expose, in the background. Unknown endpoints are no error.
func (c *Courier) Conceal(ctx context.Context, network EngineNetworkID, endpoint EndpointID) error {
	a := c.attachedHere(ctx, "conceal ports of", network, endpoint)
	if a == nil {
		return nil
	}
	c.mu.Lock()
	news := a.rec.expose(Exposure{})
	c.mu.Unlock()
	if !news {
		return nil
	}
	err := c.save(ctx, noted, a)
	c.startExposing(a)
	return because("conceal ports of endpoint "+endpoint.Short(), "on network "+network.Short(), err)
}

// exposer is at work while an attachment's port is not yet as its exposed and
// published ports want it.
type exposer struct {
	poke    chan struct{} // the engine has said something new
	trouble string        // why the last try failed, "" before there is one; guarded by Courier.mu
}

// concealAfter is how long ports stay open after the engine has withdrawn
// them. As a rule it deletes the endpoint right after, and its port with all
// that is on it: two calls to Neutron are saved.
const concealAfter = time.Second

// refusedRetry is the pause after what, as a rule, only a person can change: a
// quota, a missing right. A cloud that is well again may have said so too.
const refusedRetry = 20 * time.Second

// shown tells whether all is as the engine wants it.
func (r attachmentRecord) shown() bool { return r.Exposed.settled() && r.Forwarded.settled() }

// startExposing has an exposer work on a, if there is something to do.
func (c *Courier) startExposing(a *attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pokeExposer(a) {
		return
	}
	if a.rec.State != attached || a.rec.shown() || c.stopped.Err() != nil {
		return
	}
	x := &exposer{poke: make(chan struct{}, 1)}
	c.exposers[a] = x
	c.background.Go(func() { c.exposing(a, x) })
}

// pokeExposer has the exposer that works on a, if there is one, look again at
// once. Called with mu held.
func (c *Courier) pokeExposer(a *attachment) bool {
	x := c.exposers[a]
	if x == nil {
		return false
	}
	select {
	case x.poke <- struct{}{}:
	default:
	}
	return true
}

// resumeExposing goes on with what the last process left half-way.
func (c *Courier) resumeExposing() {
	c.mu.Lock()
	var all []*attachment
	for _, a := range c.attachments {
		all = append(all, a)
	}
	c.mu.Unlock()
	for _, a := range all {
		c.startExposing(a)
	}
}

// exposing tries until a's port is as it should be, or the attachment is given
// up: the port goes then, with all that is on it.
func (c *Courier) exposing(a *attachment, x *exposer) {
	wait, patient := firstRetry, false
	for {
		rec, todo := c.exposure(a)
		if !todo {
			return
		}
		if len(rec.Exposed.Ports)+len(rec.Forwarded.Want) == 0 && !patient {
			patient = true
			if !c.pause(concealAfter, x.poke) {
				return
			}
			continue
		}
		err := c.tryShowing(rec, a)
		if c.stopped.Err() != nil {
			return
		}
		c.noteTrouble(a, x, err)
		if err == nil {
			wait, patient = firstRetry, false
			continue
		}
		pause := wait
		switch {
		case errors.Is(err, ErrAway):
			pause, wait = awayRetry, firstRetry
		case hopeless(err):
			pause = refusedRetry
		}
		if !c.pause(pause/2+rand.N(pause), x.poke) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// tryShowing does what is to be done, as far as that goes.
func (c *Courier) tryShowing(rec attachmentRecord, a *attachment) error {
	var opening, forwarding error
	if !rec.Exposed.settled() {
		opening = c.tryExposing(rec, a)
	}
	if !rec.Forwarded.settled() {
		forwarding = c.tryForwarding(rec, a)
	}
	return cmp.Or(opening, forwarding)
}

// hopeless tells whether trying again soon would fail for the same reason.
func hopeless(err error) bool {
	switch KindOf(err) {
	case Exhausted, Invalid, Unauthorized, Unsupported:
		return true
	}
	return false
}

// exposure returns a's record, or takes its exposer out of the table when
// there is nothing left to do.
func (c *Courier) exposure(a *attachment) (rec attachmentRecord, todo bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.rec.State != attached || a.rec.shown() {
		delete(c.exposers, a)
		return attachmentRecord{}, false
	}
	return a.rec, true
}

// noteTrouble keeps err for the status, and logs what is new.
func (c *Courier) noteTrouble(a *attachment, x *exposer, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	before := x.trouble
	x.trouble = text
	port := a.rec.Port
	c.mu.Unlock()
	if text != "" && text != before && KindOf(err) != Conflict && !errors.Is(err, ErrAway) { // the next try settles a conflict
		c.log.Warn("exposed or published ports are not as they should be yet", "port_id", port, "err", err)
	}
}

// tryExposing makes a's port as its record rec wants it. Other groups of the
// port stay as they are.
func (c *Courier) tryExposing(rec attachmentRecord, a *attachment) error {
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	if len(rec.Exposed.Ports) == 0 {
		if err := c.inCloud(ctx, func() error { return c.closePort(ctx, rec) }); err != nil {
			return err
		}
		return c.exposedBy(ctx, a, nil, false)
	}
	var now PortSecurity
	err := c.inCloud(ctx, func() (err error) { now, err = c.Neutron.PortSecurity(ctx, rec.Port); return err })
	if err != nil {
		return err
	}
	if !now.Enabled {
		c.noteUnguarded(rec)
		return c.exposedBy(ctx, a, rec.Exposed.Ports, true)
	}
	g := c.groupOf(now.Project, rec.Exposed.Ports)
	id, err := c.ensureGroup(ctx, g)
	if err != nil {
		return err
	}
	if err := c.noteGroup(ctx, a, id); err != nil {
		return err
	}
	want := append(without(now.Groups, append(slices.Clone(rec.Exposed.Groups), id)), id)
	if err := c.inCloud(ctx, func() error { return c.setGroups(ctx, now, want) }); err != nil {
		if KindOf(err) == NotFound { // the group, or the port
			c.doubt(g)
		}
		return err
	}
	return c.exposedBy(ctx, a, rec.Exposed.Ports, false, id)
}

// closePort takes the groups off a port that opened its exposed ports.
func (c *Courier) closePort(ctx context.Context, rec attachmentRecord) error {
	now, err := c.Neutron.PortSecurity(ctx, rec.Port)
	if err != nil {
		return err
	}
	return c.setGroups(ctx, now, without(now.Groups, rec.Exposed.Groups))
}

func without(all, these []SecurityGroupID) []SecurityGroupID {
	return slices.DeleteFunc(slices.Clone(all), func(id SecurityGroupID) bool { return slices.Contains(these, id) })
}

// inCloud runs a request to Neutron that nobody waits for in one of the places
// for such.
func (c *Courier) inCloud(ctx context.Context, request func() error) error {
	if err := take(ctx, c.cloudSlots); err != nil {
		return err
	}
	defer func() { <-c.cloudSlots }()
	return request()
}

// setGroups gives a port these groups, if it has not.
func (c *Courier) setGroups(ctx context.Context, now PortSecurity, want []SecurityGroupID) error {
	have := slices.Sorted(slices.Values(now.Groups))
	if slices.Equal(have, slices.Sorted(slices.Values(want))) {
		return nil
	}
	return c.Neutron.SetSecurityGroups(ctx, now, want)
}

// noteGroup writes down which group the port is about to get.
func (c *Courier) noteGroup(ctx context.Context, a *attachment, id SecurityGroupID) error {
	c.mu.Lock()
	known := slices.Contains(a.rec.Exposed.Groups, id)
	if !known {
		a.rec.Exposed.Groups = append(slices.Clone(a.rec.Exposed.Groups), id)
	}
	c.mu.Unlock()
	if known {
		return nil
	}
	return c.save(ctx, noted, a)
}

// exposedBy writes down that the port is as ports say, by these groups of ours.
func (c *Courier) exposedBy(ctx context.Context, a *attachment, ports PortSet, unguarded bool, groups ...SecurityGroupID) error {
	c.mu.Lock()
	x := &a.rec.Exposed
	x.Groups = groups
	if slices.Equal(x.Ports, ports) { // the engine wants nothing else meanwhile
		x.Done, x.Unguarded = true, unguarded
	}
	c.mu.Unlock()
	return c.save(ctx, noted, a)
}

// noteUnguarded logs, once a network, that exposed ports mean nothing there.
func (c *Courier) noteUnguarded(r attachmentRecord) {
	c.mu.Lock()
	told := c.unguarded[r.Neutron]
	c.unguarded[r.Neutron] = true
	c.mu.Unlock()
	if !told {
		c.log.Info("exposed ports need no opening: port security is off", "network", r.Neutron, "port_id", r.Port)
	}
}
