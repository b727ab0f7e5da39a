package openstackclient

import (
	"encoding/json"
	"os"
	"path/filepath"
)

func qos(c *client) {
	policy := c.object("network qos policy create slow --description crawl --share", fields{
		"name": "slow", "description": "crawl", "shared": true, "is_default": false, "rules": []any{}}).id()
	c.do("network qos policy set slow --name snail --description creep --no-share")
	c.object("network qos policy show snail", fields{"description": "creep", "shared": false})
	c.object("network qos policy create fast --share", nil)
	c.list("network qos policy list", "Name", "fast", "snail")
	c.list("network qos policy list --share", "Name", "fast")
	c.list("network qos policy list --no-share", "Name", "snail")

	limit := c.object("network qos rule create snail --type bandwidth-limit --max-kbps 1000 --max-burst-kbits 100 --egress", fields{
		"max_kbps": 1000.0, "max_burst_kbps": 100.0, "direction": "egress"}).id()
	mark := c.object("network qos rule create snail --type dscp-marking --dscp-mark 26", fields{"dscp_mark": 26.0}).id()
	c.do("network qos rule set snail " + limit + " --max-kbps 2000")
	c.object("network qos rule show snail "+limit, fields{"max_kbps": 2000.0, "max_burst_kbps": 100.0})
	c.list("network qos rule list snail", "ID", limit, mark)
	c.list("network qos rule type list", "Type", "bandwidth_limit", "dscp_marking")
	c.fails("network qos rule create snail --type dscp-marking --dscp-mark 3", "dscp_mark")
	c.fails("network qos rule create snail --type dscp-marking --dscp-mark 28", "Conflict")

	c.object("network create net6 --qos-policy snail", fields{"qos_policy_id": policy})
	c.fails("network qos policy delete snail", "is used by network")
	c.do("network set net6 --no-qos-policy")
	c.object("network show net6", fields{"qos_policy_id": nil})
	c.do("network delete net6")
	c.do("network qos rule delete snail " + mark)
	c.list("network qos rule list snail", "ID", limit)
	c.do("network qos policy delete snail fast")
	c.list("network qos policy list", "Name")
}

// quotas are asked for by the client's library: its own commands `quota show`
// and `quota set` want a Nova in the catalog besides.
func quotas(c *client) {
	script := filepath.Join(filepath.Dir(c.marker), "quotas.py")
	if err := os.WriteFile(script, []byte(`
import json, openstack
n = openstack.connect().network
default = n.get_quota_default("p1").networks
n.update_quota("p1", networks=3, ports=-1)
changed = n.get_quota("p1")
details = n.get_quota("p1", details=True)
listed = [q.networks for q in n.quotas() if q.project_id == "p1"]
try:
    n.update_quota("p1", networks=-2)
    refused = False
except openstack.exceptions.BadRequestException:
    refused = True
n.delete_quota("p1")
print(json.dumps({"networks": changed.networks, "ports": changed.ports, "untouched": changed.subnets == n.get_quota_default("p1").subnets,
    "details": details.networks, "listed": listed, "refused": refused, "reset": n.get_quota("p1").networks == default}))
`), 0o600); err != nil {
		c.t.Fatal(err)
	}
	out, errs := c.run("shell /usr/bin/python3 " + script)
	var got fields
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		c.t.Fatalf("%v\n%s%s", err, out, errs)
	}
	c.same("quotas", got, fields{"networks": 3.0, "ports": -1.0, "untouched": true, "listed": []any{3.0}, "refused": true,
		"details": map[string]any{"limit": 3.0, "used": 0.0, "reserved": 0.0}, "reset": true})
}

func agents(c *client) {
	agent := c.id("network agent list", "Host", "node1")
	c.object("network agent show "+agent, fields{"host": "node1", "binary": "kuryr", "alive": true, "admin_state_up": true})
	c.list("network agent list --host node1", "Binary", "kuryr")
	c.list("network agent list --host node2", "Binary")
	c.list("availability zone list --network", "Zone Name") // there is none
}

func extensions(c *client) {
	c.has("extension list --network", "Alias", "security-group", "port-security", "address-scope", "qos", "quotas", "agent", "standard-attr-tag")
	c.object("extension show security-group", fields{"name": "security-group", "alias": "security-group"})
	c.fails("extension show router", "No Extension found for router")
}
