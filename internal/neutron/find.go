package neutron

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// ownerWire is whose a resource is.
type ownerWire struct {
	ProjectID string `json:"project_id"`
	Shared    bool   `json:"shared"` // with our project, or with all
}

func (w ownerWire) owner() ownerWire { return w }

// owned is a resource that says whose it is.
type owned interface{ owner() ownerWire }

// lookUp lists a collection by gophercloud's query, which may be an error.
func lookUp[W, T any](ctx context.Context, c *Client, collection, query string, err error, op, subject string, parse func(W) (T, error)) ([]T, error) {
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[W](ctx, c.api, collection, query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, parse)
	return all, c.fail(err, op, subject)
}

// find lists what any of the references may mean, and drops what is neither
// ours nor shared with us. Kuryr's credentials are often an administrator's,
// who sees everything; a user of Docker's is to reach no more than Kuryr's own
// project may use. Values of one filter are alternatives, different filters
// are not: IDs and names take a request each.
func find[W owned, T any](ctx context.Context, c *Client, collection string, refs []courier.Reference, more url.Values, parse func(W) (T, error)) ([]T, error) {
	names := collection[strings.LastIndexByte(collection, '/')+1:]
	op, subject := "look up "+strings.ReplaceAll(names, "-", " "), ""
	ids, called := url.Values{}, url.Values{}
	for _, r := range refs {
		subject += " " + r.String()
		if r.ID == "" {
			called.Add("name", r.Name)
			continue
		}
		if err := checkID(op, r.ID); err != nil {
			return nil, err
		}
		ids.Add("id", r.ID)
	}
	subject = strings.TrimPrefix(subject, " ")
	var all []T
	for _, query := range []url.Values{ids, called} {
		if len(query) == 0 {
			continue
		}
		for k, v := range more {
			query[k] = v
		}
		items, err := list[W](ctx, c.api, collection, "?"+query.Encode())
		if err != nil {
			return nil, c.fail(err, op, subject)
		}
		for _, w := range items {
			if !c.mayUse(w.owner()) && !more.Has("shared") {
				continue
			}
			v, err := parse(w)
			if err != nil {
				return nil, c.fail(err, op, subject)
			}
			all = append(all, v)
		}
	}
	return all, nil
}

// mayUse tells whether a resource is ours or shared with us.
func (c *Client) mayUse(o ownerWire) bool {
	own := c.project()
	return own == "" || o.ProjectID == own || o.Shared
}

// delete deletes one resource, if it has this revision still.
func (c *Client) delete(ctx context.Context, collection, id string, revision int) error {
	var o gophercloud.RequestOpts
	if revision != courier.AnyRevision {
		o.MoreHeaders = map[string]string{"If-Match": fmt.Sprintf("revision_number=%d", revision)}
	}
	resp, err := c.api.Delete(ctx, c.api.ServiceURL(collection, id), &o)
	_, _, err = gophercloud.ParseResponse(resp, err)
	return err
}
