//go:build !openstack

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"kuryr/internal/testkit"
)

// python is a stand-in of the Python Kuryr (kuryr-libnetwork): a plugin that
// answers an engine by the same requests to Neutron, with the same names and
// tags, and by the same links as its veth driver and bridge script make. Like
// it, it keeps nothing: each call finds by names and tags what it is about.
//
// Faults that the Python Kuryr has are left out, where Kuryr does not depend
// on them; so is what this test does not use (options but neutron.net.name,
// IPv6, default pools).
type python struct {
	host    string // what Neutron knows the machine as
	machine *testkit.Machine
	neutron *testkit.Neutron
	server  *http.Server

	mu     sync.Mutex // one call at a time, as its default launch
	failed []string   // calls that were answered with an error
}

// pythonCall is what the engine sends, whatever the call.
type pythonCall struct {
	NetworkID, EndpointID string
	PoolID, Pool, Address string
	Options               map[string]any
	IPv4Data              []struct{ Pool, Gateway string }
	Interface             struct{ Address, MacAddress string }
}

// startPython makes the Python Kuryr the plugin of the host, in Kuryr's place.
func startPython(h *host) *python {
	h.t.Helper()
	p := &python{host: h.kuryr.Host, machine: h.machine, neutron: h.kuryr.Neutron}
	l, err := net.Listen("unix", h.kuryr.PluginSocket())
	if err != nil {
		h.t.Fatal(err)
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: patience}
	go p.server.Serve(l) // returns when it is closed
	h.t.Cleanup(func() { p.server.Close() })
	return p
}

// stop ends it, and fails the test if it could not do all that it was asked for.
func (p *python) stop(h *host) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		h.t.Fatal(err)
	}
	for _, f := range p.failed {
		h.t.Errorf("the Python Kuryr's %s", f)
	}
}

func (p *python) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	var c pythonCall
	answer, err := any(object{}), error(nil)
	if r.ContentLength != 0 {
		err = json.NewDecoder(r.Body).Decode(&c)
	}
	if err == nil {
		answer, err = p.answer(ctx, strings.TrimPrefix(r.URL.Path, "/"), c)
	}
	w.Header().Set("Content-Type", "application/vnd.docker.plugins.v1.2+json")
	if err != nil {
		p.failed = append(p.failed, fmt.Sprintf("%s failed: %v", r.URL.Path, err))
		w.WriteHeader(http.StatusInternalServerError)
		answer = object{"Err": err.Error()}
	}
	// The engine may be gone by now; it asks again then.
	_ = json.NewEncoder(w).Encode(answer)
}

func (p *python) answer(ctx context.Context, method string, c pythonCall) (any, error) {
	switch method {
	case "Plugin.Activate":
		return object{"Implements": []string{"NetworkDriver", "IpamDriver"}}, nil
	case "NetworkDriver.GetCapabilities":
		return object{"Scope": "local"}, nil
	case "IpamDriver.GetCapabilities":
		return object{"RequiresMACAddress": true}, nil
	case "IpamDriver.GetDefaultAddressSpaces":
		return object{"LocalDefaultAddressSpace": "no_address_space", "GlobalDefaultAddressSpace": "no_address_space"}, nil
	case "IpamDriver.RequestPool":
		return p.requestPool(ctx, c)
	case "IpamDriver.RequestAddress":
		return p.requestAddress(ctx, c)
	case "IpamDriver.ReleaseAddress":
		return object{}, p.releaseAddress(ctx, c)
	case "IpamDriver.ReleasePool":
		return object{}, p.releasePool(ctx, c)
	case "NetworkDriver.CreateNetwork":
		return object{}, p.createNetwork(ctx, c)
	case "NetworkDriver.DeleteNetwork":
		return object{}, p.deleteNetwork(ctx, c)
	case "NetworkDriver.CreateEndpoint":
		return p.createEndpoint(ctx, c)
	case "NetworkDriver.Join":
		return p.join(ctx, c)
	case "NetworkDriver.DeleteEndpoint":
		return object{}, p.deleteEndpoint(ctx, c)
	case "NetworkDriver.EndpointOperInfo":
		port, err := p.one(ctx, "ports", tagged(halves(c.EndpointID)...))
		return object{"Value": object{"status": port.Status}}, err
	default: // Leave, and external connectivity, which looks for a name that no port has
		return object{}, nil
	}
}

// pythonThing is a resource of Neutron's, as far as the Python Kuryr looks at one.
type pythonThing struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Tags      []string `json:"tags"`
	Status    string   `json:"status"`
	MTU       int      `json:"mtu"`
	CIDR      string   `json:"cidr"`
	Gateway   string   `json:"gateway_ip"`
	Prefixes  []string `json:"prefixes"`
	NetworkID string   `json:"network_id"`
	MAC       string   `json:"mac_address"`
	Host      string   `json:"binding:host_id"`
	VIFType   string   `json:"binding:vif_type"`
	FixedIPs  []struct {
		SubnetID string `json:"subnet_id"`
		Address  string `json:"ip_address"`
	} `json:"fixed_ips"`
}

func (t pythonThing) has(tag string) bool { return slices.Contains(t.Tags, tag) }

// halves are the tags that an ID of the engine's becomes.
func halves(id string) []string {
	return []string{"kuryr.net.uuid.lh:" + id[:32], "kuryr.net.uuid.uh:" + id[32:]}
}

func tagged(tags ...string) url.Values { return url.Values{"tags": {strings.Join(tags, ",")}} }

func (p *python) list(ctx context.Context, kind string, q url.Values) ([]pythonThing, error) {
	var answer map[string][]pythonThing
	err := p.neutron.Get(ctx, kind+"?"+q.Encode(), &answer)
	return answer[kind], err
}

// one is what a list must have exactly one of.
func (p *python) one(ctx context.Context, kind string, q url.Values) (pythonThing, error) {
	all, err := p.list(ctx, kind, q)
	if err == nil && len(all) != 1 {
		err = fmt.Errorf("%d %s with %v", len(all), kind, q)
	}
	if err != nil {
		return pythonThing{}, err
	}
	return all[0], nil
}

// create makes a resource: create(ctx, "ports", {...}).
func (p *python) create(ctx context.Context, kind string, f object) (pythonThing, error) {
	one := strings.TrimSuffix(kind, "s")
	var answer map[string]pythonThing
	err := p.neutron.Post(ctx, kind, object{one: f}, &answer)
	return answer[one], err
}

// tag puts tags on a resource, a request for each.
func (p *python) tag(ctx context.Context, kind, id string, tags ...string) error {
	for _, t := range tags {
		if err := p.neutron.Put(ctx, kind+"/"+id+"/tags/"+url.PathEscape(t), nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *python) untag(ctx context.Context, kind, id string, tags ...string) error {
	var errs []error
	for _, t := range tags {
		errs = append(errs, p.neutron.Delete(ctx, kind+"/"+id+"/tags/"+url.PathEscape(t)))
	}
	return errors.Join(errs...)
}
