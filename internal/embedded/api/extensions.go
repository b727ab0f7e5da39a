package api

// extension is a part of the API that clients may ask for by its alias.
type extension struct{ alias, name, description, updated string }

func (e extension) appendJSON(b []byte) []byte {
	b = append(b, `{"name":`...)
	b = appendString(b, e.name)
	b = append(b, `,"alias":`...)
	b = appendString(b, e.alias)
	b = append(b, `,"description":`...)
	b = appendString(b, e.description)
	b = append(b, `,"updated":`...)
	b = appendString(b, e.updated)
	return append(b, `,"links":[]}`...)
}

// extensions are those that are there in full, in Neutron 21's words. Clients
// rely on what an alias stands for, so an extension of which only some
// attributes are there (port-security, external-net, dns-integration, ...) is not listed.
func extensions() []extension {
	return []extension{
		{"binding", "Port Binding",
			"Expose port bindings of a virtual port to external application", "2014-02-03T10:00:00-00:00"},
		{"default-subnetpools", "Default Subnetpools",
			"Provides ability to mark and use a subnetpool as the default.", "2016-02-18T18:00:00-00:00"},
		{"empty-string-filtering", "Empty String Filtering Extension",
			"Allow filtering by attributes with empty string value", "2018-05-01T10:00:00-00:00"},
		{"filter-validation", "Filter parameters validation",
			"Provides validation on filter parameters.", "2018-07-04T10:00:00-00:00"},
		{"ip-substring-filtering", "IP address substring filtering",
			"Provides IP address substring filtering when listing ports", "2017-11-28T09:00:00-00:00"},
		{"net-mtu", "Network MTU",
			"Provides MTU attribute for a network resource.", "2015-03-25T10:00:00-00:00"},
		{"net-mtu-writable", "Network MTU (writable)",
			"Provides a writable MTU attribute for a network resource.", "2017-07-12T00:00:00-00:00"},
		{"pagination", "Pagination support",
			"Extension that indicates that pagination is enabled.", "2016-06-12T00:00:00-00:00"},
		{"project-id", "project_id field enabled",
			"Extension that indicates that project_id field is enabled.", "2016-09-09T09:09:09-09:09"},
		{"provider", "Provider Network",
			"Expose mapping of virtual networks to physical networks", "2012-09-07T10:00:00-00:00"},
		{"revision-if-match", "If-Match constraints based on revision_number",
			"Extension indicating that If-Match based on revision_number is supported.", "2016-12-11T00:00:00-00:00"},
		{"sorting", "Sorting support",
			"Extension that indicates that sorting is enabled.", "2016-06-12T00:00:00-00:00"},
		{"standard-attr-description", "standard-attr-description",
			"Extension to add descriptions to standard attributes", "2016-02-10T10:00:00-00:00"},
		{"standard-attr-revisions", "Resource revision numbers",
			"This extension will display the revision number of neutron resources.", "2016-04-11T10:00:00-00:00"},
		{"standard-attr-tag", "Tag support for resources with standard attribute: port, subnet, subnetpool, network, security_group, policy",
			"Enables to set tag on resources with standard attribute.", "2017-01-01T00:00:00-00:00"},
		{"standard-attr-timestamp", "Resource timestamps",
			"Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes.", "2016-09-12T10:00:00-00:00"},
		{"subnet_allocation", "Subnet Allocation",
			"Enables allocation of subnets from a subnet pool", "2015-03-30T10:00:00-00:00"},
		{"subnetpool-prefix-ops", "Subnet Pool Prefix Operations",
			"Provides support for adjusting the prefix list of subnet pools", "2019-02-08T10:00:00-00:00"},
		{"tag-ports-during-bulk-creation", "Tag Ports During Bulk Creation",
			"Allow to tag ports during bulk creation", "2019-12-29T19:00:00-00:00"},
	}
}

