package neutron

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// mandatory are the extensions that Kuryr can't do without.
var mandatory = []string{
	"binding",                   // ports are plugged on a host
	"standard-attr-description", // marks are kept in it
	"standard-attr-tag",         // adopted pools are tagged
	"subnet_allocation",         // subnetpools
}

// opUse is what Check does.
const opUse = "use Neutron"

// gate keeps requests back until Check has succeeded once: each is answered
// at once with why Neutron is not ready, since whoever waits for it has no
// use for a time-out.
type gate struct {
	next http.RoundTripper

	mu   sync.Mutex // guards what follows
	open bool
	why  error
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	g.mu.Lock()
	open, why := g.open, g.why
	g.mu.Unlock()
	if open {
		return g.next.RoundTrip(req)
	}
	closeBody(req)
	return nil, notReady(why)
}

func notReady(why error) error {
	e := &courier.Error{Kind: courier.Unavailable, Op: "reach", Subject: "not ready yet", Public: "Neutron was not reached so far",
		Hint: "kuryr status shows when it is", Err: courier.ErrAway}
	var cause *courier.Error
	if errors.As(why, &cause) {
		e.Err = fmt.Errorf("%w: %w", courier.ErrAway, why)
		e.Public, e.Hint = cause.Public, cause.Hint
		if cause.Op != opUse {
			e.Public = cause.Subject + ": " + cause.Public
		}
	}
	return e
}

// set notes what Check found.
func (g *gate) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open, g.why = g.open || err == nil, err
}

// Check authenticates and sees that Neutron is there and can do what Kuryr
// needs of it. Until it has succeeded once, no other method reaches the cloud.
// An error of kind Unavailable may go away by itself; any other wants
// an operator. Without a cloud it does nothing. host is where ports are to be bound.
func (c *Client) Check(ctx context.Context, host string) error {
	if c.session == nil {
		return nil
	}
	err := c.check(ctx, host)
	c.gate.set(err)
	return err
}

// Renew reads the settings again and authenticates with them. With an error
// what was in force stays so.
func (c *Client) Renew(ctx context.Context) error {
	if c.session == nil {
		return nil
	}
	_, err := c.session.again(ctx)
	return err
}

func (c *Client) check(ctx context.Context, host string) error {
	g, err := c.session.current(ctx)
	if err != nil {
		return err
	}
	if err := c.checkExtensions(ctx); err != nil {
		return err
	}
	return c.checkBinding(ctx, g, host)
}

func (c *Client) refuse(kind courier.Kind, public, hint string, err error) error {
	return &courier.Error{Kind: kind, Op: opUse, Subject: c.at(), Public: public, Hint: hint, Err: err}
}

func (c *Client) checkExtensions(ctx context.Context) error {
	var body struct {
		Extensions []struct{ Alias string }
	}
	_, err := c.checking.Get(ctx, c.checking.ServiceURL("extensions"), &body, nil)
	var refused gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &refused) && notNeutron(refused):
		return c.refuse(courier.Invalid, fmt.Sprintf("it answers %d %s, not as Neutron does", refused.Actual, http.StatusText(refused.Actual)),
			"see the network service in Keystone's catalog, or set endpoint_override to Neutron's URL", readAnswer(refused))
	case err != nil && !errors.As(err, &refused) && !connectionLost(err) && ctx.Err() == nil, err == nil && len(body.Extensions) == 0:
		return c.refuse(courier.Invalid, "it does not answer as Neutron does",
			"see the network service in Keystone's catalog, or set endpoint_override to Neutron's URL", nil)
	case err != nil:
		return c.fail(err, opUse, c.at())
	}
	var missing []string
	for _, alias := range mandatory {
		if !slices.ContainsFunc(body.Extensions, func(e struct{ Alias string }) bool { return e.Alias == alias }) {
			missing = append(missing, alias)
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return c.refuse(courier.Unsupported, "it lacks the extension "+missing[0], "enable it in neutron.conf: Kuryr can't do without", nil)
	}
	return c.refuse(courier.Unsupported, "it lacks the extensions "+strings.Join(missing, ", "), "enable them in neutron.conf: Kuryr can't do without", nil)
}

// notNeutron reports whether something else answered: a web page, a
// redirection, or a 404 for what every Neutron has.
func notNeutron(refused gophercloud.ErrUnexpectedResponseCode) bool {
	s := refused.Actual
	return s < 400 || s == http.StatusNotFound || s == http.StatusMethodNotAllowed ||
		s == http.StatusBadRequest && readAnswer(refused).kind == ""
}

// checkBinding sees whether ports may be bound to a host, by a request that is
// turned away in any case: it wants an address of a subnet that does not
// exist. Neutron looks at its policy first, but at the network before that, so
// it must be one of the project's. Where there is none yet, only the roles tell.
func (c *Client) checkBinding(ctx context.Context, g *grant, host string) error {
	if g.project == "" {
		return nil
	}
	query := url.Values{"project_id": {g.project}, "limit": {"1"}, "fields": {"id"}}
	found, err := first[struct{ ID string }](ctx, c.checking, "networks", "?"+query.Encode())
	if err != nil {
		return c.fail(err, opUse, c.at())
	}
	if len(found) == 0 {
		if !slices.Contains(g.roles, "admin") && !slices.Contains(g.roles, "service") {
			c.session.log.Warn("Kuryr may lack the role that binding ports to a host needs", "roles", g.roles, "hint", hintRole)
		}
		return nil
	}
	nowhere := uuid.NewString()
	body := map[string]any{"port": map[string]any{
		"network_id": found[0].ID, "binding:host_id": host, "fixed_ips": []any{map[string]any{"subnet_id": nowhere}}}}
	_, err = c.checking.Post(ctx, c.checking.ServiceURL("ports"), body, nil, nil)
	var refused gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &refused) && refused.Actual == http.StatusForbidden:
		a := readAnswer(refused)
		return c.refuse(courier.Unauthorized, "Kuryr's user may not bind ports to a host (its roles: "+listed(g.roles)+")", hintRole, a)
	case errors.As(err, &refused) && refused.Actual < 500 && refused.Actual != http.StatusTooManyRequests:
		return nil // the subnet, or the quota: the policy was passed
	case err != nil:
		return c.fail(err, opUse, c.at())
	}
	return nil
}
