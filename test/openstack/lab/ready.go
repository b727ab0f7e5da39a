package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kuryr/test/openstack/cloud"
)

// agentsAlive waits until Neutron counts every host's agent as alive: only
// then it binds ports there.
func (l *lab) agentsAlive(ctx context.Context) error {
	var admin *cloud.Client
	return eventually(ctx, func(ctx context.Context) (err error) {
		if admin == nil {
			if admin, err = l.Client(ctx, cloud.Admin); err != nil {
				return err
			}
		}
		agents, err := admin.List(ctx, cloud.NeutronAPI, "agent", nil)
		if err != nil {
			return err
		}
		var waiting []string
		for _, h := range l.Hosts {
			if !slices.ContainsFunc(agents, func(a cloud.Resource) bool { return a["host"] == h && a["alive"] == true }) {
				waiting = append(waiting, h)
			}
		}
		if len(waiting) > 0 {
			return fmt.Errorf("no agent is alive on %s", strings.Join(waiting, ", "))
		}
		return nil
	})
}

// externalNetwork makes the network that leads to the outside, for routers.
func (l *lab) externalNetwork(ctx context.Context) error {
	return l.once("external", func() error {
		admin, err := l.Client(ctx, cloud.Admin)
		if err != nil {
			return err
		}
		network, err := admin.Ensure(ctx, cloud.NeutronAPI, "network", cloud.ExternalNetwork, cloud.Resource{
			"router:external": true, "provider:network_type": "flat", "provider:physical_network": physicalNetwork})
		if err != nil {
			return err
		}
		for name, attributes := range map[string]cloud.Resource{
			"public-ipv4": {"ip_version": 4, "cidr": "172.24.4.0/24", "gateway_ip": cloud.OutsideAddress,
				"allocation_pools": []cloud.Resource{{"start": "172.24.4.100", "end": "172.24.4.199"}}},
			"public-ipv6": {"ip_version": 6, "cidr": "2001:db8:4::/64", "gateway_ip": cloud.OutsideAddress6},
		} {
			attributes["network_id"], attributes["enable_dhcp"] = network["id"], false
			if _, err := admin.Ensure(ctx, cloud.NeutronAPI, "subnet", name, attributes); err != nil {
				return err
			}
		}
		return nil
	})
}
