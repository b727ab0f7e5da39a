package cli

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/daemon"
)

// shortID is how many characters of an ID are shown, as Docker's tools do.
const shortID = 12

// statusView prints a status for people.
type statusView struct {
	w      io.Writer
	colour palette
	full   bool // IDs
	now    time.Time
}

// print prints every section that has something to say.
func (v statusView) print(s daemon.Status) error {
	up := ""
	if !s.StartedAt.IsZero() {
		up = ", up " + v.since(s.StartedAt)
	}
	fmt.Fprintf(v.w, "kuryr %s on %s%s\n", printable(s.Version), printable(s.Host), up)
	fmt.Fprintf(v.w, "Neutron: %s\n", neutronLine(s))
	for _, section := range []func(daemon.Status) error{v.health, v.networks, v.attachments, v.portPools, v.pools, v.rest} {
		if err := section(s); err != nil {
			return err
		}
	}
	return nil
}

func neutronLine(s daemon.Status) string {
	if s.Neutron.Endpoint == "" {
		return printable(s.Neutron.Kind)
	}
	return printable(s.Neutron.Kind) + ", " + printable(s.Neutron.Endpoint)
}

// section prints a title and, when there are any rows, a table.
func (v statusView) section(title string, headers []string, rows [][]string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintf(v.w, "\n%s: none\n", title)
		return err
	}
	fmt.Fprintf(v.w, "\n%s: %d\n", title, len(rows))
	return table(v.w, headers, rows)
}

// health prints the conditions, each with its verdict in front.
func (v statusView) health(s daemon.Status) error {
	var failed int
	for _, c := range s.Health {
		if !c.OK {
			failed++
		}
	}
	summary := v.colour.good("ok")
	if failed > 0 {
		summary = v.colour.bad(fmt.Sprintf("%d of %d failed", failed, len(s.Health)))
	}
	fmt.Fprintf(v.w, "\nHealth: %s\n", summary)
	for _, c := range s.Health {
		verdict := v.colour.good("ok    ")
		if !c.OK {
			verdict = v.colour.bad("failed")
		}
		line := "  " + verdict + "  " + printable(c.Name)
		if c.Detail != "" {
			line += ": " + printable(c.Detail)
		}
		if _, err := fmt.Fprintln(v.w, line); err != nil {
			return err
		}
	}
	return nil
}

func (v statusView) networks(s daemon.Status) error {
	var rows [][]string
	for _, n := range s.Courier.Networks {
		rows = append(rows, []string{v.id(string(n.ID)), v.id(string(n.Neutron)), n.Name, join(n.CIDRs), mtu(n.MTU), networkState(n)})
	}
	return v.section("Networks", []string{"DOCKER NETWORK", "NEUTRON NETWORK", "NAME", "SUBNETS", "MTU", "STATE"}, rows)
}

func networkState(n courier.NetworkInfo) string {
	if n.Internal {
		return n.State + ", internal"
	}
	return n.State
}

func (v statusView) attachments(s daemon.Status) error {
	var rows [][]string
	for _, a := range s.Courier.Attachments {
		rows = append(rows, []string{v.id(string(a.Endpoint)), v.id(string(a.Network)), v.id(string(a.Port)), a.MAC.String(),
			join(a.Addresses), a.Link, a.VIFType, a.State})
	}
	return v.section("Attachments", []string{"ENDPOINT", "DOCKER NETWORK", "PORT", "MAC", "ADDRESSES", "LINK", "VIF", "STATE"}, rows)
}

// portPools prints the ports that are ready for containers to come.
func (v statusView) portPools(s daemon.Status) error {
	var rows [][]string
	for _, p := range s.Courier.PortPools {
		rows = append(rows, []string{v.id(string(p.Network)), strconv.Itoa(p.Ready), strconv.Itoa(p.Resting), strconv.Itoa(p.Target),
			strconv.Itoa(p.Hits), strconv.Itoa(p.Misses)})
	}
	if len(rows) == 0 {
		return nil
	}
	return v.section("Port pools", []string{"DOCKER NETWORK", "READY", "RESTING", "TARGET", "HITS", "MISSES"}, rows)
}

// pools prints only those that no network has taken: the others are its subnets.
func (v statusView) pools(s daemon.Status) error {
	var rows [][]string
	for _, p := range s.Courier.Pools {
		if p.Network == "" {
			rows = append(rows, []string{v.id(string(p.ID)), p.CIDR.String(), p.State})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return v.section("Address pools without a network", []string{"POOL", "SUBNET", "STATE"}, rows)
}

// rest prints pending removals, the last comparison and notices. Why a removal is tried again is a
// notice of the daemon's.
func (v statusView) rest(s daemon.Status) error {
	if s.Courier.Pending > 0 {
		fmt.Fprintf(v.w, "\nPending removals: %d\n", s.Courier.Pending)
	}
	if r := s.Courier.Reconciled; !r.At.IsZero() {
		line := fmt.Sprintf("%s ago, %d mended since the start", v.since(r.At), r.Mended)
		if len(r.Findings) > 0 {
			line += v.colour.bad(fmt.Sprintf(", %d not as it should be", len(r.Findings)))
		}
		if r.Error != "" {
			line += v.colour.bad(", not finished: ") + printable(r.Error)
		}
		fmt.Fprintf(v.w, "\nReconciled: %s\n", line)
	}
	if len(s.Notices) == 0 {
		return nil
	}
	fmt.Fprintf(v.w, "\nNotices: %d\n", len(s.Notices))
	for _, n := range s.Notices {
		if _, err := fmt.Fprintf(v.w, "  %s\n", printable(n)); err != nil {
			return err
		}
	}
	return nil
}

func (v statusView) id(s string) string {
	if v.full || len(s) <= shortID {
		return s
	}
	return s[:shortID]
}

// since prints the time since t in its two largest units.
func (v statusView) since(t time.Time) string {
	d := v.now.Sub(t)
	switch {
	case d < 0:
		return "-"
	case d < time.Hour:
		return d.Truncate(time.Second).String()
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

func mtu(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// join lists prefixes or addresses.
func join[T netip.Addr | netip.Prefix](list []T) string {
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ",")
}
