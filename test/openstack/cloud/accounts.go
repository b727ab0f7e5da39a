package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// EnsureAccount makes the user and the project of an account, and gives it its
// roles, as far as they are not there. The client is an administrator's.
func (c *Client) EnsureAccount(ctx context.Context, a Account) error {
	project, err := c.Ensure(ctx, AuthURL, "project", a.Project, Resource{"domain_id": "default"})
	if err != nil {
		return err
	}
	user, err := c.Ensure(ctx, AuthURL, "user", a.User, Resource{
		"domain_id": "default", "password": a.Password, "default_project_id": project["id"]})
	if err != nil {
		return err
	}
	for _, name := range a.Roles {
		role, err := c.Ensure(ctx, AuthURL, "role", name, Resource{})
		if err != nil {
			return err
		}
		grant := fmt.Sprintf("%s/projects/%s/users/%s/roles/%s", AuthURL, project["id"], user["id"], role["id"])
		if err := c.Call(ctx, http.MethodPut, grant, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// RemoveAccount removes the user and the project of an account, and the
// security group that Neutron has given the project. Whoever uses it has
// removed what else is the project's.
func (c *Client) RemoveAccount(ctx context.Context, a Account) error {
	users, err := c.List(ctx, AuthURL, "user", url.Values{"name": {a.User}})
	projects, err2 := c.List(ctx, AuthURL, "project", url.Values{"name": {a.Project}})
	all := []error{err, err2}
	for _, u := range users {
		all = append(all, c.Delete(ctx, AuthURL, "user", u["id"].(string)))
	}
	for _, p := range projects {
		all = append(all, c.Delete(ctx, AuthURL, "project", p["id"].(string)))
		groups, err := c.List(ctx, NeutronAPI, "security_group", url.Values{"project_id": {p["id"].(string)}})
		all = append(all, err)
		for _, g := range groups {
			all = append(all, c.Delete(ctx, NeutronAPI, "security_group", g["id"].(string)))
		}
	}
	return errors.Join(all...)
}
