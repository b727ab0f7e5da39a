package binding

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// apply brings the chains of each family to what is wanted.
func (t legacyTables) apply(ctx context.Context, wanted map[string]bool, stale func(string) bool) error {
	var failed error
	for _, f := range legacyFamilies {
		failed = errors.Join(failed, t.applyTo(ctx, f.tool, f.tables, wanted, stale))
	}
	return failed
}

// all returns the rules of both chains of each family; if it fails, those that it has read.
func (t legacyTables) all(ctx context.Context) (all []rule, failed error) {
	for _, f := range legacyFamilies {
		path, found := t.find(f.tool, f.tables)
		if !found {
			continue
		}
		user, forward, _, err := t.chains(ctx, path)
		all = append(append(all, user...), forward...)
		failed = errors.Join(failed, err)
	}
	return all, failed
}

func (t legacyTables) applyTo(ctx context.Context, tool, tables string, wanted map[string]bool, stale func(string) bool) (err error) {
	path, found := t.find(tool, tables)
	if !found {
		return nil
	}
	const tries = 3 // dockerd may change the chains between the look and the change
	for range tries {
		if err = t.applyOnce(ctx, path, wanted, stale); !refused(err) {
			return err
		}
	}
	return err
}

func (t legacyTables) applyOnce(ctx context.Context, path string, wanted map[string]bool, stale func(string) bool) error {
	user, forward, exists, err := t.chains(ctx, path)
	if err != nil || !exists {
		return err
	}
	inUser, inForward, err := planBoth(user, forward, wanted, stale, func() (bool, error) { return t.judged(ctx, path) })
	if err != nil {
		return err
	}
	var changes [][]string
	for _, old := range inUser.remove {
		bridge, _ := old.bridge()
		changes = append(changes, slices.Concat([]string{"-D", dockerUser}, acceptSpec(bridge)))
	}
	for _, bridge := range inUser.insert {
		changes = append(changes, slices.Concat([]string{"-I", dockerUser}, acceptSpec(bridge)))
	}
	behind := strconv.Itoa(inForward.jump + 2) // -I counts from 1
	for _, bridge := range inForward.insert {
		changes = append(changes, slices.Concat([]string{"-I", forwardChain, behind}, jumpSpec(bridge)))
	}
	// Last, since one above Docker's jump counts; of two that are equal, -D finds
	// the upper one.
	for _, old := range inForward.remove {
		bridge, _ := old.bridge()
		changes = append(changes, slices.Concat([]string{"-D", forwardChain}, jumpSpec(bridge)))
	}
	for _, args := range changes {
		if err := t.change(ctx, path, args); err != nil {
			return err
		}
	}
	return nil
}

// change makes one change to a chain.
func (t legacyTables) change(ctx context.Context, path string, args []string) error {
	crash.Before(crash.BindingLegacyRule)
	defer crash.After(crash.BindingLegacyRule)
	_, err := t.run(ctx, path, args...)
	return err
}

// refused tells whether a chain, rule or place that the tool was asked for is
// not there.
func refused(err error) bool {
	var status *exec.ExitError
	return errors.As(err, &status) && status.ExitCode() == 1
}

// chains returns the rules of DOCKER-USER and FORWARD, and whether there is a
// DOCKER-USER: if not, nothing jumps there either.
func (t legacyTables) chains(ctx context.Context, path string) (user, forward []rule, exists bool, err error) {
	out, exists, err := t.list(ctx, path, dockerUser)
	if err != nil || !exists {
		return nil, nil, false, err
	}
	behind, _, err := t.list(ctx, path, forwardChain)
	if err != nil {
		return nil, nil, false, err
	}
	return parseListing(out, acceptSpec), parseListing(behind, jumpSpec), true, nil
}

// list returns the rules of a chain, and whether there is such a chain.
func (t legacyTables) list(ctx context.Context, path, chain string) (out []byte, exists bool, err error) {
	out, err = t.run(ctx, path, "-S", chain)
	if refused(err) {
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

// find returns the tool of a family, if the namespace has tables of that kind.
func (t legacyTables) find(tool, tables string) (path string, found bool) {
	if !t.used(tables) {
		return "", false
	}
	path, err := findTool(tool)
	return path, err == nil // without one, dockerd has none either
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

// acceptSpec is a bridge's rule in DOCKER-USER, jumpSpec the one in FORWARD.
func acceptSpec(bridge string) []string { return ruleSpec(bridge, "ACCEPT") }
func jumpSpec(bridge string) []string   { return ruleSpec(bridge, dockerUser) }

func ruleSpec(bridge, target string) []string {
	return []string{"-i", bridge, "-o", bridge, "-m", "comment", "--comment", courier.MarkPrefix + bridge, "-j", target}
}

// parseListing reads the answer of `iptables -S CHAIN`. Only a rule that is
// just as spec makes it is ours, so that -D finds it.
func parseListing(out []byte, spec func(bridge string) []string) []rule {
	var rules []rule
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "-A" {
			continue
		}
		r := rule{
			returnAll: slices.Equal(words[2:], []string{"-j", "RETURN"}),
			jumpAll:   slices.Equal(words[2:], []string{"-j", dockerUser}),
		}
		if i := slices.Index(words, "--comment"); i > 0 && i+1 < len(words) {
			r.comment = strings.Trim(words[i+1], `"`)
			if bridge, ours := r.bridge(); ours {
				words[i+1] = r.comment
				if !slices.Equal(words[2:], spec(bridge)) {
					r.comment = ""
				}
			}
		}
		rules = append(rules, r)
	}
	return rules
}
