package cloud

import (
	"os"
	"testing"
)

// NeedLab returns the lab that tests are to use, and a client of it as an
// account. It skips a test where no lab is meant to be up.
func NeedLab(t testing.TB, a Account) (*Lab, *Client) {
	t.Helper()
	dir := os.Getenv(Variable)
	if dir == "" {
		t.Skip("needs the OpenStack lab: make test-openstack, or make openstack-up and " + Variable + "=" + DefaultDir)
	}
	lab, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	api, err := lab.Client(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return lab, api
}
