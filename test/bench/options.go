package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"kuryr/test/openstack/cloud"
)

// options are how much of everything is measured, and what of it.
type options struct {
	chosen []string // sections
	n      int
	sizes  []int // numbers of attachments
	nets   int
	ports  int
	rounds int
	runs   int
	widths []int // how many containers start at once
	bursts int
	pool   int    // ports kept ready for bursts
	before string // file of earlier figures to compare with; "": none
	out    string // file for the figures; "": none
	lab    string // directory of the lab whose Neutron is measured with, too; "": none
	ready  int    // ports kept ready on the lab
	rest   int    // seconds that they rest there between two containers
	socket string // the driver that only makes a veth listens here; "": this is no such driver
}

// short is what -short has in the place of the other flags' defaults: enough to
// tell ratios apart, in three minutes.
var short = map[string]string{"only": "docker,run,burst,traffic,scale", "n": "100", "attachments": "0,200", "networks": "50", "ports": "5000", "rounds": "9", "runs": "12", "widths": "4", "bursts": "6"}

func parse(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.n, "n", 300, "containers started and stopped, and ports made, one after the other")
	sizes := f.String("attachments", "0,500,1000", "numbers of attachments for the memory and start-up figures")
	f.IntVar(&o.nets, "networks", 1000, "networks of the full Neutron beside which calls are measured")
	f.IntVar(&o.ports, "ports", 100_000, "ports on these")
	f.IntVar(&o.rounds, "rounds", 15, "rounds of the comparisons of traffic")
	f.IntVar(&o.runs, "runs", 40, "rounds of docker run")
	widths := f.String("widths", "1,8,32,100", "how many containers start at once, in bursts")
	f.IntVar(&o.bursts, "bursts", 2, "bursts of each width")
	f.IntVar(&o.pool, "pool", 100, "ports that Kuryr keeps ready for bursts; 0: as many as it does by itself")
	f.StringVar(&o.out, "json", "", "write the figures to this file")
	f.StringVar(&o.before, "check", "", "compare the ratios with those of an earlier run in this file, and fail if one is worse")
	f.StringVar(&o.socket, "veth-only", "", "be the driver that only makes a veth, on this socket, and measure nothing")
	f.StringVar(&o.lab, "lab", os.Getenv(cloud.Variable), "measure on the OpenStack lab in this directory, too, by itself "+strings.Join(onLab, " and "))
	f.IntVar(&o.ready, "lab-ready", 16, "ports that Kuryr keeps ready on the lab: more than one, as one is ready again only some seconds after a container had it")
	f.IntVar(&o.rest, "lab-rest", 1, "seconds that a port rests on the lab before it is made ready again")
	only := f.String("only", "", "sections to measure; by itself all, those on the lab if -lab is given")
	quick := f.Bool("short", false, "measure less of less, unless other flags say how much")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		given := map[string]bool{}
		f.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range short {
			if given[name] {
				continue
			}
			if err := f.Set(name, value); err != nil {
				return o, err
			}
		}
	}
	if o.sizes, err = numbers(*sizes); err != nil {
		return o, fmt.Errorf("-attachments: %w", err)
	}
	if o.widths, err = numbers(*widths); err != nil || slices.Contains(o.widths, 0) {
		return o, fmt.Errorf("-widths %s: these are no numbers of containers", *widths)
	}
	o.chosen, err = choose(*only, o.lab != "")
	return o, err
}

// choose reads a list of sections, those of the lab if there is one.
func choose(list string, lab bool) ([]string, error) {
	all := slices.Concat(sections, onLab)
	switch {
	case list == "" && lab:
		return all, nil
	case list == "":
		return sections, nil
	}
	chosen := strings.Split(list, ",")
	for _, c := range chosen {
		if !slices.Contains(all, c) {
			return nil, fmt.Errorf("there is no section %q; there are %s", c, strings.Join(all, ", "))
		}
		if slices.Contains(onLab, c) && !lab {
			return nil, fmt.Errorf("section %s needs the OpenStack lab: make openstack-up, and -lab %s", c, cloud.DefaultDir)
		}
	}
	return chosen, nil
}

// numbers reads a list such as 1,8,32.
func numbers(list string) (out []int, err error) {
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no number of things", text)
		}
		out = append(out, n)
	}
	return out, nil
}
