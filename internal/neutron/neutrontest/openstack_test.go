//go:build openstack

package neutrontest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"

	"kuryr/internal/neutron/neutrontest"
)

// TestOpenStack runs the API suite on a real Neutron with a Keystone. The
// environment says where: OS_AUTH_URL; for each caller KURYR_TEST_ADMIN,
// KURYR_TEST_MEMBER and KURYR_TEST_OTHER as USER:PASSWORD:PROJECT, all in the
// domain "default"; KURYR_TEST_NEUTRON (its URL), KURYR_TEST_HOST, and, where
// they are not those of Linux bridges and VXLAN, KURYR_TEST_VIF_TYPE,
// KURYR_TEST_NETWORK_TYPE, KURYR_TEST_MTU and KURYR_TEST_DNS_DOMAIN;
// KURYR_TEST_CROWDED=1 where others have networks there.
func TestOpenStack(t *testing.T) {
	k := &keystone{url: need(t, "OS_AUTH_URL"), tokens: map[neutrontest.Caller]string{}}
	o := neutrontest.APIOptions{
		URL: need(t, "KURYR_TEST_NEUTRON"), Host: need(t, "KURYR_TEST_HOST"), Sign: k.sign,
		VIFType: os.Getenv("KURYR_TEST_VIF_TYPE"), NetworkType: os.Getenv("KURYR_TEST_NETWORK_TYPE"),
		DNSDomain: os.Getenv("KURYR_TEST_DNS_DOMAIN"), Crowded: os.Getenv("KURYR_TEST_CROWDED") != "",
	}
	if o.NetworkType == "" {
		o.NetworkType = "vxlan"
	}
	if mtu := os.Getenv("KURYR_TEST_MTU"); mtu != "" {
		var err error
		if o.MTU, err = strconv.Atoi(mtu); err != nil {
			t.Fatalf("KURYR_TEST_MTU: %v", err)
		}
	}
	o.Project = k.login(t, neutrontest.Admin, need(t, "KURYR_TEST_ADMIN"))
	if p := k.login(t, neutrontest.Member, need(t, "KURYR_TEST_MEMBER")); p != o.Project {
		t.Fatalf("KURYR_TEST_MEMBER is in project %s, KURYR_TEST_ADMIN in %s", p, o.Project)
	}
	o.OtherProject = k.login(t, neutrontest.Other, need(t, "KURYR_TEST_OTHER"))
	neutrontest.RunAPI(t, o)
}

func need(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set", name)
	}
	return v
}

// keystone gives each caller a token.
type keystone struct {
	url    string
	tokens map[neutrontest.Caller]string
}

func (k *keystone) sign(r *http.Request, as neutrontest.Caller) error {
	r.Header.Set("X-Auth-Token", k.tokens[as])
	return nil
}

// login gets a token and returns the project's ID.
func (k *keystone) login(t *testing.T, as neutrontest.Caller, who string) string {
	t.Helper()
	parts := bytes.Split([]byte(who), []byte(":"))
	if len(parts) != 3 {
		t.Fatalf("the %s is not given as USER:PASSWORD:PROJECT", as)
	}
	domain := map[string]any{"id": "default"}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{"methods": []string{"password"}, "password": map[string]any{
			"user": map[string]any{"name": string(parts[0]), "password": string(parts[1]), "domain": domain},
		}},
		"scope": map[string]any{"project": map[string]any{"name": string(parts[2]), "domain": domain}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(k.url+"/auth/tokens", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("no token for the %s: %s %v", as, resp.Status, err)
	}
	var answer struct {
		Token struct{ Project struct{ ID string } }
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatal(fmt.Errorf("the token of the %s: %w", as, err))
	}
	k.tokens[as] = resp.Header.Get("X-Subject-Token")
	return answer.Token.Project.ID
}
