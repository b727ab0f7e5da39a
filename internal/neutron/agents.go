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
		all = append(all, courier.Agent{Type: line(w.Type), Alive: w.Alive, Heartbeat: heartbeat(w.Heartbeat)})
	}
	return all, nil
}

// heartbeat reads an agent's time, which OVN's have with a zone. One of
// another form is left out: the rest is worth telling.
func heartbeat(text string) time.Time {
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04:05Z07:00"} { // each with a fraction or without
		if at, err := time.Parse(layout, text); err == nil {
			return at
		}
	}
	return time.Time{}
}
