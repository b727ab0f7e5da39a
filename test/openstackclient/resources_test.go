package openstackclient

import "testing"

// TestClient is one test, since the server and the client take their time to
// start: the flags as the client's help names them, then the life of each
// resource: create, show, set, list with filters, delete, and what must be refused.
func TestClient(t *testing.T) {
	s := newStand(t)
	t.Run("flags", func(t *testing.T) { flags(t, s) })
	c := newClient(t, s, "OS_AUTH_TYPE=none", "OS_ENDPOINT="+s.url)
	for _, story := range []struct {
		resource string
		tell     func(*client)
	}{
		{"network", networks},
		{"subnet", subnets},
		{"subnet pool", subnetPools},
		{"port", ports},
	} {
		t.Run(story.resource, func(t *testing.T) {
			with := *c
			with.t = t
			story.tell(&with)
		})
	}
}

func networks(c *client) {
	c.object("network create blue --mtu 1400 --description sky --tag a --tag b", fields{
		"name": "blue", "mtu": 1400.0, "description": "sky", "tags": []any{"a", "b"}, "admin_state_up": true, "status": "ACTIVE", "shared": false})
	c.object("network create green --disable", fields{"admin_state_up": false, "mtu": 1500.0})
	c.do("network set blue --name navy --description sea --tag c")
	c.do("network unset navy --tag a")
	c.object("network show navy", fields{"name": "navy", "description": "sea", "tags": []any{"b", "c"}})
	c.list("network list", "Name", "navy", "green")
	c.list("network list --name green", "Name", "green")
	c.list("network list --disable", "Name", "green")
	c.list("network list --tags b,c", "Name", "navy")
	c.list("network list --any-tags a,c", "Name", "navy")
	c.list("network list --not-tags c", "Name", "green")
	c.list("network list --name nobody", "Name")
	c.fails("network show blue", "No Network found for blue")
	c.fails("network create small --mtu 10", "Requested MTU is too small, minimum is 68")
	c.do("network delete navy green")
	c.list("network list", "Name")
}

