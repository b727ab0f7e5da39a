package openstackclient

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
	c.list("network list --not-any-tags b,x", "Name", "green")
	c.object("network create open --disable-port-security --dns-domain example.org. --share", fields{
		"port_security_enabled": false, "dns_domain": "example.org.", "shared": true})
	c.do("network set open --enable-port-security --no-share --mtu 1300 --enable")
	c.object("network show open", fields{"port_security_enabled": true, "shared": false, "mtu": 1300.0})
	c.list("network list --share", "Name")
	c.do("network set navy --no-tag")
	c.list("network list --tags b", "Name")
	c.fails("network show blue", "No Network found for blue")
	c.fails("network create small --mtu 10", "Requested MTU is too small, minimum is 68")
	c.do("network delete navy green open")
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
	c.do("subnet set six --tag x --description big")
	c.object("subnet show six", fields{"tags": []any{"x"}, "description": "big"})
	c.list("subnet list --tags x", "Name", "six")
	c.do("subnet unset six --tag x")
	c.do("subnet set four --name quad --no-dhcp --gateway none --no-dns-nameservers --dns-nameserver 8.8.8.8")
	c.object("subnet show quad", fields{"gateway_ip": nil, "enable_dhcp": false, "dns_nameservers": []any{"8.8.8.8"}})
	c.do("subnet set quad --allocation-pool start=10.1.0.100,end=10.1.0.120")
	c.do("subnet unset quad --dns-nameserver 8.8.8.8 --host-route destination=10.9.0.0/16,gateway=10.1.0.9 --allocation-pool start=10.1.0.10,end=10.1.0.20")
	c.object("subnet show quad", fields{"dns_nameservers": []any{}, "host_routes": []any{},
		"allocation_pools": []any{map[string]any{"start": "10.1.0.100", "end": "10.1.0.120"}}})
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
	c.do("subnet pool unset pool --tag x")
	c.do("subnet pool set pool --tag y --default-quota 1024")
	c.object("subnet pool show pool", fields{"tags": []any{"y"}, "default_quota": 1024.0})
	c.object("subnet pool create shared --pool-prefix fd00:2::/48 --default-prefix-length 64 --share", fields{"shared": true, "ip_version": 6.0})
	c.list("subnet pool list --share", "Name", "shared")
	c.list("subnet pool list --no-share", "Name", "pool")
	c.do("subnet pool delete shared")
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

func addressScopes(c *client) {
	four := c.object("address scope create four --ip-version 4", fields{"name": "four", "ip_version": 4.0, "shared": false}).id()
	c.object("address scope create six --ip-version 6 --share", fields{"ip_version": 6.0, "shared": true})
	c.do("address scope set four --name quad --share")
	c.object("address scope show quad", fields{"id": four, "shared": true})
	c.list("address scope list", "Name", "quad", "six")
	c.list("address scope list --ip-version 6", "Name", "six")
	c.list("address scope list --name quad", "Name", "quad")
	c.list("address scope list --no-share", "Name")
	c.fails("address scope set quad --no-share", "Shared address scope can't be unshared")
	c.object("subnet pool create inside --pool-prefix 10.8.0.0/16 --address-scope quad", fields{"address_scope_id": four})
	c.list("subnet pool list --address-scope quad", "Name", "inside")
	c.fails("subnet pool create twin --pool-prefix 10.8.0.0/24 --address-scope quad", "must have unique prefixes")
	c.fails("address scope delete quad", "in use")
	c.do("subnet pool set inside --no-address-scope")
	c.do("subnet pool delete inside")
	c.do("address scope delete quad six")
	c.list("address scope list", "Name")
}

// portExtras are what a port has besides addresses.
func portExtras(c *client) {
	c.object("network create net5", nil)
	c.object("subnet create sub5 --network net5 --subnet-range 10.5.0.0/24", nil)
	group := c.object("security group create guard", nil).id()
	policy := c.object("network qos policy create gentle", nil).id()
	c.object("port create full --network net5 --host node1 --vnic-type normal --security-group guard --qos-policy gentle --dns-name full"+
		" --allowed-address ip-address=10.5.0.200 --allowed-address ip-address=10.6.0.0/24,mac-address=fa:16:3e:00:00:99"+
		" --extra-dhcp-option name=tftp-server,value=10.5.0.9 --binding-profile a=b", fields{
		"binding_host_id": "node1", "binding_vif_type": "bridge", "binding_vnic_type": "normal", "binding_profile": map[string]any{"a": "b"},
		"security_group_ids": []any{group}, "qos_policy_id": policy, "dns_name": "full", "port_security_enabled": true})
	port := c.object("port show full", nil)
	pairs, _ := port["allowed_address_pairs"].([]any)
	options, _ := port["extra_dhcp_opts"].([]any)
	if len(pairs) != 2 || len(options) != 1 {
		c.t.Errorf("the port has the address pairs %v and the DHCP options %v", pairs, options)
	}
	c.list("port list --host node1", "Name", "full")
	c.list("port list --host node2", "Name")
	c.list("port list --network net5 --device-owner nobody", "Name")
	c.fails("security group delete guard", "in use")
	c.fails("network qos policy delete gentle", "is used by port")
	c.fails("port set full --disable-port-security", "Port Security must be enabled in order to have allowed address pairs")

	c.do("port unset full --security-group guard --qos-policy --host --binding-profile a" +
		" --allowed-address ip-address=10.6.0.0/24,mac-address=fa:16:3e:00:00:99")
	c.object("port show full", fields{"security_group_ids": []any{}, "qos_policy_id": nil, "binding_host_id": "", "binding_vif_type": "unbound"})
	c.do("port set full --no-allowed-address --disable-port-security --dns-name empty --tag x --device d5 --mac-address fa:16:3e:00:00:05")
	c.object("port show full", fields{"allowed_address_pairs": []any{}, "port_security_enabled": false, "dns_name": "empty",
		"tags": []any{"x"}, "device_id": "d5", "mac_address": "fa:16:3e:00:00:05"})
	c.fails("port set full --allowed-address ip-address=10.5.0.200", "Port Security must be enabled in order to have allowed address pairs")
	c.do("port unset full --tag x")
	c.do("port set full --enable-port-security --security-group guard --disable")
	c.object("port show full", fields{"security_group_ids": []any{group}, "tags": []any{}, "admin_state_up": false})
	c.fails("port set full --disable-port-security", "security group")

	c.do("port delete full")
	c.do("security group delete guard")
	c.do("network qos policy delete gentle")
	c.do("network delete net5")
}
