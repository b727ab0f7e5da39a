package neutrontest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// differs lists, by attribute, where any server's answers may differ from the
// recording's. Their presence is compared all the same.
var differs = map[string]string{
	"provider:segmentation_id": "drawn by the server",
	"subnet_id":                "Neutron serves subnets by their random IDs, the embedded server by age",
	"revision_number":          "Neutron counts inner changes, of segments and bindings",
	"created_at":               "time",
	"updated_at":               "time",
	"configurations":           "what an agent says of itself",
	"standard_attr_id":         "a number of Neutron's database",
}

// unstable are attributes that the recording's server shows in some answers only.
var unstable = map[string]string{
	"is_default":       "in answers to POST of networks, which have no such attribute",
	"standard_attr_id": "shown of the rules within a group",
	"resource_request": "missing in answers to POST of ports",
	"bound_drivers":    "missing in answers to POST and PUT of ports",
}

// extended are attributes that an extension brings along which servers may lack.
var extended = map[string]string{
	"ip_allocation":           "ip_allocation",
	"l2_adjacency":            "l2_adjacency",
	"propagate_uplink_status": "uplink-status-propagation",
	"resources_synced":        "agent-resources-synced",
	"segment_id":              "segment",
}

// recordedQuotas are the defaults of the recording's server.
var recordedQuotas = map[string]float64{
	"network": 2000, "subnet": 2000, "port": 10000, "router": 200, "floatingip": 500,
	"security_group": 1000, "security_group_rule": 20000,
}

var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	macForm      = regexp.MustCompile(`^fa:16:3e(:[0-9a-f]{2}){3}$`)
	drawnForm    = regexp.MustCompile(`^((host-)?10[.-](70[.-]9|61[.-]0)[.-])\d+`)
	firstNetwork = regexp.MustCompile(`^(host-)?10[.-](70|61)[.-]\d+[.-]\d+`)
	revisionsIn  = regexp.MustCompile(`Constrained to \d+, but current revision is \d+`)
)

// compare holds an answer against the recorded one, and learns what the
// recording's generated values are here.
func (s *session) compare(at string, got, want any) {
	switch want := want.(type) {
	case map[string]any:
		s.compareObjects(at, got, want, s.compare)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			s.Errorf("%s: %v, Neutron answers %v", at, got, want)
			return
		}
		list, want = inWords(at, list), inWords(at, want)
		if want = s.pair(list, want); want == nil {
			s.Errorf("%s: other members than Neutron's", at)
			return
		}
		for i := range want {
			s.compare(fmt.Sprintf("%s[%d]", at, i), list[i], want[i])
		}
	case string:
		s.compareTexts(at, got, want)
	default:
		if got != s.own(at, want) {
			s.Errorf("%s: %v, Neutron answers %v", at, got, want)
		}
	}
}

// compareForm compares which attributes an answer has, not their values.
func (s *session) compareForm(at string, got, want any) {
	switch want := want.(type) {
	case map[string]any:
		s.compareObjects(at, got, want, s.compareForm)
	case []any:
		list, ok := got.([]any)
		if !ok {
			s.Errorf("%s: %v, Neutron answers a list", at, got)
			return
		}
		for i := range list {
			if _, isObject := list[i].(map[string]any); isObject && len(want) > 0 {
				s.compareForm(fmt.Sprintf("%s[%d]", at, i), list[i], want[0])
			}
		}
	}
}

func (s *session) compareObjects(at string, got any, want map[string]any, compare func(string, any, any)) {
	o, ok := got.(map[string]any)
	if !ok {
		s.Errorf("%s: %v, Neutron answers an object", at, got)
		return
	}
	if s.o.VIFType != recordedVIF && strings.HasSuffix(at, "vif_details") {
		return // each mechanism has its own
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		v, there := o[name]
		switch {
		case !there && s.o.Lacks[extended[name]] != "":
		case !there && unstable[name] == "" && s.o.Differs[name] == "":
			s.Errorf("%s.%s is missing", at, name)
		case there && s.differs[name] == "":
			compare(at+"."+name, v, want[name])
		}
	}
	for name := range o {
		if _, there := want[name]; !there && unstable[name] == "" && s.o.Differs[name] == "" {
			s.Errorf("%s.%s is not in Neutron's answer", at, name)
		}
	}
}

