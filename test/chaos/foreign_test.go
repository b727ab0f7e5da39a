package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// foreign is what is on a site and not Kuryr's: Neutron's resources by their
// IDs, links by their names, rules and rows by what they say.
type foreign struct {
	known map[string]bool
	ovs   *testkit.OVS
	first []string // as it was looked at when it was planted
}

// switchLinks are made by the Open vSwitch itself, in its own time.
var switchLinks = []string{"br-int", "ovs-netdev"}

func (f *foreign) has(id string) bool { return f != nil && f.known[id] }

// Beside Kuryr there are hundreds of things that are not its own: of other
// hosts, of other programs and of users, with names and texts that may be
// taken for Kuryr's. None is touched, whatever is killed.
func TestForeignResources(t *testing.T) {
	seed, rounds := seedSetting(t), int(setting(t, "FOREIGN_ROUNDS", seriesRounds))
	t.Parallel()
	f := &foreign{known: map[string]bool{}}
	s, err := openSite(t.Context(), binary(t), siteOptions{live: true, before: func(ctx context.Context, s *site) (string, error) {
		s.foreign = f
		return f.plant(ctx, t, s)
	}})
	if err != nil {
		t.Fatal(err)
	}
	tell := &chronicle{}
	const series = 1 << 20 // none of the random kills'
	err = s.series(t.Context(), seed, series, rounds, tell)
	if err == nil {
		var now []string
		if now, err = f.look(t.Context(), s); err == nil {
			err = wrong("it all foreign things differ", testkit.Inventory(f.first).Diff(now))
		}
	}
	if err != nil {
		t.Errorf("SEED=%d: %v\nevidence: %s", seed, err, s.evidence(t, seed, series, tell, err))
		s.abandon(t)
		return
	}
	show(fmt.Sprintf("foreign, seed %d: %d things, none touched\n%s", seed, len(f.first), &tell.sums))
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// collections of Neutron's, by the key of their lists.
var collections = map[string]string{
	"networks": "networks", "subnets": "subnets", "ports": "ports", "subnetpools": "subnetpools",
	"security-groups": "security_groups", "security-group-rules": "security_group_rules",
}

// look describes every foreign thing in full, a line each.
func (f *foreign) look(ctx context.Context, s *site) (lines []string, err error) {
	for path, key := range collections {
		var list map[string][]map[string]any
		if err := s.neutron.Get(ctx, path, &list); err != nil {
			return nil, err
		}
		for _, row := range list[key] {
			id, _ := row["id"].(string)
			group, _ := row["security_group_id"].(string)
			if !f.has(id) && !f.has(group) {
				continue
			}
			text, err := json.Marshal(row)
			if err != nil {
				return nil, err
			}
			lines = append(lines, path+" "+string(text))
		}
	}
	for _, look := range []func(context.Context, *site) ([]string, error){f.lookAtLinks, f.lookAtRules, f.lookAtRows} {
		more, err := look(ctx, s)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	slices.Sort(lines)
	return lines, nil
}

func (f *foreign) lookAtLinks(ctx context.Context, s *site) (lines []string, err error) {
	text, err := s.machine.Output(ctx, "ip", "-d", "-j", "address", "show")
	if err != nil {
		return nil, err
	}
	var links []map[string]any
	if err := json.Unmarshal([]byte(text), &links); err != nil {
		return nil, err
	}
	for _, l := range links {
		name, _ := l["ifname"].(string)
		if !f.has(name) || slices.Contains(switchLinks, name) {
			continue
		}
		if info, ok := l["linkinfo"].(map[string]any); ok {
			withoutTimers(info["info_data"])
		}
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		lines = append(lines, "link "+string(text))
	}
	return lines, nil
}

// withoutTimers takes from what the kernel tells of a bridge what runs by
// itself.
func withoutTimers(data any) {
	of, _ := data.(map[string]any)
	for key := range of {
		if strings.HasSuffix(key, "_timer") {
			delete(of, key)
		}
	}
}

// lookAtRules lists Docker's chain for users without Kuryr's own rules, and the
// tables that were planted.
func (f *foreign) lookAtRules(ctx context.Context, s *site) (lines []string, err error) {
	chain, err := s.machine.Output(ctx, "iptables", "-S", "DOCKER-USER")
	if err != nil {
		return nil, err
	}
	position := 0
	for line := range strings.Lines(chain) {
		if !strings.Contains(line, `--comment "kuryr:brq`) {
			lines = append(lines, fmt.Sprintf("rule %d %s", position, strings.TrimSpace(line)))
			position++
		}
	}
	for _, table := range foreignTables {
		text, err := s.machine.Output(ctx, "nft", append([]string{"list", "table"}, strings.Fields(table)...)...)
		if err != nil {
			return nil, err
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// lookAtRows lists all rows: no container is plugged into this Open vSwitch.
func (f *foreign) lookAtRows(context.Context, *site) (lines []string, err error) {
	for table, columns := range map[string]string{
		"Bridge": "_uuid,name,ports,external_ids", "Port": "_uuid,name,interfaces,tag,external_ids", "Interface": "_uuid,name,type,external_ids",
	} {
		for line := range strings.Lines(f.ovs.VSCtl("--format=csv", "--columns="+columns, "list", table)) {
			lines = append(lines, "ovs "+table+" "+strings.TrimSpace(line))
		}
	}
	return lines, nil
}
