package binding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
	"kuryr/internal/link"
)

// legacyTables are the tables of iptables-legacy, for hosts whose dockerd still
// uses it. There is no protocol for single rules, only the exchange of whole
// tables under a lock file that the tools agree on, so the tool is run: for
// each new bridge, never for a link.
type legacyTables struct{ links *link.Links }

// legacyFamilies are the tools, and where the kernel tells which tables a
// namespace has: none before a tool of that kind has been used there.
var legacyFamilies = [...]struct{ tool, tables string }{
	{"iptables", "/proc/thread-self/net/ip_tables_names"},
	{"ip6tables", "/proc/thread-self/net/ip6_tables_names"},
}

// apply brings the chain of each family to what is wanted.
func (t legacyTables) apply(ctx context.Context, wanted map[string]bool, stale func(string) bool) error {
	var failed error
	for _, f := range legacyFamilies {
		failed = errors.Join(failed, t.applyOne(ctx, f.tool, f.tables, wanted, stale))
	}
	return failed
}

func (t legacyTables) applyOne(ctx context.Context, tool, tables string, wanted map[string]bool, stale func(string) bool) error {
	if !t.used(tables) {
		return nil
	}
	path, err := findTool(tool)
	if err != nil {
		return nil // then dockerd has none either
	}
	out, exists, err := t.list(ctx, path, dockerUser)
	if err != nil || !exists {
		return err
	}
	rules := parseListing(out)
	p := planFor(rules, wanted, stale)
	if len(rules) > 0 || len(p.insert) > 0 {
		judged, err := t.judged(ctx, path)
		if err != nil {
			return err
		}
		if judged {
			p = planFor(rules, nil, always)
		}
	}
	for _, old := range p.remove {
		bridge, _ := old.bridge()
		if err := t.change(ctx, path, "-D", bridge); err != nil {
			return err
		}
	}
	for _, bridge := range p.insert {
		if err := t.change(ctx, path, "-I", bridge); err != nil {
			return err
		}
	}
	return nil
}

// change inserts (-I) or deletes (-D) a bridge's rule.
func (t legacyTables) change(ctx context.Context, path, how, bridge string) error {
	crash.Before(crash.BindingLegacyRule)
	defer crash.After(crash.BindingLegacyRule)
	_, err := t.run(ctx, path, slices.Concat([]string{how, dockerUser}, ruleSpec(bridge))...)
	return err
}

// list returns the rules of a chain, and whether there is such a chain.
func (t legacyTables) list(ctx context.Context, path, chain string) (out []byte, exists bool, err error) {
	out, err = t.run(ctx, path, "-S", chain)
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() == 1 {
		return nil, false, nil
	}
	return out, err == nil, err
}

// judged tells whether the firewall of a Neutron agent is at work.
func (t legacyTables) judged(ctx context.Context, path string) (bool, error) {
	for _, chain := range judges {
		if _, exists, err := t.list(ctx, path, chain); err != nil || exists {
			return exists, err
		}
	}
	return false, nil
}

// used reports whether the namespace has a legacy table "filter".
func (t legacyTables) used(tables string) bool {
	found := false
	err := t.links.Do(func() error {
		names, err := os.ReadFile(tables)
		found = slices.Contains(strings.Fields(string(names)), "filter")
		return err
	})
	return err == nil && found
}

// findTool prefers the name that can only be the legacy one. Where there is
// only the other and it is iptables-nft, it lists what ruleset has put right.
func findTool(tool string) (string, error) {
	path, err := exec.LookPath(tool + "-legacy")
	if err != nil {
		path, err = exec.LookPath(tool)
	}
	return path, err
}

// run runs the tool in the namespace, waiting for others of its kind.
func (t legacyTables) run(ctx context.Context, path string, args ...string) (out []byte, err error) {
	err = t.links.Do(func() error {
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, path, slices.Concat([]string{"-w", "5"}, args)...)
		cmd.Stderr = &stderr
		if out, err = cmd.Output(); err != nil {
			return fmt.Errorf("%s: %w: %s", cmd, err, strings.TrimSpace(stderr.String()))
		}
		return nil
	})
	return out, err
}

func ruleSpec(bridge string) []string {
	return []string{"-i", bridge, "-o", bridge, "-m", "comment", "--comment", courier.MarkPrefix + bridge, "-j", "ACCEPT"}
}

// parseListing reads the answer of `iptables -S CHAIN`. Only a rule that is
// just as ruleSpec makes it is ours, so that -D finds it.
func parseListing(out []byte) []rule {
	var rules []rule
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "-A" {
			continue
		}
		r := rule{returnAll: slices.Equal(words[2:], []string{"-j", "RETURN"})}
		if i := slices.Index(words, "--comment"); i > 0 && i+1 < len(words) {
			r.comment = strings.Trim(words[i+1], `"`)
			if bridge, ours := r.bridge(); ours {
				words[i+1] = r.comment
				if !slices.Equal(words[2:], ruleSpec(bridge)) {
					r.comment = ""
				}
			}
		}
		rules = append(rules, r)
	}
	return rules
}
