package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/embedded/store"
)

// agentView is this host, which clients see as a Linux bridge agent.
type agentView struct {
	id, host string
	started  time.Time
	now      time.Time
}

func (a *API) agents() *resource[struct{}, agentView] {
	self := func() agentView {
		return agentView{
			id:   uuid.NewSHA1(uuid.NameSpaceDNS, []byte("kuryr-agent:"+a.store.Host())).String(),
			host: a.store.Host(), started: a.started, now: time.Now(),
		}
	}
	return &resource[struct{}, agentView]{
		api: a, name: "agent", collection: "agents", attrs: agentAttrs(),
		list: func(ctx context.Context, _ store.Query, keep func(agentView) bool) ([]agentView, error) {
			if v := self(); a.store.Caller(ctx).Admin && keep(v) {
				return []agentView{v}, nil
			}
			return nil, nil
		},
		show: func(ctx context.Context, id string) (agentView, error) {
			if v := self(); a.store.Caller(ctx).Admin && id == v.id {
				return v, nil
			}
			return agentView{}, &store.Error{Kind: store.NotFound, Type: "AgentNotFound", Message: "Agent " + id + " could not be found."}
		},
		id: func(v agentView) string { return v.id },
	}
}

// agentAttrs is the table of an agent's attributes; none can be changed.
func agentAttrs() []attr[struct{}, agentView] {
	type a = attr[struct{}, agentView]
	stamp := func(t time.Time) any { return t.UTC().Format(time.DateTime) }
	same := equal[struct{}, agentView](asIs)
	flag := equal[struct{}, agentView](canonical(boolean))
	return []a{
		{name: "id", doc: "The same for a host's name.", get: func(v agentView) any { return v.id }, filter: same, sort: true},
		{name: "agent_type", doc: "What clients expect where ports are plugged into Linux bridges.",
			get: func(agentView) any { return "Linux bridge agent" }, filter: same, sort: true},
		{name: "binary", doc: "This program.", get: func(agentView) any { return "kuryr" }, filter: same, sort: true},
		{name: "topic", doc: "Always N/A.", get: func(agentView) any { return "N/A" }, filter: same, sort: true},
		{name: "host", doc: "The host whose ports are bound.", get: func(v agentView) any { return v.host }, filter: same, sort: true},
		{name: "admin_state_up", doc: "Always true.", get: func(agentView) any { return true }, filter: flag, sort: true},
		{name: "created_at", doc: "When the server started, UTC.", get: func(v agentView) any { return stamp(v.started) }},
		{name: "started_at", doc: "When the server started, UTC.", get: func(v agentView) any { return stamp(v.started) }},
		{name: "heartbeat_timestamp", doc: "Now, UTC.", get: func(v agentView) any { return stamp(v.now) }},
		{name: "description", doc: "Always null.", get: func(agentView) any { return nil }, filter: same, sort: true},
		{name: "resources_synced", doc: "Always null.", get: func(agentView) any { return nil }},
		{name: "availability_zone", doc: "Always null.", get: func(agentView) any { return nil }, filter: same},
		{name: "alive", doc: "Always true: the server is the agent.", get: func(agentView) any { return true }, filter: flag, sort: true},
		{name: "configurations", doc: "What the host's networks are made of.",
			get: func(agentView) any { return object{"bridge_mappings": object{}, "tunnel_types": []string{}} }},
	}
}
