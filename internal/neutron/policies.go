package neutron

import (
	"context"
	"net/url"

	"kuryr/internal/courier"
)

type namedWire struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	ownerWire
}

// groupFields leaves out a group's rules, which can be many.
var groupFields = url.Values{"fields": {"id", "name", "project_id", "shared"}}

// FindSecurityGroups implements courier.Policies.
func (c *Client) FindSecurityGroups(ctx context.Context, refs []courier.Reference) ([]courier.SecurityGroup, error) {
	return find(ctx, c, "security-groups", refs, groupFields, func(w namedWire) (courier.SecurityGroup, error) {
		id, err := readID[courier.SecurityGroupID]("security group", w.ID)
		return courier.SecurityGroup{ID: id, Name: w.Name}, err
	})
}

// FindQoSPolicies implements courier.Policies.
func (c *Client) FindQoSPolicies(ctx context.Context, r courier.Reference) ([]courier.QoSPolicy, error) {
	return find(ctx, c, "qos/policies", []courier.Reference{r}, nil, func(w namedWire) (courier.QoSPolicy, error) {
		id, err := readID[courier.QoSPolicyID]("QoS policy", w.ID)
		return courier.QoSPolicy{ID: id, Name: w.Name}, err
	})
}
