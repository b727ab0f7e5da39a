package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"kuryr/internal/testkit"
)

// operationDeadline ends an operation that the engine does not answer. None may
// come near it: a call of Kuryr's has 5 s, and the engine makes a few.
const operationDeadline = 90 * time.Second

// The networks that all workers use; each has one of its own too.
const (
	sharedNet  = "shared" // IPv4 and IPv6, of CIDRs that are asked for
	defaultNet = "pooled" // from the default pool
)

// makeShared makes the networks of all workers that are not there.
func (s *site) makeShared(ctx context.Context) error {
	for _, n := range []object{
		s.newNetwork(sharedNet, "10.100.0.0/24", "fd00:100::/64"),
		s.newNetwork(defaultNet),
	} {
		name := n["Name"].(string)
		if err := s.engine.Get(ctx, "/networks/"+name, nil); err == nil {
			continue
		}
		if err := s.engine.Call(ctx, http.MethodPost, "/networks/create", n, nil); err != nil {
			return err
		}
	}
	return nil
}

// newNetwork is the engine's request for a network.
func (s *site) newNetwork(name string, cidrs ...string) object {
	var config []object
	for _, c := range cidrs {
		config = append(config, object{"Subnet": c})
	}
	return object{"Name": name, "CheckDuplicate": true, "Driver": s.kuryr.Name, "EnableIPv6": len(cidrs) > 1,
		"IPAM": object{"Driver": s.kuryr.Name, "Config": config}}
}

// worker is one of those who use the engine at the same time.
type worker struct {
	site   *site
	number int
	tell   *chronicle
}

// work lets all workers do their operations, and returns when they are done.
func (s *site) work(ctx context.Context, work [][]operation, tell *chronicle) {
	var all sync.WaitGroup
	for i, mine := range work {
		w := &worker{site: s, number: i, tell: tell}
		all.Go(func() {
			for _, o := range mine {
				time.Sleep(o.pause)
				w.do(ctx, o)
			}
		})
	}
	all.Wait()
}

// do does an operation. It may fail: what became of it is seen later.
func (w *worker) do(ctx context.Context, o operation) {
	ctx, cancel := context.WithTimeout(ctx, operationDeadline)
	defer cancel()
	w.site.awaitEngine()
	began := time.Now()
	what, err := w.try(ctx, o)
	w.tell.operation(what, time.Since(began), err)
}

func (w *worker) try(ctx context.Context, o operation) (what string, err error) {
	if o.network {
		return w.network(ctx)
	}
	name := fmt.Sprintf("w%dc%d", w.number, o.slot)
	var found struct {
		State           struct{ Running bool }
		NetworkSettings struct {
			Networks map[string]struct{ EndpointID string }
		}
	}
	err = w.call(ctx, http.MethodGet, "/containers/"+name+"/json", nil, &found)
	switch {
	case err != nil && strings.Contains(err.Error(), "404"):
		return w.run(ctx, name, o)
	case err != nil:
		return "look at " + name, err
	case !found.State.Running:
		return w.rouse(ctx, name, o.choice)
	}
	endpoints := map[string]string{}
	for net, n := range found.NetworkSettings.Networks {
		endpoints[net] = n.EndpointID
	}
	return w.disturb(ctx, name, endpoints, o)
}

// network makes the worker's own network, or removes it.
func (w *worker) network(ctx context.Context) (string, error) {
	name := w.ownNet()
	if err := w.call(ctx, http.MethodGet, "/networks/"+name, nil, nil); err == nil {
		return "network rm " + name, w.call(ctx, http.MethodDelete, "/networks/"+name, nil, nil)
	}
	err := w.call(ctx, http.MethodPost, "/networks/create", w.site.newNetwork(name, w.ownCIDR()), nil)
	w.site.unmade.Delete(w.ownCIDR())
	if unsaid := (*url.Error)(nil); errors.As(err, &unsaid) {
		w.site.unmade.Store(w.ownCIDR(), true)
	}
	return "network create " + name, err
}

