package courier

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// exposedGroup is a security group that opens one set of ports, to be put on
// every port that wants it. It is shared: with the other attachments of this
// host, and with other hosts whose ports are of the same project.
type exposedGroup struct {
	life
	rec     exposedGroupRecord
	touched time.Time // when an attachment last had use for it

	sure    bool      // this process has seen that it is complete
	refusal error     // why Neutron would not make it
	until   time.Time // when Neutron is asked again

	looking bool      // somebody looks for what it has too many; guarded by Courier.mu
	again   time.Time // when that is tried the next time; the same
	refused time.Time // when Neutron first refused to delete it; the same
}

type exposedGroupRecord struct {
	Intent  string          `json:"intent"`
	State   state           `json:"state"` // creating, ready, removing
	Project string          `json:"project,omitempty"`
	Ports   PortSet         `json:"ports"`
	ID      SecurityGroupID `json:"id,omitempty"` // "" until there is one

	Unanswered time.Time `json:"unanswered,omitzero"` // when Neutron's answer was lost
}

func (g *exposedGroup) key() (string, string) { return kindExposed, g.rec.Intent }
func (g *exposedGroup) record() any           { return g.rec }
func (g *exposedGroup) enter(s state)         { g.rec.State = s }

// groupLinger is how long a group stays when its last port has gone: the next
// container is often like the last one.
const groupLinger = 2 * time.Second

const (
	groupPrefix   = "kuryr-exposed "
	maxGroupPorts = 150 // characters; Neutron's names have 255
)

// name is what the group is called on every host: the ports it opens. Of long
// lists the start, and a hash of all.
func (r exposedGroupRecord) name() string {
	ports := r.Ports.String()
	if len(ports) > maxGroupPorts {
		ports = fmt.Sprintf("%s… %x", ports[:maxGroupPorts], sha256.Sum256([]byte(ports)))
	}
	return groupPrefix + ports
}

// openings are the group's rules.
func (r exposedGroupRecord) openings() []Opening {
	var all []Opening
	for _, p := range r.Ports {
		all = append(all, Opening{IPv4, p}, Opening{IPv6, p})
	}
	return all
}

// groupOf returns the group for a set of ports in a project.
func (c *Courier) groupOf(project string, ports PortSet) *exposedGroup {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.exposed {
		if g.rec.State != removing && g.rec.Project == project && slices.Equal(g.rec.Ports, ports) {
			return g
		}
	}
	g := &exposedGroup{life: newLife(), touched: time.Now(),
		rec: exposedGroupRecord{Intent: c.newIntent(), State: creating, Project: project, Ports: ports}}
	c.exposed[g.rec.Intent] = g
	return g
}

// expiredGroups returns the groups that no attachment has had use for lately.
// Called with mu held.
func (c *Courier) expiredGroups(now time.Time) (old []entity) {
	for _, g := range c.exposed {
		switch {
		case g.rec.State == removing:
		case c.wanted(g.rec):
			g.touched = time.Now()
		case now.Sub(g.touched) > groupLinger:
			old = append(old, g)
		}
	}
	return old
}

// wanted tells whether an attachment has a group, or is to get it. Called with
// mu held.
func (c *Courier) wanted(r exposedGroupRecord) bool {
	for _, a := range c.attachments {
		x := a.rec.Exposed
		if len(x.Ports) > 0 && !x.Unguarded && slices.Equal(x.Ports, r.Ports) || slices.Contains(x.Groups, r.ID) {
			return true
		}
	}
	return false
}

// stillWanted is wanted for who does not hold mu: a port may have got the group
// after it was given up.
func (c *Courier) stillWanted(r exposedGroupRecord) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted(r)
}

// errGivenUp says that a group was given up before it could be used.
var errGivenUp = &Error{Kind: Conflict, Op: "use the security group of exposed ports", Public: "it is just being removed"}

// ensureGroup returns the ID of g's group in Neutron, complete. What another
// host made is as good as what this one made.
func (c *Courier) ensureGroup(ctx context.Context, g *exposedGroup) (SecurityGroupID, error) {
	g.op.Lock()
	defer g.op.Unlock()
	c.mu.Lock()
	rec, sure, refusal := g.rec, g.sure, g.refusal
	givenUp := g.rec.State == removing || g.forgotten // nobody would remove what is made for it now
	if time.Now().After(g.until) {
		refusal = nil
	}
	c.mu.Unlock()
	switch {
	case givenUp:
		return "", errGivenUp
	case sure:
		return rec.ID, nil
	case refusal != nil:
		return "", refusal
	}
	var made SecurityGroup
	err := c.inCloud(ctx, func() (err error) { made, err = c.completeGroup(ctx, g, rec); return err })
	err = because("open ports "+rec.Ports.String(), "by a security group", err)
	c.mu.Lock()
	givenUp = g.rec.State == removing // meanwhile: its removal has only waited for this
	switch {
	case err == nil:
		g.rec.ID, g.sure, g.refusal = made.ID, true, nil
		if !givenUp {
			g.rec.State = ready
		}
	case hopeless(err):
		g.refusal, g.until = err, time.Now().Add(refusedRetry/2)
	}
	c.mu.Unlock()
	if err != nil {
		return "", err
	}
	if givenUp {
		return "", errGivenUp
	}
	return made.ID, c.save(ctx, noted, g)
}

