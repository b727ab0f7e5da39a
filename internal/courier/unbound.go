package courier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// explainTimeout bounds what is asked for the sake of a better message.
const explainTimeout = 3 * time.Second

// explained adds to the Binder's refusal of a port that Neutron failed to bind
// what Neutron knows of this host's agents. Neutron itself tells nothing: it
// answers 201 with vif_type binding_failed.
func (c *Courier) explained(ctx context.Context, r attachmentRecord, err error) error {
	var refusal *Error
	if r.Binding.VIFType != "binding_failed" || !errors.As(err, &refusal) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	agents, lookErr := c.Neutron.AgentsOfHost(ctx, c.opt.Host)
	if lookErr != nil {
		return err // it says what to look at
	}
	e := *refusal
	why, hint := diagnose(c.opt.Host, agents)
	e.Public, e.Hint, e.Err = e.Public+": "+why, hint, err
	return &e
}

// serviceAgents do not bind ports.
var serviceAgents = []string{"DHCP agent", "L3 agent", "Metadata agent", "OVN Metadata agent", "Metering agent"}

// diagnose tells why no mechanism of Neutron's could bind a port to the host,
// and what to do.
func diagnose(host string, agents []Agent) (why, hint string) {
	agents = slices.DeleteFunc(slices.Clone(agents), func(a Agent) bool { return slices.Contains(serviceAgents, a.Type) })
	var alive, dead []string
	var last time.Time
	for _, a := range agents {
		if a.Alive {
			alive = append(alive, a.Type)
			continue
		}
		dead = append(dead, a.Type)
		if a.Heartbeat.After(last) {
			last = a.Heartbeat
		}
	}
	switch {
	case len(agents) == 0:
		return "it shows no agent of a layer 2 on a host of that name",
			fmt.Sprintf("set [DEFAULT] host to the name under which this machine's agent (or OVN chassis) is listed by `openstack network agent list`; it is %q now, and only administrators see the list", host)
	case len(alive) == 0:
		since := ""
		if !last.IsZero() {
			since = " since " + last.UTC().Format("2006-01-02 15:04:05 UTC")
		}
		return fmt.Sprintf("its %s there has not been heard of%s", strings.Join(dead, " and "), since),
			"start the agent, or see its log; Neutron tells how it is with `openstack network agent list --host " + host + "`"
	}
	return fmt.Sprintf("its %s there is alive, but can't serve the network", strings.Join(alive, " and ")),
		"compare the network's type and physical network with what the agent is set up for (bridge mappings, tunnel types); neutron-server's log says which it tried"
}
