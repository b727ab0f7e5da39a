//go:build openstack

package docker

import (
	"testing"
	"time"

	"kuryr/test/openstack/cloud"
)

// A QoS policy limits what a container sends, from its start and until the
// policy is taken off its port.
func TestQoS(t *testing.T) {
	const (
		limit     = 5000 // kbit/s
		mebibytes = 2
	)
	o := newOperator(t)
	policies := cloud.NeutronAPI + "/qos"
	policy := o.createIn(policies, "policy", cloud.Resource{"name": "slow"})["id"].(string)
	o.createIn(policies+"/policies/"+policy, "bandwidth_limit_rule", cloud.Resource{"direction": "egress", "max_kbps": limit, "max_burst_kbps": limit / 2})
	h := newQuietHost(t)
	n := h.network("net", "--subnet", "10.83.0.0/24")
	client, fast := n.run("client"), n.run("fast")
	slow := h.run("slow", "--network", "name="+n.name+",driver-opt=neutron.port.qos_policy=slow")
	took := func(from container) time.Duration {
		client.reaches(from.ip4())
		began := time.Now()
		client.downloads(from.ip4(), mebibytes)
		return time.Since(began)
	}
	fast.offers(mebibytes)
	sum := slow.offers(mebibytes)
	unlimited, limited := took(fast), took(slow)
	rate := mebibytes << 20 * 8 / limited.Seconds() / 1000
	t.Logf("%d MiB took %s, with the policy %s: %.0f kbit/s", mebibytes, unlimited, limited, rate)
	// The limit lets bursts through, and this machine may be busy.
	if limited < 3*unlimited || rate > 1.5*limit {
		t.Error("the policy does not limit it")
	}
	if got := client.downloads(slow.ip4(), mebibytes); got != sum {
		t.Errorf("what was limited comes as %q, not %q", got, sum)
	}
	h.setPort(n.port(slow.ip4()).ID, fields{"qos_policy_id": nil})
	h.eventually("what the container sends is not limited any more", func() bool { return took(slow) < limited/2 })
}