func (w *worker) ownNet() string  { return fmt.Sprintf("w%dn", w.number) }
func (w *worker) ownCIDR() string { return fmt.Sprintf("10.101.%d.0/24", w.number) }

// run is `docker run`, with what is wished.
func (w *worker) run(ctx context.Context, name string, o operation) (string, error) {
	nets := w.networks(ctx, nil)
	net := nets[o.where%len(nets)]
	body := object{"Image": testkit.Image, "HostConfig": object{"NetworkMode": net}}
	what := "run " + name + " on " + net
	last := 10 + 10*w.number + o.slot // of the addresses
	if o.wishes.address && net == sharedNet {
		body["NetworkingConfig"] = object{"EndpointsConfig": object{net: object{
			"IPAMConfig": object{"IPv4Address": fmt.Sprintf("10.100.0.%d", last)}}}}
		what += " with an address"
	}
	if o.wishes.mac {
		body["MacAddress"] = fmt.Sprintf("02:10:00:00:00:%02x", last)
		what += " with a MAC"
	}
	if o.wishes.expose {
		body["ExposedPorts"] = object{fmt.Sprintf("%d/tcp", 8000+o.slot): object{}}
		what += " with a port"
	}
	if err := w.call(ctx, http.MethodPost, "/containers/create?name="+name, body, nil); err != nil {
		return what, err
	}
	return what, w.call(ctx, http.MethodPost, "/containers/"+name+"/start", nil, nil)
}

// rouse starts a container that does not run, or removes it.
func (w *worker) rouse(ctx context.Context, name string, choice int) (string, error) {
	if choice%2 == 0 {
		return "start " + name, w.call(ctx, http.MethodPost, "/containers/"+name+"/start", nil, nil)
	}
	return "rm " + name, w.call(ctx, http.MethodDelete, "/containers/"+name, nil, nil)
}

// disturb does something to a container that runs, with the endpoints that it
// has, by network.
func (w *worker) disturb(ctx context.Context, name string, endpoints map[string]string, o operation) (string, error) {
	on := slices.Sorted(maps.Keys(endpoints))
	post := func(what, path string, body any) (string, error) {
		return what, w.call(ctx, http.MethodPost, path, body, nil)
	}
	switch o.choice % 7 {
	case 0:
		return post("stop "+name, "/containers/"+name+"/stop?t=1", nil)
	case 1:
		return post("kill "+name, "/containers/"+name+"/kill", nil)
	case 2:
		return post("restart "+name, "/containers/"+name+"/restart?t=1", nil)
	case 3:
		return "rm -f " + name, w.call(ctx, http.MethodDelete, "/containers/"+name+"?force=1", nil, nil)
	case 4:
		if len(on) > 0 {
			net := on[o.where%len(on)]
			what, err := post("disconnect "+name+" from "+net, "/networks/"+url.PathEscape(net)+"/disconnect", object{"Container": name})
			if err != nil {
				w.site.doubt(endpoints[net])
			}
			return what, err
		}
	}
	nets := w.networks(ctx, on)
	if len(nets) == 0 {
		return post("restart "+name, "/containers/"+name+"/restart?t=1", nil)
	}
	net := nets[o.where%len(nets)]
	return post("connect "+name+" to "+net, "/networks/"+net+"/connect", object{"Container": name})
}

// networks returns those that there are for the worker's containers, but for
// some.
func (w *worker) networks(ctx context.Context, without []string) (names []string) {
	names = []string{sharedNet, defaultNet}
	if err := w.call(ctx, http.MethodGet, "/networks/"+w.ownNet(), nil, nil); err == nil {
		names = append(names, w.ownNet())
	}
	return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(without, n) })
}

func (w *worker) call(ctx context.Context, method, path string, body, answer any) error {
	return w.site.engine.Call(ctx, method, path, body, answer)
}