func subnets(c *client) {
	network := c.object("network create net1", nil).id()
	c.object("subnet create four --network net1 --subnet-range 10.1.0.0/24 --allocation-pool start=10.1.0.10,end=10.1.0.20"+
		" --dns-nameserver 9.9.9.9 --host-route destination=10.9.0.0/16,gateway=10.1.0.9", fields{
		"cidr": "10.1.0.0/24", "ip_version": 4.0, "gateway_ip": "10.1.0.1", "network_id": network, "enable_dhcp": true,
		"allocation_pools": []any{map[string]any{"start": "10.1.0.10", "end": "10.1.0.20"}}, "dns_nameservers": []any{"9.9.9.9"},
		"host_routes": []any{map[string]any{"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}}})
	c.object("subnet create six --network net1 --ip-version 6 --subnet-range fd00:1::/64 --ipv6-ra-mode slaac --ipv6-address-mode slaac", fields{
		"cidr": "fd00:1::/64", "ip_version": 6.0, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"})
	c.do("subnet set four --name quad --no-dhcp --gateway none --no-dns-nameservers --dns-nameserver 8.8.8.8")
	c.object("subnet show quad", fields{"gateway_ip": nil, "enable_dhcp": false, "dns_nameservers": []any{"8.8.8.8"}})
	c.list("subnet list --network net1", "Name", "quad", "six")
	c.list("subnet list --ip-version 6", "Name", "six")
	c.list("subnet list --subnet-range 10.1.0.0/24", "Name", "quad")
	c.list("subnet list --no-dhcp", "Name", "quad")
	c.fails("subnet create again --network net1 --subnet-range 10.1.0.128/25", "overlaps with another subnet")
	c.fails("subnet create odd --network net1 --subnet-range 10.1.0.1/33", "10.1.0.1/33")
	c.do("subnet delete quad six")
	c.list("subnet list", "Name")
	c.do("network delete net1")
}

func subnetPools(c *client) {
	pool := c.object("subnet pool create pool --pool-prefix 10.2.0.0/16 --default-prefix-length 26 --min-prefix-length 24 --tag x", fields{
		"prefixes": []any{"10.2.0.0/16"}, "default_prefixlen": 26.0, "min_prefixlen": 24.0, "max_prefixlen": 32.0, "ip_version": 4.0}).id()
	c.do("subnet pool set pool --pool-prefix 10.4.0.0/16 --description two")
	c.object("subnet pool show pool", fields{"prefixes": []any{"10.2.0.0/16", "10.4.0.0/16"}, "description": "two"})
	c.list("subnet pool list --name pool", "Name", "pool")
	c.list("subnet pool list --tags x", "Name", "pool")
	c.object("network create net2", nil)
	c.object("subnet create cut --network net2 --subnet-pool pool", fields{"cidr": "10.2.0.0/26", "subnetpool_id": pool})
	c.object("subnet create wide --network net2 --subnet-pool pool --prefix-length 24", fields{"cidr": "10.2.1.0/24"})
	c.fails("subnet create wider --network net2 --subnet-pool pool --prefix-length 20", "minimum allowed prefix is 24")
	c.fails("subnet pool delete pool", "Subnet pool has existing allocations")
	c.do("network delete net2")
	c.do("subnet pool delete pool")
	c.list("subnet pool list", "Name")
}

func ports(c *client) {
	network := c.object("network create net3", nil).id()
	subnet := c.object("subnet create sub3 --network net3 --subnet-range 10.3.0.0/24", nil).id()
	c.object("port create web --network net3 --fixed-ip subnet=sub3,ip-address=10.3.0.50 --mac-address fa:16:3e:00:00:01"+
		" --device d1 --device-owner compute:nova --tag a", fields{
		"name": "web", "network_id": network, "mac_address": "fa:16:3e:00:00:01", "device_id": "d1", "device_owner": "compute:nova", "status": "DOWN",
		"fixed_ips": []any{map[string]any{"subnet_id": subnet, "ip_address": "10.3.0.50"}}})
	c.object("port create db --network net3 --disable", fields{"admin_state_up": false})
	c.do("port set web --name www --description front --fixed-ip subnet=sub3,ip-address=10.3.0.60")
	c.object("port show www", fields{"description": "front", "fixed_ips": []any{
		map[string]any{"subnet_id": subnet, "ip_address": "10.3.0.50"}, map[string]any{"subnet_id": subnet, "ip_address": "10.3.0.60"}}})
	c.do("port unset www --fixed-ip subnet=sub3,ip-address=10.3.0.50")
	c.list("port list --network net3", "Name", "www", "db")
	c.list("port list --fixed-ip ip-address=10.3.0.60", "Name", "www")
	c.list("port list --fixed-ip ip-address=10.3.0.50", "Name")
	c.list("port list --device-owner compute:nova", "Name", "www")
	c.list("port list --mac-address fa:16:3e:00:00:01", "Name", "www")
	c.list("port list --tags a", "Name", "www")
	c.fails("port create twin --network net3 --fixed-ip subnet=sub3,ip-address=10.3.0.60", "IP address 10.3.0.60 already allocated in subnet")
	c.fails("port create far --network net3 --fixed-ip subnet=sub3,ip-address=10.99.0.1", "is not a valid IP for the specified subnet")
	c.fails("subnet delete sub3", "One or more ports have an IP allocation from this subnet")
	c.fails("network delete net3", "There are one or more ports still in use on the network")
	c.do("port delete www db")
	c.list("port list", "Name")
	c.do("network delete net3")
}

// flags has the client told where Neutron is as its help says.
func flags(t *testing.T, s *stand) {
	where := []string{"--os-auth-type", "none", "--os-endpoint", s.url}
	if _, err := s.openstack(append(where, "network", "create", "blue")...); err != nil {
		t.Fatal(err)
	}
	out, err := s.openstack(append(where, "network", "list", "-f", "value", "-c", "Name")...)
	if err != nil || out != "blue\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := s.openstack(append(where, "network", "delete", "blue")...); err != nil {
		t.Error(err)
	}
}
