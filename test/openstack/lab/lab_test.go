package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"kuryr/test/openstack/cloud"
)

func testLab(t *testing.T, m cloud.Mechanism) *lab {
	t.Helper()
	return &lab{&cloud.Lab{Dir: t.TempDir(), Mechanism: m, Hosts: []string{"h1", "h2"}}}
}

// TestPlans sees that each step's needs can be met: all are steps, and none
// waits for itself.
func TestPlans(t *testing.T) {
	for _, m := range cloud.Mechanisms {
		left := testLab(t, m).plan()
		done := map[string]bool{}
		for len(left) > 0 {
			i := slices.IndexFunc(left, func(s step) bool {
				return !slices.ContainsFunc(s.after, func(name string) bool { return !done[name] })
			})
			if i < 0 {
				t.Fatalf("%s: %q waits for what never comes: %q", m, left[0].name, left[0].after)
			}
			done[left[i].name] = true
			left = slices.Delete(left, i, i+1)
		}
	}
}

// TestConfigurationFiles renders each template.
func TestConfigurationFiles(t *testing.T) {
	files, err := confFiles.ReadDir("conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	for _, m := range cloud.Mechanisms {
		l := testLab(t, m)
		for _, f := range files {
			path, err := l.configureHost(f.Name(), "h2")
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if s := string(text); strings.Contains(s, "<no value>") || !strings.Contains(s, "=") {
				t.Errorf("%s for %s:\n%s", f.Name(), m, s)
			}
		}
	}
}

// TestNewLab refuses what can't be a lab.
func TestNewLab(t *testing.T) {
	bad := []struct {
		why, dir, mechanism string
		hosts               []string
	}{
		{"mechanism", "/var/lib/x", "calico", []string{"h1"}},
		{"two of a name", "/var/lib/x", "ovn", []string{"h1", "h1"}},
		{"the controller's name", "/var/lib/x", "ovn", []string{"controller"}},
		{"no name", "/var/lib/x", "ovn", []string{""}},
		{"a path", "/var/lib/x", "ovn", []string{"../h1"}},
		{"long directory", "/" + strings.Repeat("x", 60), "ovn", []string{"h1"}},
	}
	for _, b := range bad {
		if _, err := newLab(b.dir, cloud.Mechanism(b.mechanism), b.hosts); err == nil {
			t.Errorf("%s: accepted", b.why)
		}
	}
	if _, err := newLab("/var/lib/x", cloud.OVN, []string{"h1", "node-2"}); err != nil {
		t.Error(err)
	}
}

// TestDownSparesOthers refuses to remove a directory that is not a lab's.
func TestDownSparesOthers(t *testing.T) {
	l := testLab(t, cloud.OVN)
	precious := l.path("precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"down": func() error { return l.down(t.Context()) },
		"up":   func() error { return l.prepare(t.Context()) },
	} {
		if err := f(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}
