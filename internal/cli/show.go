package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kuryr/internal/courier"
	"kuryr/internal/daemon"
)

func newShow() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "show",
		Short: "Print all about one network or port",
		Long:  `Print all that the running Kuryr holds about one network or port.`,
	})
	cmd.AddCommand(newShowNetwork(), newShowPort())
	return cmd
}

func newShowNetwork() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "network NETWORK",
		Short: "Print all about one network",
		Long: `Print all that the running Kuryr holds about one network: NETWORK is its name in
Neutron, or its ID there or in Docker, or the first characters of one.`,
		Example: `  sudo kuryr show network kuryr-net-3f8a0b1c
  sudo kuryr show network 3f8a -o json`,
	}
	show(cmd, "network", func(s daemon.Status) []item {
		var all []item
		for _, n := range s.Courier.Networks {
			all = append(all, networkItem(n, s.Courier.Attachments))
		}
		return all
	})
	return cmd
}

func newShowPort() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "port PORT",
		Short: "Print all about one port",
		Long: `Print all that the running Kuryr holds about one port: PORT is its ID in Neutron,
the ID of its endpoint in Docker, or the first characters of one; or its link,
or an address of it.`,
		Example: `  sudo kuryr show port tapa1b2c3d4-e5
  sudo kuryr show port 10.10.0.2 -o json`,
	}
	show(cmd, "port", func(s daemon.Status) []item {
		var all []item
		for _, a := range s.Courier.Attachments {
			all = append(all, portItem(a))
		}
		for _, p := range s.Courier.PortPools {
			for _, a := range p.Ports {
				all = append(all, portItem(a))
			}
		}
		return all
	})
	return cmd
}

// item is one thing that can be shown.
type item struct {
	ids   []string // the first characters of which name it
	names []string // which name it as they are; the first is what completion offers, and may be ""
	about string   // a few words, for completion
	rows  [][]string
	value any // for JSON
}

func networkItem(n courier.NetworkInfo, all []courier.AttachmentInfo) item {
	ports := 0
	for _, a := range all {
		if a.Network == n.ID {
			ports++
		}
	}
	return item{
		ids: []string{string(n.Neutron), string(n.ID)}, names: []string{n.Name}, about: join(n.CIDRs), value: n,
		rows: [][]string{{"name", n.Name}, {"state", networkState(n)}, {"docker network", string(n.ID)}, {"neutron network", string(n.Neutron)},
			{"subnets", join(n.CIDRs)}, {"mtu", mtu(n.MTU)}, {"ports", strconv.Itoa(ports)}},
	}
}

func portItem(a courier.AttachmentInfo) item {
	i := item{
		ids: []string{string(a.Port), string(a.Endpoint)}, names: []string{a.Link}, about: join(a.Addresses), value: a,
		rows: [][]string{{"port", string(a.Port)}, {"state", a.State}, {"endpoint", string(a.Endpoint)}, {"docker network", string(a.Network)},
			{"mac", a.MAC.String()}, {"addresses", join(a.Addresses)}, {"link", a.Link}, {"vif type", a.VIFType}},
	}
	for _, address := range a.Addresses {
		i.names = append(i.names, address.String())
	}
	return i
}

// show makes cmd print the one of the items that its argument names, and
// complete that argument.
func show(cmd *cobra.Command, kind string, items func(daemon.Status) []item) {
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usageError{err: fmt.Errorf("%q takes one %s, and got %d arguments", cmd.CommandPath(), strings.ToUpper(kind), len(args))}
		}
		return nil
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, _, err := flags.status(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completions(items(s), typed), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, _, err := flags.status(cmd.Context())
		if err != nil {
			return err
		}
		i, err := find(kind, items(s), args[0])
		if err != nil {
			return err
		}
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), i.value)
		}
		return printItem(cmd.OutOrStdout(), i)
	}
}

// status asks the daemon; body is its answer as it came.
func (f *settingFlags) status(ctx context.Context) (s daemon.Status, body []byte, err error) {
	socket, err := f.adminSocket()
	if err != nil {
		return s, nil, err
	}
	if body, err = adminGet(ctx, socket, "/v1/status"); err != nil {
		return s, nil, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, nil, &courier.Error{Kind: courier.Internal, Op: "read", Subject: "the status of kuryr at " + socket, Err: err,
			Hint: "does another version of kuryr run there?"}
	}
	return s, body, nil
}

// find returns the one item that word names: wholly, or else by the first
// characters of an ID that no other has.
func find(kind string, all []item, word string) (item, error) {
	var whole, starts []item
	for _, i := range all {
		switch {
		case i.is(word):
			whole = append(whole, i)
		case i.startsWith(word):
			starts = append(starts, i)
		}
	}
	found := whole
	if len(found) == 0 {
		found = starts
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return item{}, &courier.Error{Kind: courier.NotFound, Op: "show", Subject: kind + " " + strconv.Quote(word), Err: errors.New("there is none here"),
			Hint: `"kuryr status" lists them`}
	}
	return item{}, &courier.Error{Kind: courier.Conflict, Op: "show", Subject: kind + " " + strconv.Quote(word),
		Err: fmt.Errorf("%d are named so", len(found)), Hint: "give more of the ID"}
}

func (i item) is(word string) bool {
	for _, name := range append(i.names, i.ids...) {
		if name == word {
			return true
		}
	}
	return false
}

func (i item) startsWith(word string) bool {
	for _, id := range i.ids {
		if strings.HasPrefix(id, word) {
			return true
		}
	}
	return false
}

// completions offers names, and IDs once the first characters of one were typed.
func completions(all []item, typed string) []string {
	var list []string
	for _, i := range all {
		words := i.names[:1]
		if typed != "" || words[0] == "" {
			words = append(words[:1:1], i.ids...)
		}
		for _, word := range words {
			if word != "" && strings.HasPrefix(word, typed) && printable(word) == word {
				list = append(list, word+"\t"+printable(i.about))
			}
		}
	}
	return list
}

func printItem(w io.Writer, i item) error {
	for _, row := range i.rows {
		if _, err := fmt.Fprintf(w, "%-16s %s\n", row[0]+":", printable(row[1])); err != nil {
			return err
		}
	}
	return nil
}
