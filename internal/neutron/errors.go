package neutron

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// maxPublic bounds what is shown of Neutron's messages, in bytes.
const maxPublic = 300

// answer is an error that Neutron answered. It is the cause in the courier's.
type answer struct {
	server    string // "": Neutron
	status    int
	kind      string // Neutron's name of it: IpAddressGenerationFailure
	message   string
	requestID string
}

// Error implements error.
func (a *answer) Error() string {
	server := a.server
	if server == "" {
		server = "Neutron"
	}
	s := fmt.Sprintf("%s answered %d %s", server, a.status, http.StatusText(a.status))
	if a.kind != "" {
		s += ": " + a.kind
	}
	if a.message != "" {
		s += ": " + a.message
	}
	if a.requestID != "" {
		s += " (" + a.requestID + ")"
	}
	return s
}

// errAnswer marks an answer that is not what the API promises. Whether the
// request had its effect is unknown.
var errAnswer = errors.New("the answer of Neutron makes no sense")

// fail makes the courier's error of what a request failed with; nil stays nil.
func (c *Client) fail(err error, op, subject string) error {
	if err == nil {
		return nil
	}
	e := &courier.Error{Op: op, Subject: subject, Err: err}
	var refused gophercloud.ErrUnexpectedResponseCode
	var transport *url.Error
	var missing gophercloud.ErrMissingInput
	var ours *courier.Error
	switch {
	case errors.As(err, &ours): // of the session: nothing was sent
		e.Kind, e.Public, e.Hint = ours.Kind, ours.Subject+": "+ours.Public, ours.Hint
		e.Err = fmt.Errorf("%w: %w", courier.ErrUnsent, ours)
	case errors.As(err, &missing): // nothing was sent
		e.Kind, e.Public = courier.Invalid, missing.Argument+" is missing"
	case errors.As(err, &refused):
		a := readAnswer(refused)
		e.Err, e.Kind = a, a.kindOf()
		e.Public = a.public()
		e.Hint = a.hint(c.session != nil)
	case errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Public = courier.Unavailable, "Neutron did not answer in time"
	case errors.Is(err, context.Canceled):
		e.Kind, e.Public = courier.Unavailable, "the request was given up before Neutron answered"
	case errors.As(err, &transport):
		var why string
		e.Kind, why, e.Hint = unreached(transport.Err, "see that Neutron answers at "+c.Endpoint())
		e.Public = "Neutron cannot be reached: " + why
		if unsent(err) {
			e.Err = fmt.Errorf("%w: %w", courier.ErrUnsent, err)
		}
	case connectionLost(err):
		e.Kind, e.Public = courier.Unavailable, "Neutron broke off its answer"
	default:
		e.Kind, e.Public = courier.Unavailable, line(unreadable(err))
	}
	return e
}

func unreadable(err error) string {
	if errors.Is(err, errAnswer) {
		return err.Error()
	}
	return errAnswer.Error() + ": " + err.Error()
}

