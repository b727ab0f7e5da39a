package testkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Neutron is a Neutron API as tests look at it: over HTTP, with none of the
// product's own client.
type Neutron struct {
	base   string
	client *http.Client
	token  string // "": it wants no authentication
}

// Port is a port as the API tells it.
type Port struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	NetworkID   string   `json:"network_id"`
	MAC         string   `json:"mac_address"`
	Status      string   `json:"status"`
	DeviceOwner string   `json:"device_owner"`
	DeviceID    string   `json:"device_id"`
	Host        string   `json:"binding:host_id"`
	VIFType     string   `json:"binding:vif_type"`
	Description string   `json:"description"`
	Groups      []string `json:"security_groups"`
	FixedIPs    []struct {
		SubnetID string `json:"subnet_id"`
		Address  string `json:"ip_address"`
	} `json:"fixed_ips"`
}

// Addresses returns the port's addresses, joined by a space.
func (p Port) Addresses() string {
	var all []string
	for _, f := range p.FixedIPs {
		all = append(all, f.Address)
	}
	return strings.Join(all, " ")
}

// Subnet is a subnet as the API tells it.
type Subnet struct {
	ID        string `json:"id"`
	NetworkID string `json:"network_id"`
	CIDR      string `json:"cidr"`
	Gateway   string `json:"gateway_ip"`
	PoolID    string `json:"subnetpool_id"`
	DHCP      bool   `json:"enable_dhcp"`

	Description string `json:"description"`
}

// Resource is any other resource: what all have.
type Resource struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	MTU         int    `json:"mtu"`
	Description string `json:"description"`
}

// NewNeutron is the API at an address of the machine, without authentication.
func NewNeutron(m *Machine, address string) *Neutron {
	return &Neutron{base: "http://" + address + "/v2.0/", client: clientOn(m, 10*time.Second)}
}

// NewCloudNeutron is the API at a URL as the machine reaches it, for who has a
// token of Keystone's.
func NewCloudNeutron(m *Machine, url, token string) *Neutron {
	// A cloud on one busy machine takes seconds for what others do at once.
	return &Neutron{base: url + "/v2.0/", client: clientOn(m, 2*time.Minute), token: token}
}

// LogIn is the API of a cloud whose Keystone is at the same address, over TLS as
// conf says: for a user with a password, in a project.
func LogIn(ctx context.Context, m *Machine, url string, conf *tls.Config, user, password, project string) (*Neutron, error) {
	domain := map[string]string{"name": "Default"}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": user, "password": password, "domain": domain}}},
		"scope": map[string]any{"project": map[string]any{"name": project, "domain": domain}}}})
	if err != nil {
		return nil, err
	}
	n := NewCloudNeutron(m, url, "")
	n.client.Transport.(*http.Transport).TLSClientConfig = conf
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v3/auth/tokens", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if n.token = resp.Header.Get("X-Subject-Token"); n.token == "" {
		return nil, fmt.Errorf("%s has no token in project %s: %s", user, project, resp.Status)
	}
	return n, nil
}

func clientOn(m *Machine, timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: m.Dial, DisableKeepAlives: true}}
}

// Networks lists the networks.
func (n *Neutron) Networks(ctx context.Context) ([]Resource, error) {
	return list[Resource](ctx, n, "networks", nil)
}

// SubnetPools lists the subnetpools.
func (n *Neutron) SubnetPools(ctx context.Context) ([]Resource, error) {
	return list[Resource](ctx, n, "subnetpools", nil)
}

// Subnets lists the subnets; those of one network unless it is "".
func (n *Neutron) Subnets(ctx context.Context, network string) ([]Subnet, error) {
	return list[Subnet](ctx, n, "subnets", filter("network_id", network))
}

// Ports lists the ports; those of one network unless it is "".
func (n *Neutron) Ports(ctx context.Context, network string) ([]Port, error) {
	return list[Port](ctx, n, "ports", filter("network_id", network))
}

// SecurityGroups lists the security groups, but for each project's default one.
func (n *Neutron) SecurityGroups(ctx context.Context) ([]Resource, error) {
	var answer struct {
		All []Resource `json:"security_groups"`
	}
	err := n.Get(ctx, "security-groups", &answer)
	return slices.DeleteFunc(answer.All, func(g Resource) bool { return g.Name == "default" }), err
}

// Post creates a resource, which it reads into answer unless that is nil:
// Post(ctx, "subnets", {"subnet": {...}}, nil).
func (n *Neutron) Post(ctx context.Context, path string, body, answer any) error {
	return n.do(ctx, http.MethodPost, path, body, answer)
}

// Put updates a resource: Put(ctx, "subnets/ID", {"subnet": {...}}).
func (n *Neutron) Put(ctx context.Context, path string, body any) error {
	return n.do(ctx, http.MethodPut, path, body, nil)
}

// Delete removes a resource: Delete(ctx, "subnets/ID").
func (n *Neutron) Delete(ctx context.Context, path string) error {
	return n.do(ctx, http.MethodDelete, path, nil, nil)
}

// Get reads a resource into answer.
func (n *Neutron) Get(ctx context.Context, path string, answer any) error {
	return n.do(ctx, http.MethodGet, path, nil, answer)
}

func filter(key, value string) url.Values {
	if value == "" {
		return nil
	}
	return url.Values{key: {value}}
}

func list[T any](ctx context.Context, n *Neutron, kind string, query url.Values) ([]T, error) {
	var answer map[string][]T
	if err := n.do(ctx, http.MethodGet, kind+"?"+query.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	all, ok := answer[kind]
	if !ok {
		return nil, fmt.Errorf("a list of %s has no such key", kind)
	}
	return all, nil
}

func (n *Neutron) do(ctx context.Context, method, path string, body, answer any) error {
	var b bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&b).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, n.base+path, &b)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if n.token != "" {
		req.Header.Set("X-Auth-Token", n.token)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w in %s", method, path, err, text)
	}
	return nil
}
