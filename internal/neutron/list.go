package neutron

import (
	"context"
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// maxPages bounds how many pages of a list are read; Neutron's own limit of a
// page is often 1,000.
const maxPages = 1000

// list reads all pages of a collection, which paths may put into another one
// (qos/policies). query is what gophercloud's ListOpts
// made: "" or "?" and more. Neutron sends the rest of a list as a link, of
// which the query alone is used: its host is how Neutron sees itself, behind a
// proxy often wrongly so, and not to be followed blindly in any case.
func list[W any](ctx context.Context, api *gophercloud.ServiceClient, collection, query string) ([]W, error) {
	var all []W
	base := api.ServiceURL(collection)
	collection = strings.ReplaceAll(path.Base(collection), "-", "_") // as bodies name it
	for range maxPages {
		var page map[string]json.RawMessage
		if _, err := api.Get(ctx, base+query, &page, nil); err != nil {
			return nil, err
		}
		var items []W
		if err := json.Unmarshal(page[collection], &items); err != nil || page[collection] == nil {
			return nil, nonsense("it is not a list of %s", collection)
		}
		all = append(all, items...)
		next, err := nextQuery(page[collection+"_links"])
		if err != nil {
			return nil, err
		}
		if next == "" || len(items) == 0 {
			return all, nil
		}
		if next == query {
			return nil, nonsense("the list of %s has no end", collection)
		}
		query = next
	}
	return nil, nonsense("the list of %s has no end", collection)
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
