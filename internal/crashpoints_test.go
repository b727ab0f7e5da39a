package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kuryr/internal/crash"
)

// function is one of the source tree's, and what it says about crash points.
type function struct {
	room, name    string
	before, after []string // the effects, in the words of the source
	names         []string // constants of the package crash
	calls         []string // what it calls, by the last word
}

// functions reads all of internal/ but for tests and what only tests use.
func functions(t *testing.T) []function {
	t.Helper()
	var all []function
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "crash" || strings.HasPrefix(dir, "testkit") {
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok {
				all = append(all, readFunction(room("kuryr/internal/"+dir), f))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readFunction(room string, decl *ast.FuncDecl) function {
	f := function{room: room, name: decl.Name.Name}
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && id.Name == "crash" {
				f.names = append(f.names, n.Sel.Name)
			}
		case *ast.CallExpr:
			name := types.ExprString(n.Fun)
			switch name {
			case "crash.Before":
				f.before = append(f.before, types.ExprString(n.Args[0]))
			case "crash.After":
				f.after = append(f.after, types.ExprString(n.Args[0]))
			}
			f.calls = append(f.calls, name[strings.LastIndex(name, ".")+1:])
		}
		return true
	})
	return f
}

// effectConstants reads the constants of the package crash.
func effectConstants(t *testing.T) map[string]crash.Effect {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "crash/effects.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]crash.Effect{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all[v.Names[0].Name] = crash.Effect(text)
		}
		return true
	})
	return all
}

// The list has every effect, and each is in the code, in the room that its
// name tells, between a point before it and one after it.
func TestCrashPointsAreWhereTheySay(t *testing.T) {
	constants := effectConstants(t)
	if declared := slices.Sorted(maps.Values(constants)); !slices.Equal(declared, slices.Sorted(slices.Values(crash.Effects()))) {
		t.Errorf("the constants are %q, and Effects returns others", declared)
	}
	used := map[string]bool{}
	for _, f := range functions(t) {
		if !slices.Equal(slices.Sorted(slices.Values(f.before)), slices.Sorted(slices.Values(f.after))) {
			t.Errorf("%s.%s: points before %v and after %v", f.room, f.name, f.before, f.after)
		}
		for _, name := range f.names {
			e, known := constants[name]
			if !known {
				continue
			}
			used[name] = true
			if r, _, _ := strings.Cut(string(e), " "); !strings.HasPrefix(f.room, r) {
				t.Errorf("%s.%s has the effect %q of another room", f.room, f.name, e)
			}
		}
	}
	for name, e := range constants {
		// Neutron's client names its requests as it sends them; that each name
		// is declared, the suites in test/chaos see.
		if !used[name] && !strings.HasPrefix(string(e), "neutron ") {
			t.Errorf("the effect %s is nowhere in the code", name)
		}
	}
}

// effectful are the calls by which the south rooms change something outside.
var effectful = []string{
	"WriteFile", "Remove", "RemoveAll", "Rename", "Mkdir", "MkdirAll", "Chmod", "Chown", "WriteAt", "Truncate", "Sync",
	"Fallocate", "Fdatasync", "Bind", "Syscall", "Command", "CommandContext",
	"Execute", "ExecuteIter", "Sendto", "Flush", "LinkAdd", "LinkDel", "LinkSetHardwareAddr", "LinkSetMaster", "LinkSetUp", "LinkSetDown", "LinkSetName",
	"LinkSetMTU", "LinkSetAlias", "LinkSetNsFd", "AddrAdd", "AddrDel", "RouteAdd", "RouteDel", "ConntrackDeleteFilters", "transact",
}

// harmless are functions with such calls and no point, each with why.
var harmless = map[string]string{
	"journal.open":                         "removes a file that was never in place",
	"journal.cutTail":                      "puts the file's end back where it was",
	"journal.prune":                        "removes damaged files, of which nobody reads so many",
	"journal.lock":                         "notes its PID in a file that nobody reads but for a message",
	"link.links":                           "asks",
	"link.inGroup":                         "asks",
	"binding.ask":                          "asks",
	"binding.run":                          "runs what list and change ask for",
	"ovsdb.insertOver":                     "asks",
	"ovsdb.Ports":                          "asks",
	"ovsdb.find":                           "asks",
	"ovsdb.transact":                       "carries out what the others ask for",
	"embedded/dataplane.detect":            "sets what every start sets, and nobody unsets",
	"embedded/dataplane.tryBridgeTracking": "undoes what it does in the same transaction",
}

// Whoever adds a call with an effect has to name the effect.
func TestEffectsHaveCrashPoints(t *testing.T) {
	rooms := []string{"journal", "link", "binding", "ovsdb", "embedded/dataplane"}
	found := map[string]bool{}
	for _, f := range functions(t) {
		if !slices.Contains(rooms, f.room) {
			continue
		}
		for _, c := range f.calls {
			if !slices.Contains(effectful, c) || len(f.before) > 0 {
				continue
			}
			name := f.room + "." + f.name
			found[name] = true
			if harmless[name] == "" {
				t.Errorf("%s calls %s between no two crash points: name the effect in internal/crash, or say in this test why it is harmless", name, c)
			}
		}
	}
	for name := range harmless {
		if !found[name] {
			t.Errorf("%s has no effect that needs an excuse", name)
		}
	}
}