// serviceExtensions are those of what is kept for clients, in full.
func serviceExtensions() []extension {
	return []extension{
		{"address-scope", "Address scope",
			"Address scopes extension.", "2015-07-26T10:00:00-00:00"},
		{"agent", "agent",
			"The agent management extension.", "2013-02-03T10:00:00-00:00"},
		{"availability_zone", "Availability Zone",
			"The availability zone extension.", "2015-01-01T10:00:00-00:00"},
		{"availability_zone_filter", "Availability Zone Filter Extension",
			"Add filter parameters to AvailabilityZone resource", "2018-06-22T10:00:00-00:00"},
		{"dns-domain-ports", "dns_domain for ports",
			"Allows the DNS domain to be specified for a network port.", "2017-04-24T10:00:00-00:00"},
		{"dns-integration", "DNS Integration",
			"Provides integration with DNS.", "2015-08-15T18:00:00-00:00"},
		{"extra_dhcp_opt", "Neutron Extra DHCP options",
			"Extra options configuration for DHCP. For example PXE boot options to DHCP clients can be specified (e.g. tftp-server, server-ip-address, bootfile-name)", "2013-03-17T12:00:00-00:00"},
		{"ip_allocation", "IP Allocation",
			"IP allocation extension.", "2016-06-10T23:00:00-00:00"},
		{"l2_adjacency", "L2 Adjacency",
			"Display L2 Adjacency for Neutron Networks.", "2016-04-12T16:00:00-00:00"},
		{"network-ip-availability", "Network IP Availability",
			"Provides IP availability data for each network and subnet.", "2015-09-24T00:00:00-00:00"},
		{"network_availability_zone", "Network Availability Zone",
			"Availability zone support for network.", "2015-01-01T10:00:00-00:00"},
		{"port-mac-address-regenerate", "Neutron Port MAC address regenerate",
			"Network port MAC address regenerate", "2018-05-03T10:00:00-00:00"},
		{"qos", "Quality of Service",
			"The Quality of Service extension.", "2015-06-08T10:00:00-00:00"},
		{"qos-bw-limit-direction", "Direction for QoS bandwidth limit rule",
			"Allow to configure QoS bandwidth limit rule with specific direction: ingress or egress", "2017-04-10T10:00:00-00:00"},
		{"qos-bw-minimum-ingress", "Ingress direction for QoS minimum bandwidth rule",
			"Allow to configure QoS minumum bandwidth rule with ingress direction.", "2018-07-09T10:00:00-00:00"},
		{"qos-default", "QoS default policy",
			"Expose the QoS default policy per project", "2017-041-06T10:00:00-00:00"},
		{"qos-port-network-policy", "QoS port network policy ID",
			"Adds a the QoS network ID to the port definition", "2019-11-01T10:00:00-00:00"},
		{"qos-pps", "QoS Rule Type Packet per Second Extension",
			"Add QoS Rule Type Packet per Second", "2021-05-12T10:00:00-00:00"},
		{"qos-pps-minimum", "QoS minimum packet rate rule",
			"Allow to configure QoS minimum packet rate rule.", "2021-07-14T10:00:00-00:00"},
		{"qos-pps-minimum-rule-alias", "QoS minimum packet rate rule alias",
			"API to enable GET, PUT and DELETE operations on QoS minimum packet rate rule without specifying policy ID", "2021-10-22T10:00:00-00:00"},
		{"qos-rule-type-details", "Details of QoS rule types",
			"Expose details about QoS rule types supported by loaded backend drivers", "2017-06-22T10:00:00-00:00"},
		{"qos-rule-type-filter", "Allow to filter the list of QoS rule types",
			"Allows to filter the QoS rule type list adding two new flags. \"all_rules\" prints all implemented QoS rule types.\"all_supported\" prints all supported QoS rule types by the loaded mechanism drivers", "2022-02-02T10:00:00-00:00"},
		{"qos-rules-alias", "Quality of Service rules alias API",
			"API to enable GET, PUT and DELETE operations on QoS policy rules without specifying policy ID", "2018-10-07T10:00:00-00:00"},
		{"quota-check-limit", "Quota engine limit check",
			"Support for checking the resource usage before applying a new quota limit", "2021-09-08T16:00:00-00:00"},
		{"quota_details", "Quota details management support",
			"Expose functions for quotas usage statistics per project", "2017-02-10T10:00:00-00:00"},
		{"quotas", "Quota management support",
			"Expose functions for quotas management per project", "2012-07-29T10:00:00-00:00"},
		{"subnet-service-types", "Subnet service types",
			"Provides ability to set the subnet service_types field", "2016-03-15T18:00:00-00:00"},
		{"subnet_onboard", "Subnet Onboard",
			"Provides support for onboarding subnets into subnet pools", "2018-12-18T09:00:00-00:00"},
		{"uplink-status-propagation", "Uplink status propagation extension",
			"Provides ability to propagate port uplink status.", "2018-05-31T18:00:00-00:00"},
	}
}

// securityExtensions are there where port security is enforced.
func securityExtensions() []extension {
	return []extension{
		{"address-group", "Address group",
			"Support address group", "2020-07-15T10:00:00-00:00"},
		{"allowed-address-pairs", "Allowed Address Pairs",
			"Provides allowed address pairs", "2013-07-23T10:00:00-00:00"},
		{"port-security", "Port Security",
			"Provides port security", "2012-07-23T10:00:00-00:00"},
		{"port-security-groups-filtering", "Port filtering on security groups",
			"Provides security groups filtering when listing ports", "2018-01-09T09:00:00-00:00"},
		{"security-group", "security-group",
			"The security groups extension.", "2012-10-05T10:00:00-00:00"},
		{"security-groups-normalized-cidr", "Normalized CIDR field for security group rules",
			"Add new field with normalized remote_ip_prefix cidr in SG rule", "2020-07-28T10:00:00-00:00"},
		{"security-groups-remote-address-group", "Remote address group id field for security group rules",
			"Add new field of remote address group id in SG rules", "2020-08-25T10:00:00-00:00"},
		{"security-groups-shared-filtering", "Security group filtering on the shared field",
			"Support filtering security groups on the shared field", "2021-10-05T09:00:00-00:00"},
		{"stateful-security-group", "Stateful security group",
			"Indicates if the security group is stateful or not", "2019-11-26T09:00:00-00:00"},
	}
}
