package chaos

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kuryr/internal/testkit"
)

// crashSwitch is an Open vSwitch on a lab's machine, and a Neutron that has ports
// plugged into it: the embedded one, by itself, behind a proxy that says "ovs"
// where it says "bridge". There is no agent, as there is none of OVN's or
// ML2/OVS's that would let nothing pass at first: the bridge is a plain switch.
type crashSwitch struct {
	ovs     *testkit.OVS
	neutron *testkit.NeutronServer
	proxy   *http.Server
	hybrid  bool
}

const crashSwitchURL = "127.0.0.1:9797"

// newCrashSwitch starts one, and makes o the options of a Kuryr on it.
func (l *crashLab) newCrashSwitch(binary string, details crashObject, o *testkit.KuryrOptions) *crashSwitch {
	l.t.Helper()
	ctx := l.t.Context()
	s := &crashSwitch{ovs: testkit.NewOVS(l.t, l.machine.Namespace(l.t)), hybrid: details["ovs_hybrid_plug"] == true}
	s.ovs.AddBridge("br-int", "netdev")
	var err error
	if s.neutron, err = testkit.StartNeutron(ctx, l.machine, binary); err != nil {
		l.t.Fatal(err)
	}
	listener, err := l.machine.Listen(ctx, "tcp", crashSwitchURL)
	if err != nil {
		l.t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.neutron.Address})
	proxy.Transport = &http.Transport{DialContext: l.machine.Dial}
	proxy.ModifyResponse = func(r *http.Response) error { return rebind(r, details) }
	s.proxy = &http.Server{Handler: proxy, ReadHeaderTimeout: crashWait}
	go s.proxy.Serve(listener) // returns when it is closed
	o.Neutron = "http://" + crashSwitchURL
	o.Config += "\n[ovs]\novsdb_connection = " + s.ovs.Connection() + "\n"
	return s
}

func (s *crashSwitch) close() error { return errors.Join(s.proxy.Close(), s.neutron.Stop()) }

// switchPorts lists those of the integration bridge.
func (l *crashLab) switchPorts() testkit.Inventory {
	var lines testkit.Inventory
	for _, name := range strings.Fields(l.vsctl("list-ports", "br-int")) {
		lines = append(lines, "ovs port "+name)
	}
	return lines
}

// rebind has the ports of an answer bound to Open vSwitch.
func rebind(r *http.Response, details crashObject) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	text = testkit.Rebind(text, "ovs", details)
	r.Body = io.NopCloser(bytes.NewReader(text))
	r.ContentLength = int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

// take is the inventory of the machine, with the ports of its Open vSwitch,
// which testkit knows of where it is a cloud's.
func (l *crashLab) take(ctx context.Context) (testkit.Inventory, error) {
	all, err := l.kuryr.Take(ctx)
	if l.ovs != nil {
		all = append(all, l.switchPorts()...)
		slices.Sort(all)
	}
	return all, err
}
