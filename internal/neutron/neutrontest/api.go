package neutrontest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Caller is in whose name a request is made.
type Caller string

// The callers.
const (
	Admin  Caller = "admin"  // an administrator, in Project
	Member Caller = "member" // a member of Project
	Other  Caller = "other"  // a member of OtherProject
)

// APIOptions say how the API suite reaches a server, and what is that
// server's own.
type APIOptions struct {
	// URL of the server, without a path, as its answers name it. Required.
	URL string
	// Transport carries the requests. nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout of each request. 0: a minute.
	Timeout time.Duration
	// Sign makes a request one of a caller's: it sets a token, or, for a
	// server that trusts whoever reaches it, X-Project-Id and X-Roles. Required.
	Sign func(r *http.Request, as Caller) error
	// Project and OtherProject are the IDs of two projects. The suite fills
	// the second one's quota. Required.
	Project, OtherProject string
	// Host is one on which the server can bind ports. Required.
	Host string
	// VIFType is what a port on Host gets. "": bridge.
	VIFType string
	// Driver is the mechanism driver that binds it. "": linuxbridge.
	Driver string
	// Plug plugs a port on Host and returns when the server must know of it.
	// nil: no port of the suite becomes ACTIVE, and what shows one is left out.
	Plug func(t *testing.T, port string)
	// NetworkType and MTU are those of a network that asks for none. "" and 0: local, 1450.
	NetworkType string
	MTU         int
	// Quotas are those of a project for which nobody has set any. nil: the recording's.
	Quotas map[string]float64
	// DNSDomain ends the names of ports. "": openstacklocal.
	DNSDomain string
	// Crowded says that the server has more than what the suite makes: what
	// lists everything is compared by its form only.
	Crowded bool
	// Lacks names extensions that the server does not have, by alias, and says
	// why. What is theirs is left out.
	Lacks map[string]string
	// Differs names attributes whose values, or presence, differ from a
	// Neutron 21 with Linux bridges, and says why.
	Differs map[string]string
	// LeftOut names captures that make no sense on the server, and says why.
	LeftOut map[string]string
}

func (o *APIOptions) complete(t *testing.T) {
	t.Helper()
	if o.URL == "" || o.Sign == nil || o.Project == "" || o.OtherProject == "" || o.Host == "" {
		t.Fatal("neutrontest: the API suite needs a URL, a Sign, two projects and a host")
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	def(&o.Timeout, time.Minute)
	def(&o.VIFType, "bridge")
	def(&o.Driver, "linuxbridge")
	def(&o.NetworkType, "local")
	def(&o.MTU, 1450)
	def(&o.DNSDomain, "openstacklocal.")
}

// def sets what was left out.
func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// RunAPI holds a server against the answers of a real Neutron 21: first a
// recorded session, request by request, then what no recording shows and
// Neutron's code says. It speaks plain HTTP, and removes what it has made,
// whether it fails or not.
func RunAPI(t *testing.T, o APIOptions) {
	o.complete(t)
	for _, tt := range []struct {
		name string
		test func(*apiSuite)
	}{
		{"recorded session", (*apiSuite).recorded},
		{"extensions", (*apiSuite).extensions},
		{"refusals", (*apiSuite).refusals},
		{"refused rules", (*apiSuite).refusedRules},
		{"revisions", (*apiSuite).revisions},
		{"filters", (*apiSuite).filters},
		{"fields", (*apiSuite).fields},
		{"sorting", (*apiSuite).sorting},
		{"pages", (*apiSuite).pages},
		{"bulk all or nothing", (*apiSuite).bulkRequests},
		{"projects", (*apiSuite).projects},
		{"network of another project", (*apiSuite).foreign},
		{"port values", (*apiSuite).portValues},
		{"rule values", (*apiSuite).ruleValues},
		{"subnetpools", (*apiSuite).pools},
		{"address scopes", (*apiSuite).scopes},
		{"IP availability", (*apiSuite).availability},
		{"default group", (*apiSuite).defaultGroup},
		{"quotas", (*apiSuite).quotas},
		{"QoS", (*apiSuite).qos},
		{"address groups", (*apiSuite).addressGroups},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &apiSuite{T: t, o: o, http: &http.Client{Transport: o.Transport, Timeout: o.Timeout}}
			t.Cleanup(s.cleanUp)
			tt.test(s)
		})
	}
}