// readAnswer understands the bodies of Neutron, of Keystone's middleware, and
// of what may stand before them.
func readAnswer(refused gophercloud.ErrUnexpectedResponseCode) *answer {
	a := &answer{status: refused.Actual, requestID: line(refused.ResponseHeader.Get(requestIDHeader))}
	var body struct {
		NeutronError json.RawMessage
		Error        struct {
			Title   string `json:"title"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(refused.Body, &body) != nil {
		return a // HTML of a proxy, most often: nothing that a user should see
	}
	var neutron struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	switch {
	case json.Unmarshal(body.NeutronError, &neutron) == nil:
		a.kind, a.message = line(neutron.Type), neutron.Message
	case json.Unmarshal(body.NeutronError, &a.message) == nil: // extensions' errors are a mere string
	default:
		a.kind, a.message = line(body.Error.Title), body.Error.Message
	}
	return a
}

// kindByType knows the answers whose status alone does not tell what happened.
func kindByType(a *answer) (courier.Kind, bool) {
	switch a.kind {
	case "IpAddressGenerationFailure", "IpAddressGenerationFailureAllSubnets", "NoMoreIpAddresses", "OverQuota",
		"MacAddressGenerationFailure", "NoNetworkAvailable", "SubnetPoolQuotaExceeded":
		return courier.Exhausted, true
	case "SubnetAllocationError":
		// A 500 (Zed): no prefix of the wished length is left in the subnetpool, or
		// the wished CIDR is taken in it, or lies outside of it.
		if strings.Contains(a.message, "Insufficient prefix space") {
			return courier.Exhausted, true
		}
		return courier.Conflict, true
	case "SubnetPoolDeleteError": // a 400: it has subnets
		return courier.Conflict, true
	case "InvalidInput": // a 400, also for a subnet that overlaps another of its network
		if strings.Contains(a.message, "overlaps with another subnet") {
			return courier.Conflict, true
		}
	}
	if a.status == http.StatusConflict && strings.Contains(a.message, "No more IP addresses") {
		return courier.Exhausted, true
	}
	return 0, false
}

func (a *answer) kindOf() courier.Kind {
	if k, ok := kindByType(a); ok {
		return k
	}
	switch s := a.status; {
	case s == http.StatusNotFound:
		return courier.NotFound
	case s == http.StatusConflict, s == http.StatusPreconditionFailed:
		return courier.Conflict
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return courier.Unauthorized
	case s == http.StatusTooManyRequests, s >= 500, s < 400:
		return courier.Unavailable
	}
	return courier.Invalid
}

// public is what users are told. A policy's expression of rules says nothing to
// most of them; the log has it.
func (a *answer) public() string {
	if a.forbidden() != nil {
		return "Neutron's policy does not let Kuryr's user do this"
	}
	switch said := line(a.message); {
	case a.status == http.StatusPreconditionFailed:
		return strings.TrimSuffix("somebody else has changed it meanwhile: "+said, ": ")
	case said != "":
		return said
	}
	return fmt.Sprintf("Neutron answered %d %s", a.status, http.StatusText(a.status))
}

// forbidden lists the policy's rules of which one keeps Kuryr's user out; nil
// if it was not the policy that refused. Neutron does not say which one it was.
func (a *answer) forbidden() []string {
	rules, ok := strings.CutSuffix(a.message, " is disallowed by policy")
	if !ok || a.status != http.StatusForbidden {
		return nil
	}
	var all []string
	for _, word := range strings.Fields(rules) {
		if word = strings.TrimPrefix(strings.Trim(word, "()"), "rule:"); word != "and" {
			all = append(all, word)
		}
	}
	return all
}

// hint says what to do about an answer. A cloud is a Neutron that wants a
// token, and got one.
func (a *answer) hint(cloud bool) string {
	switch {
	case a.kind == "OverQuota":
		return "raise the project's quota, or remove what is no longer needed"
	case a.status == http.StatusUnauthorized && cloud:
		return "does this Neutron ask the same Keystone? see [keystone_authtoken] in neutron.conf"
	case a.status == http.StatusUnauthorized:
		return "this Neutron asks for credentials: set cloud, or auth_type and auth_url"
	case a.status == http.StatusForbidden && strings.Contains(a.message, "binding:"):
		return hintRole
	case a.forbidden() != nil:
		return line("it lacks the role for one of " + strings.Join(a.forbidden(), ", "))
	case a.kind == "NetworkNotFound":
		return "it was deleted in Neutron: remove the Docker network, too"
	case a.status == http.StatusPreconditionFailed:
		return "try again"
	}
	return ""
}

const hintRole = "binding ports to a host needs the role admin, or service in newer clouds, or a policy of Neutron's for " +
	"create_port:binding:host_id; see docs/openstack.md"

// unreached says why no answer came, and what to do about it. It is Invalid
// where only an operator can help, and Unavailable where time may.
func unreached(err error, hint string) (kind courier.Kind, why, advice string) {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var bad x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return courier.Invalid, "its certificate is of an unknown authority", "set cafile to that authority's certificate (PEM)"
	case errors.As(err, &host):
		return courier.Invalid, line("its certificate is not for " + host.Host), "use a name that the certificate holds, or have it issued for this one"
	case errors.As(err, &bad) && bad.Reason == x509.Expired:
		return courier.Unavailable, "its certificate is not valid by this host's clock, " + time.Now().UTC().Format(time.RFC3339),
			"see that the clock is right, or have the certificate renewed"
	case errors.As(err, &bad):
		return courier.Invalid, line("its certificate is not accepted: " + bad.Error()), "have it issued anew, or set cafile"
	case errors.Is(err, http.ErrSchemeMismatch):
		return courier.Invalid, "it does not speak TLS", "write http:// in its URL, if that is meant"
	case errors.Is(err, io.EOF):
		return courier.Unavailable, "it closes the connection", "see that its URL begins with http:// or https:// as it should, and its log"
	case refusedUs(err):
		return courier.Invalid, line("it refuses the TLS connection: " + lastOf(err)), "does it want a client's certificate? set certfile and keyfile"
	}
	return courier.Unavailable, line(err.Error()), hint
}

// lastOf returns the innermost error's text.
func lastOf(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

// line makes text of Neutron's fit for one line of a terminal: control
// characters become spaces, runs of spaces one, and it is cut to maxPublic. The
// full stop goes, since more may follow.
func line(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Cf, r)
	}), " ")
	if len(s) > maxPublic {
		cut := maxPublic
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.TrimRight(s, ". ")
}
