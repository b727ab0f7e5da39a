package identity_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// TestGophercloud has a stock client find its way from an auth_url to Neutron.
func TestGophercloud(t *testing.T) {
	asked := ""
	server := httptest.NewServer(newService(t, nil).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("X-Project-Id") + " " + r.URL.Path
		w.Write([]byte(`{"networks": []}`))
	})))
	t.Cleanup(server.Close)
	ctx := context.Background()
	for _, authURL := range []string{server.URL, server.URL + "/", server.URL + "/v3", server.URL + "/v3/"} {
		o := gophercloud.AuthOptions{IdentityEndpoint: authURL, Username: "boss", Password: "secret", DomainName: "Default", TenantName: "one"}
		provider, err := openstack.AuthenticatedClient(ctx, o)
		if err != nil {
			t.Errorf("%s: %v", authURL, err)
			continue
		}
		network, err := openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
		if err != nil {
			t.Errorf("%s: %v", authURL, err)
			continue
		}
		asked = ""
		if _, err := network.Get(ctx, network.ServiceURL("networks"), &struct{}{}, nil); err != nil || asked != "one /v2.0/networks" {
			t.Errorf("%s: asked for %q, %v", authURL, asked, err)
		}
		o.Password = "wrong"
		if _, err := openstack.AuthenticatedClient(ctx, o); !gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
			t.Errorf("%s with a wrong password: %v", authURL, err)
		}
	}
}