// own returns what a recorded value is on this server, where the recorder's
// setup shows in it.
func (s *session) own(at string, want any) any {
	name := at[strings.LastIndex(at, ".")+1:]
	switch {
	case name == "mtu":
		return float64(s.o.MTU)
	case name == "provider:network_type":
		return s.o.NetworkType
	case want == recordedHost && (name == "binding:host_id" || name == "host"):
		return s.o.Host
	case want == recordedVIF && (name == "binding:vif_type" || name == "vif_type"):
		return s.o.VIFType
	case strings.HasSuffix(at, ".bound_drivers.0"):
		return s.o.Driver
	case s.o.Quotas != nil && at == ".quota."+name && want == recordedQuotas[name]:
		return s.o.Quotas[name]
	}
	if text, ok := want.(string); ok && name == "fqdn" {
		return strings.TrimSuffix(text, recordedDomain) + s.o.DNSDomain
	}
	return want
}

func (s *session) compareTexts(at string, got any, recorded string) {
	want := s.own(at, recorded).(string)
	text, ok := got.(string)
	if !ok {
		s.Errorf("%s: %v, Neutron answers %q", at, got, want)
		return
	}
	generated := uuidForm.MatchString(want) && uuidForm.MatchString(text) ||
		macForm.MatchString(want) && macForm.MatchString(text)
	if _, known := s.ours[want]; generated && !known && want != text {
		s.ours[want] = text
	}
	wanted := s.translate(want)
	if drawnForm.MatchString(want) { // addresses were drawn at random
		wanted, text = drawnForm.ReplaceAllString(wanted, "10.x.y.z"), firstNetwork.ReplaceAllString(text, "10.x.y.z")
	}
	if strings.HasSuffix(at, ".message") {
		text, wanted = idsSorted(text), idsSorted(wanted)
		text, wanted = revisionsIn.ReplaceAllString(text, "R"), revisionsIn.ReplaceAllString(wanted, "R")
	}
	if text != wanted {
		s.Errorf("%s: %q, Neutron answers %q", at, text, wanted)
	}
}

// idsSorted sorts the list of ports in NetworkInUse, which Neutron does not.
func idsSorted(message string) string {
	head, ids, ok := strings.Cut(message, "id for these ports is: ")
	if !ok {
		return message
	}
	list := strings.Split(strings.TrimSuffix(ids, "."), ",")
	slices.Sort(list)
	return head + strings.Join(list, ",")
}

// inWords sorts lists that Neutron has in no order and whose members have no
// known IDs by what they say.
func inWords(at string, list []any) []any {
	if !strings.HasSuffix(at, ".security_group_rules") && !strings.HasSuffix(at, ".rule_types") {
		return list
	}
	words := func(v any) string {
		o, _ := v.(map[string]any)
		return fmt.Sprint(o["type"], o["direction"], o["ethertype"], o["protocol"], o["port_range_min"])
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b any) int { return strings.Compare(words(a), words(b)) })
	return list
}

// pair orders a recorded list as the answer is. Members with known IDs go
// together; the order by ID is another one here, since IDs are random.
func (s *session) pair(got, want []any) []any {
	idOf := func(v any) string {
		switch v := v.(type) {
		case map[string]any:
			id, _ := v["id"].(string)
			return id
		case string:
			if uuidForm.MatchString(v) {
				return v
			}
		}
		return ""
	}
	out := make([]any, len(got))
	var rest []any
	for _, w := range want {
		i := slices.IndexFunc(got, func(g any) bool { return idOf(g) != "" && idOf(g) == s.ours[idOf(w)] })
		if i < 0 {
			rest = append(rest, w)
			continue
		}
		out[i] = w
	}
	for i := range out {
		if out[i] == nil && len(rest) > 0 {
			if s.known(idOf(rest[0])) {
				return nil // the recording lists one that the answer lacks
			}
			out[i], rest = rest[0], rest[1:]
		}
	}
	return out
}

func (s *session) known(id string) bool {
	_, ok := s.ours[id]
	return id != "" && ok
}
