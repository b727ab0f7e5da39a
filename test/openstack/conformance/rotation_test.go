package conformance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
	"kuryr/test/openstack/cloud"
)

// noticed is how long Neutron may go on with a token that was revoked: its
// middleware asks Keystone again after token_cache_time, which is 300 s unless
// neutron.conf says otherwise. The lab's says 10.
const noticed = 6 * time.Minute

// TestRevocation revokes Kuryr's token in the middle of work. No call fails.
func TestRevocation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.account(t, "", "admin")
	w := b.newWorker(t, func() neutron.Cloud { return settings(a) })
	// Keystone revokes the tokens of a user who is disabled.
	b.changeUser(t, a, cloud.Resource{"enabled": false})
	b.changeUser(t, a, cloud.Resource{"enabled": true})
	w.until(t, "another token", func() bool { return w.tokens.Load() > 1 })
}

// TestRotation changes the password, and writes it down in clouds.yaml. A
// Kuryr that is told so takes it at once, another one when Neutron refuses its
// token. No call of either fails.
func TestRotation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.account(t, "", "admin")
	path := filepath.Join(t.TempDir(), "clouds.yaml")
	write := func() {
		t.Helper()
		text := fmt.Sprintf("clouds:\n  mine:\n    region_name: %s\n    auth: {auth_url: %q, username: %s, password: %s, project_name: %s}\n",
			cloud.Region, cloud.AuthURL, a.User, a.Password, a.Project)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write()
	mine := func() neutron.Cloud { return neutron.Cloud{Name: "mine", File: path} }
	told, left := b.newWorker(t, mine), b.newWorker(t, mine)
	a.Password += "-new"
	b.changeUser(t, a, cloud.Resource{"password": a.Password})
	write()
	time.Sleep(time.Second) // what Keystone revokes is by the second, new tokens too
	if err := told.kuryr.Renew(t.Context()); err != nil {
		t.Error(err)
	}
	told.work(t)
	left.until(t, "a token with the new password", func() bool { return left.tokens.Load() > 1 })
	told.work(t)
	if n := told.tokens.Load(); n != 2 {
		t.Errorf("%d tokens, want the first and the one that it was told to get", n)
	}
}

// worker is a Kuryr at work. It counts the tokens that it gets.
type worker struct {
	kuryr  *neutron.Client
	tokens atomic.Int32
	next   http.RoundTripper
}

func (b *bench) newWorker(t *testing.T, c func() neutron.Cloud) *worker {
	t.Helper()
	w := &worker{next: &http.Transport{DialContext: b.Machine(cloud.Controller).Dial}}
	w.kuryr = b.open(t, neutron.Options{Transport: w, Cloud: func() (neutron.Cloud, error) { return c(), nil }})
	w.work(t)
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *worker) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil && resp.Header.Get("X-Subject-Token") != "" {
		w.tokens.Add(1)
	}
	return resp, err
}

// work makes a network and removes it.
func (w *worker) work(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	n, err := w.kuryr.CreateNetwork(ctx, courier.NetworkSpec{Name: "conformance", Mark: courier.Mark{Host: "conformance", Intent: uuid.NewString()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.kuryr.DeleteNetwork(ctx, n.ID, courier.AnyRevision); err != nil {
		t.Fatal(err)
	}
}

// until works on until something has happened.
func (w *worker) until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	calls := 0
	for began := time.Now(); ; calls++ {
		w.work(t)
		if happened() {
			t.Logf("%s after %.1f s, %d networks later", what, time.Since(began).Seconds(), calls)
			return
		}
		if time.Since(began) > noticed {
			t.Fatalf("%s: not within %s", what, noticed)
		}
		time.Sleep(time.Second)
	}
}

// changeUser changes what Keystone knows of an account's user.
func (b *bench) changeUser(t *testing.T, a cloud.Account, attributes cloud.Resource) {
	t.Helper()
	found, err := b.admin.List(t.Context(), cloud.AuthURL, "user", url.Values{"name": {a.User}})
	if err != nil || len(found) != 1 {
		t.Fatalf("the user %s: %v, %v", a.User, found, err)
	}
	err = b.admin.Call(t.Context(), http.MethodPatch, fmt.Sprint(cloud.AuthURL, "/users/", found[0]["id"]), map[string]cloud.Resource{"user": attributes}, nil)
	if err != nil {
		t.Fatal(err)
	}
}
