package internal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fuzzed names, for each file that decodes what comes from outside, the fuzz
// target that tries it, in the same package or in one of the same room.
var fuzzed = map[string]string{
	"binding/ruleset.go":         "FuzzParseRule",
	"config/ini.go":              "FuzzParseINI",
	"config/load.go":             "FuzzLoad",
	"config/substitute.go":       "FuzzExpand",
	"docker/options.go":          "FuzzServe",
	"docker/scan.go":             "FuzzServe",
	"docker/serve.go":            "FuzzServe",
	"embedded/api/attr.go":       "FuzzAPI",
	"embedded/faults/parse.go":   "FuzzParse",
	"embedded/identity/auth.go":  "FuzzAuthentication",
	"embedded/identity/users.go": "FuzzParseUsers",
	"embedded/store/export.go":   "FuzzImport",
	"embedded/store/open.go":     "FuzzImport", // rows, wherever they come from
	"embedded/store/table.go":    "FuzzImport",
	"journal/file.go":            "FuzzRecover",
	"journal/frame.go":           "FuzzRecover",
	"journal/salvage.go":         "FuzzSalvage",
	"neutron/cloudsyaml.go":      "FuzzClouds",
	"neutron/errors.go":          "FuzzAnswers",
	"neutron/list.go":            "FuzzAnswers",
	"neutron/ports.go":           "FuzzAnswers",
	"neutron/subnetpools.go":     "FuzzAnswers",
	"ovsdb/session.go":           "FuzzMessages",
}

// trusted names the files that decode what is our own, and why it is.
var trusted = map[string]string{
	"cli/drain.go":                "the answers of our own daemon, on a socket that only root may make",
	"cli/reconcile.go":            "the answers of our own daemon, on a socket that only root may make",
	"cli/show.go":                 "the answers of our own daemon, on a socket that only root may make",
	"cli/trace.go":                "the answers of our own daemon, on a socket that only root may make",
	"courier/identity.go":         "records of the journal, whose frames have a sum",
	"courier/lost.go":             "records of the journal, whose frames have a sum",
	"courier/recover.go":          "records of the journal, whose frames have a sum",
	"embedded/dataplane/found.go": "elements of our own tables' sets, from the kernel",
	"link/request.go":             "the kernel's answers to our own requests",
	"link/deleter.go":             "the kernel's answers to our own requests",
}

// decoding is a call that decodes, by the libraries' names of it. Decoders that
// need no library are in fuzzed all the same.
var decoding = regexp.MustCompile(`\b((json|xml|yaml|gob)\.(Unmarshal|NewDecoder)|csv\.NewReader|pem\.Decode|` +
	`binary\.(Read|Decode)|binary\.(Big|Little|Native)Endian\.Uint(16|32|64))\(`)

// TestDecodersAreFuzzed finds the decoders in the sources, so that none is
// forgotten: each has a fuzz target, which `make test` tries for a while.
func TestDecodersAreFuzzed(t *testing.T) {
	targets := map[string]bool{} // by room and name
	function := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	eachSource(t, func(path string, source []byte) {
		for _, found := range function.FindAllSubmatch(source, -1) {
			if strings.HasSuffix(path, "_test.go") {
				targets[roomOf(path)+" "+string(found[1])] = true
			}
		}
	})
	eachSource(t, func(path string, source []byte) {
		switch want := fuzzed[path]; {
		case strings.HasSuffix(path, "_test.go"), strings.HasPrefix(path, "testkit/"), strings.HasPrefix(path, "neutron/neutrontest/"), trusted[path] != "":
		case want == "" && decoding.Match(source):
			t.Errorf("%s decodes something: %s…); name its fuzz target in this test", path, decoding.Find(source))
		case want != "" && !targets[roomOf(path)+" "+want]:
			t.Errorf("%s has no fuzz target %s", path, want)
		}
	})
}

func roomOf(path string) string {
	room, _, _ := strings.Cut(path, "/")
	return room
}

// eachSource calls f with each Go file under internal/.
func eachSource(t *testing.T, f func(path string, source []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err == nil {
			f(filepath.ToSlash(path), source)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
