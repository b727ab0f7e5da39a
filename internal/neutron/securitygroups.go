package neutron

import (
	"context"
	"fmt"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/rules"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"kuryr/internal/courier"
)

type securityGroupWire struct {
	ID          string                  `json:"id"`
	Name        string                  `json:"name"`
	ProjectID   string                  `json:"project_id"`
	Description string                  `json:"description"`
	CreatedAt   time.Time               `json:"created_at"`
	Rules       []securityGroupRuleWire `json:"security_group_rules"`
}

type securityGroupRuleWire struct {
	ID                   string `json:"id"`
	Description          string `json:"description"`
	Direction            string `json:"direction"`
	EtherType            string `json:"ethertype"`
	Protocol             string `json:"protocol"`
	PortRangeMin         *int   `json:"port_range_min"`
	PortRangeMax         *int   `json:"port_range_max"`
	RemoteIPPrefix       string `json:"remote_ip_prefix"`
	RemoteGroupID        string `json:"remote_group_id"`
	RemoteAddressGroupID string `json:"remote_address_group_id"`
}

func (w securityGroupWire) read() (g courier.SecurityGroup, err error) {
	if g.ID, err = readID[courier.SecurityGroupID]("security group", w.ID); err != nil {
		return g, err
	}
	g.Name, g.Project, g.Description, g.Created = w.Name, w.ProjectID, w.Description, w.CreatedAt
	g.Rules, err = read(w.Rules, securityGroupRuleWire.read)
	return g, err
}

func (w securityGroupRuleWire) read() (r courier.SecurityGroupRule, err error) {
	if r.ID, err = readID[courier.SecurityGroupRuleID]("security group rule", w.ID); err != nil {
		return r, err
	}
	r.Description, r.Opens = w.Description, w.opening()
	return r, nil
}

// families are the names of the IP versions in rules.
var families = map[courier.Family]rules.RuleEtherType{courier.IPv4: rules.EtherType4, courier.IPv6: rules.EtherType6}

// opening is the zero value for a rule that is not one of OpenPorts.
func (w securityGroupRuleWire) opening() (o courier.Opening) {
	if w.Direction != string(rules.DirIngress) || w.RemoteIPPrefix+w.RemoteGroupID+w.RemoteAddressGroupID != "" ||
		o.Ports.Protocol.UnmarshalText([]byte(w.Protocol)) != nil {
		return courier.Opening{}
	}
	for f, name := range families {
		if string(name) == w.EtherType {
			o.Family = f
		}
	}
	low, high := w.PortRangeMin, w.PortRangeMax
	if low == nil && high == nil { // Neutron says so of 1 to 65535
		low, high = new(1), new(65535)
	}
	if o.Family == 0 || low == nil || high == nil || *low < 0 || *low > *high || *high > 65535 {
		return courier.Opening{}
	}
	o.Ports.First, o.Ports.Last = uint16(*low), uint16(*high)
	return o
}

// CreateSecurityGroup implements courier.SecurityGroups.
func (c *Client) CreateSecurityGroup(ctx context.Context, s courier.SecurityGroupSpec) (courier.SecurityGroup, error) {
	op, subject := "create security group", fmt.Sprintf("%q", s.Name)
	opts := groups.CreateOpts{Name: s.Name, ProjectID: s.Project, Description: s.Mark.String()}
	var w struct {
		Group securityGroupWire `json:"security_group"`
	}
	if err := groups.Create(ctx, c.api, opts).ExtractInto(&w); err != nil {
		return courier.SecurityGroup{}, c.fail(err, op, subject)
	}
	g, err := w.Group.read()
	return g, c.fail(err, op, subject)
}

// DeleteSecurityGroup implements courier.SecurityGroups.
func (c *Client) DeleteSecurityGroup(ctx context.Context, id courier.SecurityGroupID) error {
	const op = "delete security group"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(groups.Delete(ctx, c.api, string(id)).ExtractErr(), op, string(id))
}

// SecurityGroupsByName implements courier.SecurityGroups.
func (c *Client) SecurityGroupsByName(ctx context.Context, name string) ([]courier.SecurityGroup, error) {
	op, subject := "look up security groups", fmt.Sprintf("named %q", name)
	query, err := gophercloud.BuildQueryString(groups.ListOpts{Name: name})
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[securityGroupWire](ctx, c.api, "security-groups", query.String())
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, securityGroupWire.read)
	return all, c.fail(err, op, subject)
}

// OpenPorts implements courier.SecurityGroups.
func (c *Client) OpenPorts(ctx context.Context, id courier.SecurityGroupID, openings []courier.Opening, m courier.Mark) error {
	const op = "open ports in security group"
	if err := checkID(op, id); err != nil {
		return err
	}
	if len(openings) == 0 {
		return nil
	}
	all := make([]map[string]any, len(openings))
	for i, o := range openings {
		// Not gophercloud's options: they would leave out a port 0.
		all[i] = map[string]any{
			"security_group_id": id, "direction": rules.DirIngress, "ethertype": families[o.Family], "protocol": o.Ports.Protocol.String(),
			"port_range_min": o.Ports.First, "port_range_max": o.Ports.Last, "description": m.String(),
		}
	}
	_, err := c.api.Post(ctx, c.api.ServiceURL("security-group-rules"), map[string]any{"security_group_rules": all}, &struct{}{}, nil)
	return c.fail(err, op, string(id))
}

// DeleteSecurityGroupRule implements courier.SecurityGroups.
func (c *Client) DeleteSecurityGroupRule(ctx context.Context, id courier.SecurityGroupRuleID) error {
	const op = "delete security group rule"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(rules.Delete(ctx, c.api, string(id)).ExtractErr(), op, string(id))
}

// PortSecurity implements courier.SecurityGroups.
func (c *Client) PortSecurity(ctx context.Context, id courier.PortID) (courier.PortSecurity, error) {
	const op = "look at the security groups of port"
	if err := checkID(op, id); err != nil {
		return courier.PortSecurity{}, err
	}
	var w struct {
		ProjectID string   `json:"project_id"`
		Enabled   *bool    `json:"port_security_enabled"` // missing: the cloud has no extension for it
		Groups    []string `json:"security_groups"`
		Revision  int      `json:"revision_number"`
	}
	if err := ports.Get(ctx, c.api, string(id)).ExtractInto(&w); err != nil {
		return courier.PortSecurity{}, c.fail(err, op, string(id))
	}
	all, err := read(w.Groups, func(s string) (courier.SecurityGroupID, error) {
		return readID[courier.SecurityGroupID]("security group", s)
	})
	return courier.PortSecurity{Port: id, Project: w.ProjectID, Enabled: w.Enabled == nil || *w.Enabled, Groups: all, Revision: w.Revision},
		c.fail(err, op, string(id))
}

// SetSecurityGroups implements courier.SecurityGroups.
func (c *Client) SetSecurityGroups(ctx context.Context, was courier.PortSecurity, now []courier.SecurityGroupID) error {
	const op = "set the security groups of port"
	if err := checkID(op, was.Port); err != nil {
		return err
	}
	ids := make([]string, len(now)) // not nil: that would change nothing
	for i, id := range now {
		ids[i] = string(id)
	}
	opts := ports.UpdateOpts{SecurityGroups: &ids}
	if was.Revision > 0 {
		opts.RevisionNumber = &was.Revision
	}
	return c.fail(ports.Update(ctx, c.api, string(was.Port), opts).Err, op, string(was.Port))
}
