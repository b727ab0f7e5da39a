package chaos

import (
	"context"
	"errors"
	"slices"

	"kuryr/internal/testkit"
)

// loseNetworks has networks deleted that the engine does not know of: it was
// killed after the plugin had made one for it, and before it had written that
// down. Nobody but an engine can tell such a network from one that is not used
// at the moment, so Kuryr keeps it: it is counted, and what the engine would say
// if it knew is said in its place.
func (s *site) loseNetworks(ctx context.Context, x *truth, tell *chronicle) error {
	plugin := testkit.NewPlugin(s.kuryr.PluginSocket())
	defer plugin.Close()
	for _, n := range x.journal.Courier.Networks {
		known := slices.ContainsFunc(x.belief.networks, func(b believedNetwork) bool { return b.id == n.Docker })
		if len(n.CIDRs) != 1 || n.State != "ready" {
			continue
		}
		if known {
			s.unmade.Delete(n.CIDRs[0])
			continue
		}
		if _, broke := s.unmade.LoadAndDelete(n.CIDRs[0]); !broke {
			continue
		}
		tell.lost("the engine does not know of network %.12s, which was made for it as it was killed", n.Docker)
		err := plugin.Call(ctx, "NetworkDriver.DeleteNetwork", object{"NetworkID": n.Docker}, nil)
		for _, p := range x.journal.Courier.Pools {
			if p.Docker == n.Docker {
				err = errors.Join(err, plugin.Call(ctx, "IpamDriver.ReleasePool", object{"PoolID": p.ID}, nil))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
