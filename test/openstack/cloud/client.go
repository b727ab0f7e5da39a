package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client speaks to the lab's Keystone and Neutron as one account, over HTTP,
// with none of the product's own client.
type Client struct {
	http    *http.Client
	token   string
	user    string // its ID
	project string // its ID
}

// StatusError is an answer that says no.
type StatusError struct {
	Method, URL string
	Code        int
	Body        string
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: %d: %s", e.Method, e.URL, e.Code, e.Body)
}

// Resource is what Keystone or Neutron tells about a thing.
type Resource = map[string]any

// Client gets a token for an account, in its project.
func (l *Lab) Client(ctx context.Context, a Account) (*Client, error) {
	c := &Client{http: &http.Client{
		// A Neutron under load takes a minute for what else takes a second.
		Timeout:   3 * time.Minute,
		Transport: &http.Transport{DialContext: l.Machine(Controller).Dial, DisableKeepAlives: true},
	}}
	domain := Resource{"id": "default"}
	body := Resource{"auth": Resource{
		"identity": Resource{"methods": []string{"password"},
			"password": Resource{"user": Resource{"name": a.User, "password": a.Password, "domain": domain}}},
		"scope": Resource{"project": Resource{"name": a.Project, "domain": domain}}}}
	var answer struct {
		Token struct{ User, Project struct{ ID string } }
	}
	header, err := c.call(ctx, http.MethodPost, AuthURL+"/auth/tokens", body, &answer)
	if err != nil {
		return nil, err
	}
	c.token, c.user, c.project = header.Get("X-Subject-Token"), answer.Token.User.ID, answer.Token.Project.ID
	return c, nil
}

// UserID is the account's, as Keystone knows it.
func (c *Client) UserID() string { return c.user }

// ProjectID is the account's, as Keystone knows it.
func (c *Client) ProjectID() string { return c.project }

// Token is a token of Keystone's, good for an hour.
func (c *Client) Token() string { return c.token }

// Call makes a request, with body and answer in JSON, each if not nil. An
// answer of 400 or more is a *StatusError.
func (c *Client) Call(ctx context.Context, method, url string, body, answer any) error {
	_, err := c.call(ctx, method, url, body, answer)
	return err
}

func (c *Client) call(ctx context.Context, method, url string, body, answer any) (http.Header, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("X-Auth-Token", c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		return nil, &StatusError{method, url, resp.StatusCode, strings.TrimSpace(string(b))}
	}
	if answer != nil {
		err = json.Unmarshal(b, answer)
	}
	return resp.Header, err
}

// Create makes a resource of a kind, such as "network", in the collection at
// base + its plural, and returns what it is.
func (c *Client) Create(ctx context.Context, base, kind string, attributes Resource) (Resource, error) {
	var answer map[string]Resource
	err := c.Call(ctx, http.MethodPost, collection(base, kind), map[string]Resource{kind: attributes}, &answer)
	return answer[kind], err
}

// List returns the resources of a kind that a query chooses, all if it is nil.
func (c *Client) List(ctx context.Context, base, kind string, query url.Values) ([]Resource, error) {
	var answer map[string]json.RawMessage
	if err := c.Call(ctx, http.MethodGet, collection(base, kind)+"?"+query.Encode(), nil, &answer); err != nil {
		return nil, err
	}
	var all []Resource
	return all, json.Unmarshal(answer[plural(kind)], &all)
}

// Show returns the resource of a kind that has this ID.
func (c *Client) Show(ctx context.Context, base, kind, id string) (Resource, error) {
	var answer map[string]Resource
	err := c.Call(ctx, http.MethodGet, collection(base, kind)+"/"+id, nil, &answer)
	return answer[kind], err
}

// Update changes attributes of a resource.
func (c *Client) Update(ctx context.Context, base, kind, id string, attributes Resource) error {
	return c.Call(ctx, http.MethodPut, collection(base, kind)+"/"+id, map[string]Resource{kind: attributes}, nil)
}

// Delete removes a resource.
func (c *Client) Delete(ctx context.Context, base, kind, id string) error {
	return c.Call(ctx, http.MethodDelete, collection(base, kind)+"/"+id, nil, nil)
}

// Ensure returns the resource of a kind that has this name; if there is none
// it makes one.
func (c *Client) Ensure(ctx context.Context, base, kind, name string, attributes Resource) (Resource, error) {
	found, err := c.List(ctx, base, kind, url.Values{"name": {name}})
	if err != nil || len(found) > 0 {
		return first(found), err
	}
	attributes["name"] = name
	return c.Create(ctx, base, kind, attributes)
}

// NeutronAPI is the base of Neutron's resources, for Create, List and Ensure.
// Keystone's is AuthURL.
const NeutronAPI = NetworkURL + "/v2.0"

func first(all []Resource) Resource {
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// plural is the name of a kind's collection. In URLs Neutron writes it with
// dashes.
func plural(kind string) string {
	if stem, ok := strings.CutSuffix(kind, "y"); ok {
		return stem + "ies"
	}
	return kind + "s"
}

// collection is the URL of the resources of a kind.
func collection(base, kind string) string {
	name := plural(kind)
	if base == NeutronAPI {
		name = strings.ReplaceAll(name, "_", "-")
	}
	return base + "/" + name
}
