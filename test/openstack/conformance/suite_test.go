package conformance

import (
	"maps"
	"net/http"
	"testing"

	"kuryr/internal/courier"
	"kuryr/internal/neutron/neutrontest"
	"kuryr/test/openstack/cloud"
)

// mechanisms are what of Neutron's answers depends on how it makes networks.
var mechanisms = map[cloud.Mechanism]neutrontest.APIOptions{
	cloud.OVN: {VIFType: "ovs", Driver: "ovn", NetworkType: "geneve", MTU: 1442,
		Lacks: lacking("Neutron leaves it out where ML2/OVN makes the networks", "agent-resources-synced", "availability_zone_filter",
			"empty-string-filtering", "subnetpool-prefix-ops", "subnet_onboard"),
		LeftOut: map[string]string{
			"subnetpool-add-prefixes": "the extension subnetpool-prefix-ops is lacking",
			"agents":                  "the agents are OVN's chassis, which say less of themselves",
		},
		Differs: map[string]string{"rule_types": "those of QoS that ML2/OVN has"}},
	cloud.OVS:         ovs,
	cloud.OVSHybrid:   ovs,
	cloud.LinuxBridge: {NetworkType: "vxlan"},
}

var ovs = neutrontest.APIOptions{VIFType: "ovs", Driver: "openvswitch", NetworkType: "vxlan",
	Differs: map[string]string{"rule_types": "those of QoS that ML2/OVS has"}}

// lacking gives one reason for many.
func lacking(why string, aliases ...string) map[string]string {
	all := map[string]string{}
	for _, a := range aliases {
		all[a] = why
	}
	return all
}

// quotas are Neutron's defaults.
var quotas = map[string]float64{
	"network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50, "security_group": 10, "security_group_rule": 100,
}

// TestCourier runs the acceptance suite of courier.Neutron, through Kuryr's
// own client.
func TestCourier(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.kuryr(t, settings(b.account(t, "", "admin")))
	neutrontest.Run(t, func(*testing.T) courier.Neutron { return c }, neutrontest.Options{Host: b.Hosts[0], KeepsAddresses: true})
}

// TestAPI runs the conformance suite of the API. No port is plugged: that
// takes a host, and is what other tests do.
func TestAPI(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	admin := b.account(t, "", "admin")
	clients := map[neutrontest.Caller]*cloud.Client{
		neutrontest.Admin:  b.client(t, admin),
		neutrontest.Member: b.client(t, b.account(t, admin.Project, "member")),
		neutrontest.Other:  b.client(t, b.account(t, "", "member")),
	}
	o := mechanisms[b.Mechanism]
	lacks := lacking("the lab has no service plugin segments", "ip_allocation", "l2_adjacency", "segment")
	lacks["uplink-status-propagation"] = "the lab has no extension driver for it"
	maps.Copy(lacks, o.Lacks)
	o.Lacks = lacks
	o.Quotas = quotas
	o.URL, o.Host, o.DNSDomain, o.Crowded = cloud.NetworkURL, b.Hosts[0], "lab.example.", true
	o.Project, o.OtherProject = clients[neutrontest.Admin].ProjectID(), clients[neutrontest.Other].ProjectID()
	o.Sign = func(r *http.Request, as neutrontest.Caller) error {
		r.Header.Set("X-Auth-Token", clients[as].Token())
		return nil
	}
	neutrontest.RunAPI(t, o)
}
