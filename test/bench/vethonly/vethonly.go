// Package vethonly is the least that a remote driver of Docker's can be: it
// makes a veth pair for each endpoint and counts addresses up, and it knows no
// bridge, no firewall, no Neutron and no journal. What a container's start takes
// with it is the floor that Docker's plugin protocol sets, for the benchmarks to
// compare Kuryr with. Its containers reach nobody.
package vethonly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
)

// driver keeps what the protocol makes it remember: how far it has counted.
type driver struct {
	mu       sync.Mutex            // guards what follows
	last     map[string]netip.Addr // by pool, which is named by its CIDR
	gateways map[string]string     // by network
}

// request has the fields of all calls that the driver looks at.
type request struct {
	Pool, PoolID, Address string
	NetworkID, EndpointID string
	IPv4Data              []struct{ Gateway string } // with the length of its subnet
}

type object map[string]any

// Serve answers Docker on a Unix socket, network driver and IPAM driver in
// one, until ctx is done. Links are made in the namespace it runs in.
func Serve(ctx context.Context, socket string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	d := &driver{last: map[string]netip.Addr{}, gateways: map[string]string{}}
	s := &http.Server{Handler: d}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (d *driver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q request
	// Some calls have no body.
	_ = json.NewDecoder(r.Body).Decode(&q)
	answer, err := d.answer(strings.TrimPrefix(r.URL.Path, "/"), q)
	if err != nil {
		answer = object{"Err": err.Error(), "Error": err.Error()}
	}
	json.NewEncoder(w).Encode(answer) // who has hung up needs no answer
}

func (d *driver) answer(method string, q request) (object, error) {
	switch method {
	case "Plugin.Activate":
		return object{"Implements": []string{"NetworkDriver", "IpamDriver"}}, nil
	case "NetworkDriver.GetCapabilities":
		return object{"Scope": "local", "ConnectivityScope": "local"}, nil
	case "IpamDriver.GetDefaultAddressSpaces":
		return object{"LocalDefaultAddressSpace": "vethonly", "GlobalDefaultAddressSpace": "vethonly"}, nil
	case "IpamDriver.RequestPool":
		return object{"PoolID": q.Pool, "Pool": q.Pool}, nil
	case "IpamDriver.RequestAddress":
		return d.address(q)
	case "NetworkDriver.CreateNetwork":
		return object{}, d.network(q)
	case "NetworkDriver.CreateEndpoint":
		return object{"Interface": object{}}, makeLink(q.EndpointID)
	case "NetworkDriver.Join":
		return object{"InterfaceName": object{"SrcName": inside(q.EndpointID), "DstPrefix": "eth"}, "Gateway": d.gateway(q.NetworkID)}, nil
	case "NetworkDriver.DeleteEndpoint":
		// As Kuryr does: the answer does not wait for the kernel.
		go removeLink(q.EndpointID)
	}
	return object{}, nil
}

// address gives the one that is asked for, or the next.
func (d *driver) address(q request) (object, error) {
	pool, err := netip.ParsePrefix(q.PoolID)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.Address == "" {
		last, begun := d.last[q.PoolID]
		if !begun {
			last = pool.Addr().Next() // the gateway's
		}
		d.last[q.PoolID] = last.Next()
		q.Address = last.Next().String()
	}
	return object{"Address": fmt.Sprintf("%s/%d", q.Address, pool.Bits())}, nil
}

// network takes note of a network's gateway: to containers that have none Docker
// gives another interface.
func (d *driver) network(q request) error {
	if len(q.IPv4Data) != 1 {
		return errors.New("a network has one subnet here")
	}
	gateway, err := netip.ParsePrefix(q.IPv4Data[0].Gateway)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gateways[q.NetworkID] = gateway.Addr().String()
	return nil
}

func (d *driver) gateway(network string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gateways[network]
}

func outside(endpoint string) string { return "vo" + endpoint[:12] }
func inside(endpoint string) string  { return "vi" + endpoint[:12] }

func makeLink(endpoint string) error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outside(endpoint)}, PeerName: inside(endpoint)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("cannot make a veth pair: %w", err)
	}
	return netlink.LinkSetUp(pair)
}

func removeLink(endpoint string) {
	err := netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outside(endpoint)}})
	if err != nil {
		log.Printf("cannot remove the link of endpoint %s: %v", endpoint, err)
	}
}
