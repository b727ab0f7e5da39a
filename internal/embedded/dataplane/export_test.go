package dataplane

// DescribeRuleset describes the tables that a policy becomes, on a kernel whose
// bridge tables know connections or, if not, on one with br_netfilter.
func DescribeRuleset(s State, bridgeTracked bool, zones map[string]uint16) string {
	k := kind(netfilterTracking{})
	if bridgeTracked {
		k = bridgeTracking{}
	}
	r, _ := compile(s, nil, k, zones, nil)
	return r.describe()
}

// CountShapes returns how many entries a rule becomes, and how many sets they
// are of.
func CountShapes(r Rule) (entries, sets int) {
	names := map[string]bool{}
	all := expand(r)
	for _, e := range all {
		names[e.shape.set()] = true
	}
	return len(all), len(names)
}

// CountCovering returns how many entries of a rule take that port.
func CountCovering(r Rule, port uint16) (n int) {
	for _, e := range expand(r) {
		if e.shape.field == noField || port&e.shape.mask == e.value {
			n++
		}
	}
	return n
}
