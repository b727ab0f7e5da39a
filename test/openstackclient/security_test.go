package openstackclient

func securityGroups(c *client) {
	group := c.object("security group create web --description front --stateless --tag a", fields{
		"name": "web", "description": "front", "stateful": false, "tags": []any{"a"}})
	if rules, ok := group["rules"].([]any); !ok || len(rules) != 2 {
		c.t.Errorf("a new group has the rules %v, want one of each IP version for egress", group["rules"])
	}
	c.do("security group set web --name www --description face --stateful --tag b")
	c.object("security group show www", fields{"name": "www", "description": "face", "stateful": true, "tags": []any{"a", "b"}})
	c.do("security group unset www --tag a")
	c.list("security group list", "Name", "default", "www")
	c.list("security group list --tags b", "Name", "www")
	c.list("security group list --tags a", "Name")
	c.list("security group list --not-tags b", "Name", "default")
	c.fails("security group show web", "No SecurityGroup found for web")
	c.do("security group delete www")
	c.list("security group list", "Name", "default")
}

func securityGroupRules(c *client) {
	group := c.object("security group create app", nil).id()
	other := c.object("security group create db", nil).id()
	web := c.object("security group rule create app --protocol tcp --dst-port 80:90 --remote-ip 10.0.0.0/8 --description http", fields{
		"security_group_id": group, "direction": "ingress", "ether_type": "IPv4", "protocol": "tcp", "port_range_min": 80.0, "port_range_max": 90.0,
		"remote_ip_prefix": "10.0.0.0/8", "description": "http"}).id()
	peers := c.object("security group rule create app --egress --ethertype IPv6 --protocol udp --dst-port 53 --remote-group db", fields{
		"direction": "egress", "ether_type": "IPv6", "remote_group_id": other, "port_range_min": 53.0}).id()
	ping := c.object("security group rule create app --protocol icmp --icmp-type 8 --icmp-code 0", fields{
		"protocol": "icmp", "port_range_min": 8.0, "port_range_max": 0.0}).id()
	addresses := c.object("address group create friends --address 192.0.2.0/24", nil).id()
	friends := c.object("security group rule create app --protocol 112 --remote-address-group friends", fields{
		"protocol": "112", "remote_address_group_id": addresses}).id()

	c.object("security group rule show "+web, fields{"description": "http", "port_range_max": 90.0})
	c.list("security group rule list app --ingress", "ID", web, ping, friends)
	c.list("security group rule list app --protocol tcp", "ID", web)
	c.list("security group rule list app --egress --protocol udp", "ID", peers)
	c.list("security group rule list db", "Ethertype", "IPv4", "IPv6")
	c.fails("security group rule create app --protocol tcp --dst-port 80:90 --remote-ip 10.0.0.0/8", "Security group rule already exists")
	c.fails("security group rule create app --protocol tcp --dst-port 70000", "70000")
	c.fails("security group rule create app --protocol 300", "300")
	c.fails("security group rule create app --protocol icmp --ethertype IPv6 --remote-ip 10.0.0.0/8", "IPv6")
	c.fails("address group delete friends", "in use")
	c.do("security group rule delete " + web + " " + peers)
	c.list("security group rule list app --ingress", "ID", ping, friends)
	c.do("security group delete app db")
	c.fails("security group rule show "+ping, "No SecurityGroupRule found for")
	c.do("address group delete friends")
}

func addressGroups(c *client) {
	c.object("address group create friends --address 10.0.0.0/8 --address fd00::/64 --description people", fields{
		"name": "friends", "description": "people", "addresses": []any{"10.0.0.0/8", "fd00::/64"}})
	c.do("address group set friends --name pals --description folk --address 192.0.2.1")
	c.object("address group show pals", fields{"description": "folk", "addresses": []any{"10.0.0.0/8", "192.0.2.1/32", "fd00::/64"}})
	c.do("address group unset pals --address 10.0.0.0/8")
	c.object("address group show pals", fields{"addresses": []any{"192.0.2.1/32", "fd00::/64"}})
	c.object("address group create none", fields{"addresses": []any{}})
	c.list("address group list", "Name", "none", "pals")
	c.list("address group list --name pals", "Name", "pals")
	c.fails("address group create bad --address 10.0.0.0/33", "10.0.0.0/33")
	c.do("address group delete pals none")
	c.list("address group list", "Name")
}
