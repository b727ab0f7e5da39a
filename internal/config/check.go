package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"kuryr/internal/observe"
)

// The limits that values are checked against.
const (
	maxName       = 255 // Neutron's limit of names and of binding:host_id
	maxPoolPrefix = 200 // leaves room for "-" and a CIDR
	maxLinkPrefix = 12  // IFNAMSIZ leaves 15; Docker appends a number
	maxSocketPath = 103 // the smallest sun_path among Unix systems is 104 with its NUL
	minSeconds    = 1
	maxSeconds    = 300
	maxCount      = 1000
)

// store checks text and puts it into field, a pointer to one of Config's
// fields: *string, *observe.Secret, *[]string for a list with commas, *bool, *int
// for a number of things, or *time.Duration for whole seconds.
func store(field any, check func(string) *fault, text string) *fault {
	if strings.Contains(text, "\n") {
		return invalid("its value goes on in the next line").
			withHint("a line that starts with white space continues the value before it; start it in the first column")
	}
	f := storeLine(field, check, text)
	if f != nil && f.hint == "" && (strings.Contains(text, " #") || strings.Contains(text, " ;")) {
		f.hint = "a comment needs a line of its own"
	}
	return f
}

func storeLine(field any, check func(string) *fault, text string) *fault {
	if check != nil {
		if f := check(text); f != nil {
			return f
		}
	}
	switch p := field.(type) {
	case *string:
		*p = text
	case *[]string:
		*p = splitList(text)
	case *observe.Secret:
		*p = observe.Secret(text)
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || check == nil && (n < 1 || n > maxCount) {
			return invalid("%q is not a whole number from 1 to %d", text, maxCount)
		}
		*p = n
	case *bool:
		v, ok := parseBool(text)
		if !ok {
			return invalid("%q is neither true nor false (nor yes, no, on, off, 1, 0)", text)
		}
		*p = v
	case *time.Duration:
		n, err := strconv.Atoi(text)
		if err != nil || check == nil && (n < minSeconds || n > maxSeconds) {
			return invalid("%q is not a whole number of seconds from %d to %d", text, minSeconds, maxSeconds)
		}
		*p = time.Duration(n) * time.Second
	default:
		panic(fmt.Sprintf("config: no way to store a %T", field))
	}
	return nil
}

// show is the inverse of store, but for secrets.
func show(field any) string {
	switch p := field.(type) {
	case *observe.Secret:
		return p.String()
	case *int:
		return strconv.Itoa(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *time.Duration:
		return strconv.Itoa(int(*p / time.Second))
	case *string:
		return *p
	case *[]string:
		return strings.Join(*p, ", ")
	default:
		panic(fmt.Sprintf("config: no way to show a %T", field))
	}
}

// splitList reads a list with commas; it is never nil.
func splitList(text string) []string {
	out := []string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// optionPatterns checks for names of options of Neutron's in Docker; a star at
// the end stands for all that start so, "safe" for those that let nobody spoof.
func optionPatterns(text string) *fault {
	for _, p := range splitList(text) {
		stem, open := strings.CutSuffix(p, "*")
		switch {
		case p == "safe":
		case strings.Contains(stem, "*"):
			return invalid("%q has a star that is not at its end", p)
		case open && strings.HasPrefix("neutron.", stem), strings.HasPrefix(stem, "neutron."):
		default:
			return invalid("%q is no option of Neutron's", p).withHint("such as neutron.net.uuid or neutron.port.*; docs/docker.md lists them")
		}
	}
	return nil
}

// parseBool knows oslo.config's spellings, in any case.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1", "on", "yes":
		return true, true
	case "false", "0", "off", "no":
		return false, true
	}
	return false, false
}

