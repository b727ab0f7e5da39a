package neutron

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// maxPages bounds how many pages of a list are read; Neutron's own limit of a
// page is often 1,000.
const maxPages = 1000

// list reads all pages of a collection, which paths may put into another one
// (qos/policies). query is what gophercloud's ListOpts
// made: "" or "?" and more.
func list[W any](ctx context.Context, api *gophercloud.ServiceClient, collection, query string) ([]W, error) {
	var all []W
	err := pages(ctx, api, collection, query, func(items []W) error {
		all = append(all, items...)
		return nil
	})
	return all, err
}

// pages reads a collection as list does, and lets each page go after it has
// been seen. Neutron sends the rest of a list as a link, of
// which the query alone is used: its host is how Neutron sees itself, behind a
// proxy often wrongly so, and not to be followed blindly in any case.
func pages[W any](ctx context.Context, api *gophercloud.ServiceClient, collection, query string, see func([]W) error) error {
	base := api.ServiceURL(collection)
	collection = strings.ReplaceAll(path.Base(collection), "-", "_") // as bodies name it
	for range maxPages {
		page, err := onePage(ctx, api, base+query)
		if err != nil {
			return err
		}
		var items []W
		if err := json.Unmarshal(page[collection], &items); err != nil || page[collection] == nil {
			return nonsense("it is not a list of %s", collection)
		}
		if err := see(items); err != nil {
			return err
		}
		next, err := nextQuery(page[collection+"_links"])
		if err != nil {
			return err
		}
		if next == "" || len(items) == 0 {
			return nil
		}
		if next == query {
			return nonsense("the list of %s has no end", collection)
		}
		query = next
	}
	return nonsense("the list of %s has no end", collection)
}

// errEnough ends a list of which no more is wanted.
var errEnough = errors.New("the rest of the list is not wanted")

// first reads the first page of a collection, and nothing of the others.
func first[W any](ctx context.Context, api *gophercloud.ServiceClient, collection, query string) (items []W, err error) {
	err = pages(ctx, api, collection, query, func(page []W) error {
		items = page
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return items, err
}

// raceTries is how often a list is asked for that Neutron fails to make.
const raceTries = 3

// onePage reads one page. A Neutron that reads its database while somebody
// deletes what is on the page answers 404 (NetworkNotFound): to a caller that
// would mean that nothing is left of what it looks for. It is asked again, and
// then it is an answer that makes no sense.
func onePage(ctx context.Context, api *gophercloud.ServiceClient, address string) (page map[string]json.RawMessage, err error) {
	for range raceTries {
		if _, err = api.Get(ctx, address, &page, nil); !lostRace(err) {
			return page, err
		}
	}
	return nil, nonsense("it lists what is gone: %v", err)
}

// lostRace reports whether a list failed for something on it. No list that
// is read here lies within a network, a subnet or a port.
func lostRace(err error) bool {
	var refused gophercloud.ErrUnexpectedResponseCode
	return errors.As(err, &refused) && refused.Actual == http.StatusNotFound &&
		slices.Contains([]string{"NetworkNotFound", "SubnetNotFound", "PortNotFound"}, readAnswer(refused).kind)
}

func nextQuery(links json.RawMessage) (string, error) {
	if links == nil {
		return "", nil
	}
	var all []gophercloud.Link
	if err := json.Unmarshal(links, &all); err != nil {
		return "", nonsense("its links cannot be read")
	}
	for _, l := range all {
		if l.Rel != "next" {
			continue
		}
		u, err := url.Parse(l.Href)
		if err != nil || u.RawQuery == "" {
			return "", nonsense("its link to the next page cannot be read")
		}
		return "?" + u.RawQuery, nil
	}
	return "", nil
}

// read turns what Neutron listed into the courier's values.
func read[W any, T any](items []W, parse func(W) (T, error)) ([]T, error) {
	all := make([]T, 0, len(items))
	for _, w := range items {
		v, err := parse(w)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
