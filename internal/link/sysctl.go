package link

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kuryr/internal/crash"
)

// setting is a value of net.ipv6.conf.<interface>.
type setting struct{ name, value string }

// ipv6Off keeps the host's own IPv6 off an interface: it must have no address
// on a tenant's network, and hear nothing from there.
func ipv6Off() []setting {
	return []setting{
		{"disable_ipv6", "1"},  // no address, and no IPv6 packet is taken in
		{"addr_gen_mode", "1"}, // IN6_ADDR_GEN_MODE_NONE: no link-local address, should somebody turn IPv6 on
		{"accept_ra", "0"},
	}
}

// routerAdvertisementsOff keeps an interface from taking addresses and routes
// from whoever calls itself a router (CVE-2020-10749, CVE-2020-13401).
func routerAdvertisementsOff() []setting { return []setting{{"accept_ra", "0"}} }

// configureIPv6 writes the settings of an interface. One without IPv6 has none
// (an MTU under 1280, or a kernel booted with ipv6.disable=1), and is left so;
// that an interface is gone altogether shows in what is done with it next.
func (l *Links) configureIPv6(name string, settings []setting) error {
	dir := filepath.Join("/proc/sys/net/ipv6/conf", name)
	return l.space.do(func() error {
		for _, s := range settings {
			crash.Before(crash.LinkIPv6)
			err := os.WriteFile(filepath.Join(dir, s.name), []byte(s.value), 0)
			crash.After(crash.LinkIPv6)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