func hasSpace(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// word checks for one word of at most limit bytes.
func word(limit int) func(string) *fault {
	return func(s string) *fault {
		switch {
		case s == "":
			return invalid("it must not be empty")
		case hasSpace(s):
			return invalid("%q has white space in it", s)
		case len(s) > limit:
			return invalid("%q is longer than %d characters", s, limit)
		}
		return nil
	}
}

// name checks for a Neutron resource's name.
func name(limit int) func(string) *fault {
	return func(s string) *fault {
		switch {
		case strings.TrimSpace(s) == "":
			return invalid("it must not be empty")
		case len(s) > limit:
			return invalid("%q is longer than %d characters", s, limit)
		}
		return nil
	}
}

func oneOf(choices ...string) func(string) *fault {
	return func(s string) *fault {
		for _, c := range choices {
			if s == c {
				return nil
			}
		}
		return invalid("%q is not one of: %s", s, strings.Join(choices, ", "))
	}
}

// secondsOrZero checks a time for which 0 has a meaning of its own.
func secondsOrZero(s string) *fault {
	if n, err := strconv.Atoi(s); err != nil || n < 0 || n > maxSeconds {
		return invalid("%q is not a whole number of seconds from 0 to %d", s, maxSeconds)
	}
	return nil
}

// numberFrom checks a number of things.
func numberFrom(least, most int) func(string) *fault {
	return func(s string) *fault {
		if n, err := strconv.Atoi(s); err != nil || n < least || n > most {
			return invalid("%q is not a whole number from %d to %d", s, least, most)
		}
		return nil
	}
}

// secondsFrom checks a time with bounds of its own.
func secondsFrom(least, most int) func(string) *fault {
	return func(s string) *fault {
		if n, err := strconv.Atoi(s); err != nil || n < least || n > most {
			return invalid("%q is not a whole number of seconds from %d to %d", s, least, most)
		}
		return nil
	}
}

// interfaceName checks for what the kernel takes for one (dev_valid_name).
func interfaceName(s string) *fault {
	const maxInterfaceName = 15 // IFNAMSIZ - 1
	if f := word(maxInterfaceName)(s); f != nil {
		return f
	}
	if strings.ContainsAny(s, "/:%") || s == "." || s == ".." {
		return invalid("%q can't be an interface's name", s)
	}
	return nil
}

// unixConnection checks an OVSDB connection, of which Kuryr knows one kind:
// what it plugs is on its own host.
func unixConnection(s string) *fault {
	path, ok := strings.CutPrefix(s, "unix:")
	if !ok {
		return unsupported("%q is not unix: and the path of a socket", s).
			withHint("Open vSwitch serves unix:/run/openvswitch/db.sock on every host")
	}
	return socketPath(path)
}

// linkPrefix checks for the start of an interface's name: what the kernel's
// dev_valid_name refuses, and %, which asks the kernel to choose a number.
func linkPrefix(s string) *fault {
	if f := word(maxLinkPrefix)(s); f != nil {
		return f
	}
	if strings.ContainsAny(s, "/:%") || s == "." || s == ".." {
		return invalid("%q can't start an interface's name", s)
	}
	return nil
}

func directory(s string) *fault {
	switch {
	case !filepath.IsAbs(s):
		return invalid("%q is not an absolute path", s)
	case strings.ContainsRune(s, 0):
		return invalid("%q is not a path", s)
	}
	return nil
}

// pathOrEmpty checks a file's path that may be unset.
func pathOrEmpty(s string) *fault {
	if s == "" {
		return nil
	}
	return directory(s)
}

// ipv4OrEmpty checks the address of a floating IP that may be unset.
func ipv4OrEmpty(s string) *fault {
	if s == "" {
		return nil
	}
	if a, err := netip.ParseAddr(s); err != nil || !a.Is4() || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return invalid("%q is not the IPv4 address of a floating IP", s)
	}
	return nil
}

// CheckSocketPath tells why a Unix socket can't be made at path, which subject
// names to a person; nil: it can.
func CheckSocketPath(subject, path string) error { return socketPath(path).refuse(subject, Origin{}) }

func socketPath(s string) *fault {
	if f := directory(s); f != nil {
		return f
	}
	switch {
	case strings.HasSuffix(s, "/"):
		return invalid("%q is a directory's path, not a socket's", s)
	case len(s) > maxSocketPath:
		return invalid("%q is longer than %d bytes, the limit of Unix sockets", s, maxSocketPath)
	}
	return nil
}

// CheckLoopback tells why address, which subject names to a person, is not the
// "ADDRESS:PORT" of a loopback address, the only ones on which a service
// without authentication may listen; nil: it is.
func CheckLoopback(subject, address string) error { return loopback(address).refuse(subject, Origin{}) }

func loopback(s string) *fault {
	host, f := splitAddress(s)
	switch {
	case f != nil:
		return f
	case !isLoopback(host):
		return invalid("%q is not a loopback address, and whoever can connect may do everything", host).
			withHint("use 127.0.0.1, ::1 or localhost")
	}
	return nil
}

// CheckAddress tells why address, which subject names to a person, is not the
// "ADDRESS:PORT" of any address of this host; nil: it is.
func CheckAddress(subject, address string) error {
	return anyAddress(address).refuse(subject, Origin{})
}

func anyAddress(s string) *fault {
	host, f := splitAddress(s)
	if f != nil {
		return f
	}
	if _, err := netip.ParseAddr(host); err != nil && host != localhost {
		return invalid("%q is not an IP address", host).withHint("0.0.0.0 or [::] stand for all of this host's")
	}
	return nil
}

// IsLoopback reports whether an "ADDRESS:PORT" is one that only this host reaches.
func IsLoopback(address string) bool {
	host, f := splitAddress(address)
	return f == nil && isLoopback(host)
}

const localhost = "localhost"

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == localhost || err == nil && addr.IsLoopback()
}

func splitAddress(s string) (host string, f *fault) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", invalid("%q is not ADDRESS:PORT", s).withHint("for instance 127.0.0.1:9696, or [::1]:9696")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", invalid("%q is not a port (1 to 65535)", port)
	}
	return host, nil
}

// loopbackOrEmpty is loopback for an option that may be unset.
func loopbackOrEmpty(s string) *fault {
	if s == "" {
		return nil
	}
	return loopback(s)
}

// kuryrURI checks the engine's TCP address, "http://127.0.0.1:23750". Whether
// it may be one that others reach, crossCheck knows.
func kuryrURI(s string) *fault {
	if s == "" {
		return nil
	}
	u, f := plainURL(s)
	switch {
	case f != nil:
		return f
	case u.Path != "" && u.Path != "/":
		return invalid("a path (%s) has no meaning here", u.Path)
	case u.Port() == "":
		return invalid("it names no port").withHint("for instance http://127.0.0.1:23750")
	}
	return anyAddress(u.Host)
}

// endpoint checks a Neutron's URL.
func endpoint(s string) *fault {
	if s == "" {
		return nil
	}
	_, f := plainURL(s)
	return f
}

// plainURL parses an http or https URL that has a host and neither
// credentials, query nor fragment. What it refuses is not quoted: it may hold a password.
func plainURL(s string) (*url.URL, *fault) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, invalid("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, invalid("it is not an http:// or https:// URL").withHint("for instance http://127.0.0.1:9696")
	case u.User != nil:
		return nil, invalid("it holds credentials, which are not sent")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, invalid("a query or fragment has no meaning here")
	}
	return u, nil
}
