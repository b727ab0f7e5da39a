// Package internal_test holds the rules of the layout: which room may import
// which, that each says what it is, and that files stay readable.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type pkg struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "kuryr/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// room returns which room of internal/ an import path lies in, "" if none.
func room(path string) string {
	rest, ok := strings.CutPrefix(path, "kuryr/internal/")
	if !ok {
		return ""
	}
	if strings.HasPrefix(rest, "embedded/dataplane") {
		return "embedded/dataplane"
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// allowed lists, for each room, the rooms that it may import directly.
var allowed = map[string]struct {
	rooms []string
	why   string
}{
	"courier":            {nil, "the domain knows no protocol and no kernel: what it needs it declares"},
	"crash":              {nil, "names of points are a leaf: who has effects outside names them; the domain has none of its own"},
	"observe":            {nil, "key names are a leaf"},
	"config":             {[]string{"observe"}, "settings are read by daemon and cli, which hand each room its own Options"},
	"docker":             {[]string{"courier", "observe"}, "a north room meets the south only through the courier"},
	"journal":            {[]string{"courier", "crash", "observe"}, "a south room serves the courier and knows no other"},
	"neutron":            {[]string{"courier", "crash", "observe"}, "a south room serves the courier and knows no other"},
	"link":               {[]string{"courier", "crash", "observe"}, "a south room serves the courier and knows no other"},
	"ovsdb":              {[]string{"courier", "crash", "observe"}, "a south room serves the courier and knows no other"},
	"binding":            {[]string{"courier", "crash", "observe", "link", "ovsdb"}, "among the south rooms only binding builds on link and ovsdb"},
	"embedded":           {[]string{"embedded", "embedded/dataplane", "link", "crash", "observe"}, "the embedded Neutron is a server of its own: nothing of Kuryr's but its kernel links"},
	"embedded/dataplane": {[]string{"link", "crash", "observe"}, "the data plane is made of links"},
	"daemon":             {[]string{"courier", "crash", "observe", "config", "docker", "journal", "neutron", "link", "ovsdb", "binding", "embedded"}, ""},
	"cli":                {[]string{"courier", "observe", "config", "daemon"}, "commands talk to the daemon"},
	"testkit":            {[]string{"testkit", "courier", "crash", "daemon", "embedded", "neutron"}, "tests may look at everything that has a face"},
}

// only lists libraries that a single room may import.
var only = map[string]string{
	"github.com/gophercloud/gophercloud":  "neutron",
	"github.com/vishvananda/netlink":      "link",
	"github.com/ovn-kubernetes/libovsdb":  "ovsdb",
	"go.etcd.io/bbolt":                    "embedded",
	"github.com/spf13/cobra":              "cli",
	"github.com/coreos/go-systemd":        "daemon",
	"k8s.io/":                             "kube",
	"github.com/containernetworking/cni/": "cni",
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		if from == "" {
			continue
		}
		rule, known := allowed[from]
		if !known {
			t.Errorf("%s: a new room; say in this test what it may import, and why", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			if to := room(imp); to != "" && to != from && !slices.Contains(rule.rooms, to) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, rule.why)
			}
			if from == "courier" && strings.Contains(imp, ".") {
				t.Errorf("%s imports %s: the domain imports the standard library only", p.ImportPath, imp)
			}
			for lib, owner := range only {
				if strings.HasPrefix(imp, lib) && from != owner && from != "testkit" {
					t.Errorf("%s imports %s: only internal/%s may", p.ImportPath, imp, owner)
				}
			}
		}
	}
}

// TestCourierIsPure keeps the domain away from the parts of the standard
// library that reach outside.
func TestCourierIsPure(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if p.ImportPath == "kuryr/internal/courier" && slices.Contains([]string{"net/http", "os", "os/exec", "database/sql", "syscall"}, imp) {
				t.Errorf("courier imports %s: it reaches the world through its interfaces", imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	const longest = 500
	for _, p := range packages(t) {
		for _, f := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(b, []byte("\n")); n > longest {
				t.Errorf("%s/%s has %d lines, over %d: split it by concept", p.ImportPath, f, n, longest)
			}
		}
	}
}
