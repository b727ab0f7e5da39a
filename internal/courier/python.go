package courier

import (
	"slices"
	"strings"
)

// What the Python Kuryr (kuryr-libnetwork) writes to Neutron, and how it is
// read. Its words are recognised for the very resource that an engine's call
// names, never to find what might be collected.
const (
	pyLow          = "kuryr.net.uuid.lh:"  // the first 32 characters of the engine's ID, on networks and ports
	pyHigh         = "kuryr.net.uuid.uh:"  // the rest
	pyNetExisting  = "kuryr.net.existing:" // 12 characters of the engine's ID: the network was there before
	pyPoolExisting = "kuryr.subnetpool.existing"
	pyPortExisting = "kuryr.port.existing"
	pyPort         = "compute:kuryr"      // on ports that it made, and their device_owner
	pyUnbound      = "kuryr-unbound-port" // a port that it made and no endpoint had claimed yet
	pySubnetName   = "kuryr-subnet-"      // starts the names of subnets that it made
)

// pyTags are the two that say which of the engine's networks or endpoints a
// resource is: tags are too short for an ID in one piece.
func pyTags(id string) []string {
	low, high := id, ""
	if len(id) > 32 {
		low, high = id[:32], id[32:]
	}
	return []string{pyLow + low, pyHigh + high}
}

// pyNetTags are all the tags of an engine's network.
func pyNetTags(id EngineNetworkID, o origin) []string {
	tags := pyTags(string(id))
	if o != created {
		tags = append(tags, pyNetExisting+id.Short())
	}
	return tags
}

// pyPortTags are all the tags of an endpoint's port.
func pyPortTags(id EndpointID, o origin) []string {
	kind := pyPort
	if o == adopted {
		kind = pyPortExisting
	}
	return append(pyTags(string(id)), kind)
}

// pyEngineNetwork returns the engine's network that a Neutron network's tags
// name, if they name exactly one.
func pyEngineNetwork(tags []string) (EngineNetworkID, bool) {
	var low, high []string
	for _, t := range tags {
		if s, ok := strings.CutPrefix(t, pyLow); ok {
			low = append(low, s)
		}
		if s, ok := strings.CutPrefix(t, pyHigh); ok {
			high = append(high, s)
		}
	}
	if len(low) != 1 || len(high) != 1 {
		return "", false
	}
	return EngineNetworkID(low[0] + high[0]), true
}

// pyMade tells whether the Python Kuryr made, or uses, a network.
func pyMade(tags []string) bool {
	return slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, pyLow) })
}

// pyUsed tells whether another engine's network than id is on a Neutron network.
func pyUsed(tags []string, id EngineNetworkID) bool {
	own := pyTags(string(id))[0]
	return slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, pyLow) && t != own })
}

// pyPoolTag tells whether a subnet's tag is the ID of a pool, and pyOwns
// whether a subnet is one that an engine's network took: it has such a tag.
func pyPoolTag(tag string) bool { return len(tag) == 36 && strings.Count(tag, "-") == 4 }

func pyOwns(s Subnet) bool {
	return strings.HasPrefix(s.Name, pySubnetName) || slices.ContainsFunc(s.Tags, pyPoolTag)
}