// doubt has the group looked up again before it is used.
func (c *Courier) doubt(g *exposedGroup) {
	c.mu.Lock()
	g.sure = false
	c.mu.Unlock()
}

// completeGroup finds or makes the group, and sees that it has its rules and
// no others: Neutron's own, which every group is born with, let everything out.
func (c *Courier) completeGroup(ctx context.Context, g *exposedGroup, rec exposedGroupRecord) (SecurityGroup, error) {
	group, found, err := c.findGroup(ctx, rec)
	if err == nil && !found {
		group, err = c.makeGroup(ctx, g, rec)
	}
	if err != nil {
		return SecurityGroup{}, err
	}
	missing := rec.openings()
	slices.SortFunc(group.Rules, func(a, b SecurityGroupRule) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, rule := range group.Rules { // in an order: of two that say the same all hosts keep the same
		_, ours := ParseMark(rule.Description)
		if i := slices.Index(missing, rule.Opens); ours && i >= 0 {
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		if err := c.Neutron.DeleteSecurityGroupRule(ctx, rule.ID); err != nil && KindOf(err) != NotFound {
			return SecurityGroup{}, err
		}
	}
	if len(missing) == 0 {
		return group, nil
	}
	// The rules carry the group's mark, whoever makes them: Neutron takes two
	// that differ in their descriptions only for different ones.
	mark, _ := ParseMark(group.Description)
	return group, c.Neutron.OpenPorts(ctx, group.ID, missing, mark)
}

// makeGroup makes the group, with the intent written first. Another host may
// do the same at the same time: all then use the oldest.
func (c *Courier) makeGroup(ctx context.Context, g *exposedGroup, rec exposedGroupRecord) (SecurityGroup, error) {
	if err := c.save(ctx, durable, g); err != nil {
		return SecurityGroup{}, err
	}
	made, err := c.Neutron.CreateSecurityGroup(ctx, SecurityGroupSpec{Name: rec.name(), Project: rec.Project, Mark: c.mark(rec.Intent)})
	if err != nil {
		c.noteUnanswered(&g.rec.Unanswered, err)
		return SecurityGroup{}, err
	}
	oldest, found, err := c.findGroup(ctx, rec)
	if err != nil || !found || oldest.ID == made.ID {
		return made, err
	}
	if err := c.Neutron.DeleteSecurityGroup(ctx, made.ID); err != nil {
		c.log.Warn("a security group that nobody needs could not be deleted; it is tried again", "security_group", made.ID, "err", err)
		c.mu.Lock()
		g.rec.Unanswered = time.Now()
		c.mu.Unlock()
	}
	return oldest, nil
}

// surplusRetry is how long it is waited until Neutron is asked for surplus
// groups again.
const surplusRetry = 5 * time.Second

// dropSurplus has groups looked at of which an answer was lost, once nothing
// can come of that request any more: it may have made a second one, after the
// first try to find it.
func (c *Courier) dropSurplus(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.exposed {
		lost := g.rec.Unanswered
		if g.rec.State != ready || lost.IsZero() || c.mayAppear(lost) || g.looking || now.Before(g.again) {
			continue
		}
		g.looking = true
		c.background.Go(func() {
			err := c.dropSurplusOf(g)
			c.mu.Lock()
			g.looking = false
			if err != nil {
				g.again = time.Now().Add(surplusRetry)
			}
			c.mu.Unlock()
		})
	}
}

// dropSurplusOf deletes the groups of g's intent that are not the one in use.
func (c *Courier) dropSurplusOf(g *exposedGroup) error {
	g.op.Lock()
	defer g.op.Unlock()
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	c.mu.Lock()
	rec := g.rec
	c.mu.Unlock()
	if rec.State != ready {
		return nil // its removal sees to all of them
	}
	err := c.inCloud(ctx, func() error {
		all, err := c.markedGroups(ctx, rec)
		for _, s := range all {
			if s.ID == rec.ID || s.Description != c.mark(rec.Intent).String() {
				continue
			}
			if e := c.Neutron.DeleteSecurityGroup(ctx, s.ID); e != nil && KindOf(e) != NotFound && KindOf(e) != Conflict {
				err = e
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	if g.rec.Unanswered.Equal(rec.Unanswered) {
		g.rec.Unanswered = time.Time{}
	}
	c.mu.Unlock()
	return c.save(ctx, noted, g)
}

// findGroup looks for the group that this host uses already or, if there is
// none, the one that all hosts would choose: the oldest that Kuryr made.
func (c *Courier) findGroup(ctx context.Context, rec exposedGroupRecord) (SecurityGroup, bool, error) {
	all, err := c.markedGroups(ctx, rec)
	if err != nil || len(all) == 0 {
		return SecurityGroup{}, false, err
	}
	if i := slices.IndexFunc(all, func(s SecurityGroup) bool { return s.ID == rec.ID }); i >= 0 {
		return all[i], true, nil
	}
	return slices.MinFunc(all, func(a, b SecurityGroup) int {
		if d := a.Created.Compare(b.Created); d != 0 { // to the second, in Neutron
			return d
		}
		return strings.Compare(string(a.ID), string(b.ID))
	}), true, nil
}

// markedGroups returns the groups of this name that Kuryr made, in the project.
func (c *Courier) markedGroups(ctx context.Context, rec exposedGroupRecord) ([]SecurityGroup, error) {
	all, err := c.Neutron.SecurityGroupsByName(ctx, rec.name())
	return slices.DeleteFunc(all, func(s SecurityGroup) bool {
		_, ours := ParseMark(s.Description)
		return !ours || s.Project != rec.Project
	}), err
}

// eraseGroup deletes the group that this host used, and whatever it made
// besides. What another host's port has, Neutron keeps: it is for that host to
// delete when its last port is gone.
func (c *Courier) eraseGroup(ctx context.Context, g *exposedGroup) error {
	c.mu.Lock()
	rec := g.rec
	c.mu.Unlock()
	all, err := c.markedGroups(ctx, rec)
	if err != nil {
		return err
	}
	own, used := c.stillWanted(rec), false
	for _, s := range all {
		if s.ID != rec.ID && s.Description != c.mark(rec.Intent).String() {
			continue
		}
		err := c.Neutron.DeleteSecurityGroup(ctx, s.ID)
		switch KindOf(err) {
		case Conflict: // a port has it: one of another host's, which deletes it then, or one of ours
			if own || c.stillWanted(rec) {
				return errWaiting
			}
			used = true
		case NotFound:
		default:
			if err != nil {
				return err
			}
		}
	}
	if c.mayAppear(rec.Unanswered) || used && c.mayBeFree(g) {
		return errWaiting
	}
	if err := c.forget(ctx, g); err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.exposed, rec.Intent)
	c.mu.Unlock()
	return nil
}

// usedFor is how long Neutron has to refuse the deletion of a group until it is
// believed that another host's port has it. It refuses for other reasons too,
// of which nothing is left a moment later.
const usedFor = 10 * time.Second

// mayBeFree tells whether a group that can't be deleted may be, soon.
func (c *Courier) mayBeFree(g *exposedGroup) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g.refused.IsZero() {
		g.refused = time.Now()
	}
	return time.Since(g.refused) < min(usedFor, c.opt.LostFor)
}

// pythonGroup is what the Python Kuryr called the security group that it made
// for a port's exposed ports.
func pythonGroup(p PortID) string { return string(p) + "-exposed_ports" }

// erasePythonGroup takes that group off a port whose endpoint the engine has
// deleted, and deletes it.
func (c *Courier) erasePythonGroup(ctx context.Context, port PortID) error {
	all, err := c.Neutron.SecurityGroupsByName(ctx, pythonGroup(port))
	if err != nil || len(all) == 0 {
		return err
	}
	now, err := c.Neutron.PortSecurity(ctx, port)
	if err == nil {
		all = slices.DeleteFunc(all, func(s SecurityGroup) bool { return s.Project != now.Project })
		var ids []SecurityGroupID
		for _, s := range all {
			ids = append(ids, s.ID)
		}
		err = c.setGroups(ctx, now, without(now.Groups, ids))
	}
	if err != nil && KindOf(err) != NotFound {
		return err
	}
	for _, s := range all {
		err := c.Neutron.DeleteSecurityGroup(ctx, s.ID)
		if err != nil && KindOf(err) != NotFound && KindOf(err) != Conflict { // another port has it: it isn't what its name says
			return err
		}
	}
	return nil
}
