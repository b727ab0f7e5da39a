package neutron

import (
	"context"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/agents"

	"kuryr/internal/courier"
)

// agentWire is what is read of an agent: gophercloud's own type decodes much
// more, in ways that depend on the kind of agent.
type agentWire struct {
	Type      string `json:"agent_type"`
	Alive     bool   `json:"alive"`
	Heartbeat string `json:"heartbeat_timestamp"`
}

// AgentsOfHost implements courier.Plugging.
func (c *Client) AgentsOfHost(ctx context.Context, host string) ([]courier.Agent, error) {
	op, subject := "look up agents", "of host "+host
	query, err := agents.ListOpts{Host: host}.ToAgentListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[agentWire](ctx, c.api, "agents", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all := make([]courier.Agent, 0, len(items))
	for _, w := range items {
		heartbeat, _ := time.Parse(time.DateTime, w.Heartbeat) // OVN's may have a fraction; without it the rest is worth telling
		all = append(all, courier.Agent{Type: line(w.Type), Alive: w.Alive, Heartbeat: heartbeat})
	}
	return all, nil
}
