package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"kuryr/test/openstack/cloud"
)

// neutronAccount is the service user of Neutron itself.
var neutronAccount = cloud.Account{User: "neutron", Password: neutronPassword, Project: "service", Roles: []string{"admin", "service"}}

// accounts makes users, projects and the catalog, and writes clouds.yaml.
func (l *lab) accounts(ctx context.Context) error {
	return l.once("accounts", func() error {
		admin, err := l.Client(ctx, cloud.Admin)
		if err != nil {
			return err
		}
		for _, a := range []cloud.Account{neutronAccount, cloud.Kuryr, cloud.Member, cloud.Demo} {
			if err := admin.EnsureAccount(ctx, a); err != nil {
				return fmt.Errorf("user %s: %w", a.User, err)
			}
		}
		if err := makeCatalog(ctx, admin); err != nil {
			return err
		}
		credential, err := l.makeCredential(ctx)
		if err != nil {
			return err
		}
		return os.WriteFile(l.Clouds(), []byte(l.clouds(credential)), 0o600)
	})
}

// makeCatalog tells where the services are: in one region without TLS, in
// another with it.
func makeCatalog(ctx context.Context, admin *cloud.Client) error {
	err := admin.Call(ctx, http.MethodPut, cloud.AuthURL+"/regions/"+cloud.SecureRegion,
		cloud.Resource{"region": cloud.Resource{}}, nil)
	if status := new(cloud.StatusError); errors.As(err, &status) && status.Code == http.StatusConflict {
		err = nil // it is there
	}
	if err != nil {
		return err
	}
	for _, s := range []struct{ kind, name, url, secure string }{
		{"identity", "keystone", cloud.AuthURL, cloud.SecureAuthURL},
		{"network", "neutron", cloud.NetworkURL, cloud.SecureNetworkURL},
	} {
		service, err := admin.Ensure(ctx, cloud.AuthURL, "service", s.name, cloud.Resource{"type": s.kind})
		if err != nil {
			return err
		}
		for region, place := range map[string]string{cloud.Region: s.url, cloud.SecureRegion: s.secure} {
			if err := makeEndpoints(ctx, admin, service["id"].(string), region, place); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeEndpoints(ctx context.Context, admin *cloud.Client, service, region, place string) error {
	for _, i := range []string{"public", "internal", "admin"} {
		found, err := admin.List(ctx, cloud.AuthURL, "endpoint", url.Values{"service_id": {service}, "region_id": {region}, "interface": {i}})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			continue
		}
		if _, err := admin.Create(ctx, cloud.AuthURL, "endpoint", cloud.Resource{
			"service_id": service, "region_id": region, "interface": i, "url": place}); err != nil {
			return err
		}
	}
	return nil
}

const credentialSecret = "kuryr-app-test"

// makeCredential makes an application credential of the user Kuryr and returns
// its ID.
func (l *lab) makeCredential(ctx context.Context) (string, error) {
	kuryr, err := l.Client(ctx, cloud.Kuryr)
	if err != nil {
		return "", err
	}
	made, err := kuryr.Ensure(ctx, cloud.AuthURL+"/users/"+kuryr.UserID(), "application_credential", cloud.KuryrApp,
		cloud.Resource{"secret": credentialSecret})
	if err != nil {
		return "", err
	}
	return made["id"].(string), nil
}

// clouds is the text of clouds.yaml.
func (l *lab) clouds(credential string) string {
	var b strings.Builder
	b.WriteString("clouds:\n")
	entry := func(name, region, auth string, more ...string) {
		fmt.Fprintf(&b, "  %s:\n    region_name: %s\n    identity_api_version: 3\n", name, region)
		for _, line := range more {
			fmt.Fprintf(&b, "    %s\n", line)
		}
		fmt.Fprintf(&b, "    auth:\n%s", auth)
	}
	password := func(place string, a cloud.Account) string {
		return fmt.Sprintf("      auth_url: %s\n      username: %s\n      password: %s\n      project_name: %s\n      user_domain_id: default\n      project_domain_id: default\n",
			place, a.User, a.Password, a.Project)
	}
	for _, a := range []cloud.Account{cloud.Admin, cloud.Kuryr, cloud.Member, cloud.Demo} {
		entry(a.User, cloud.Region, password(cloud.AuthURL, a))
	}
	entry(cloud.KuryrApp, cloud.Region, fmt.Sprintf("      auth_url: %s\n      application_credential_id: %s\n      application_credential_secret: %s\n",
		cloud.AuthURL, credential, credentialSecret), "auth_type: v3applicationcredential")
	entry(cloud.KuryrTLS, cloud.SecureRegion, password(cloud.SecureAuthURL, cloud.Kuryr), "cacert: "+l.CA())
	return b.String()
}
