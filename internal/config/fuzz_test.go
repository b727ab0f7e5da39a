package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/observe"
)

// FuzzLoad: whatever kuryr.conf holds, each fault is one line, without
// secrets, and what is loaded is the same when it is written out and loaded
// again.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("[DEFAULT]\nhost = node1\nneutron_listen = 127.0.0.1:9696\n[neutron]\nauth_type = none\nendpoint_override = http://10.0.0.1:9696\n"))
	f.Add([]byte("[DEFAULT]\ncapability_scope = global\nrequest_timeout = 5\nkuryr_uri = https://127.0.0.1:23750\nenable_ssl = yes\nbindir = $state_dir/x\n"))
	f.Add([]byte("[neutron]\nauth_url = http://u:hunter2@h/v3\nusername = a\npassword = hunter2\n"))
	f.Add([]byte("host = $host\n[DEFAULT]\nstate_dir = ${neutron.password}\n"))
	for _, o := range Options() {
		f.Add([]byte("[" + o.Section + "]\n" + o.Name + " = " + o.Default + "\n"))
	}
	dir := f.TempDir()
	load := func(t *testing.T, text []byte) (Config, Report, error) {
		s := sources(t, "", nil)
		s.File, s.FileGiven = filepath.Join(dir, "kuryr.conf"), true
		if err := os.WriteFile(s.File, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return Load(s)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, r, err := load(t, text)
		if err != nil {
			for _, e := range faultsOf(err) {
				var ours *Error
				if !errors.As(e, &ours) || strings.ContainsAny(e.Error(), "\n\r") || strings.Contains(e.Error(), "hunter2") {
					t.Errorf("%q: %T %q", text, e, e)
				}
			}
			return
		}
		if c.AuthSection != "" {
			return // a report does not tell what was in which section
		}
		again, _, err := load(t, written(r))
		if diff := cmp.Diff(c, again, shown); err != nil || diff != "" {
			t.Errorf("%q, written as %q: %v\n%s", text, written(r), err, diff)
		}
	})
}

// shown compares secrets as a report shows them.
var shown = cmp.Comparer(func(a, b observe.Secret) bool { return a.String() == b.String() })

// faultsOf takes an error of Load's apart.
func faultsOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// written is a report as a file, with what has no effect as it is set.
func written(r Report) []byte {
	known := map[string]bool{}
	for _, o := range Options() {
		known[key(o.Section, o.Name)] = true
	}
	var b strings.Builder
	for _, s := range r.Settings {
		if known[key(s.Section, s.Option)] {
			b.WriteString("[" + s.Section + "]\n" + s.Option + " = " + strings.ReplaceAll(s.Value, "$", "$$") + "\n")
		}
	}
	return []byte(b.String())
}
