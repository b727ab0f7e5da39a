package api

import (
	"fmt"
	"regexp"
	"strings"

	"kuryr/internal/embedded/store"
)

var hostLabel = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// domain accepts names of the DNS, or none, and returns them in lower case.
func domain(v any) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, store.InvalidInput("Input value %s must be string type", python(v))
	}
	given := s
	if s = strings.ToLower(s); s == "" {
		return s, nil
	}
	if len(s) > 255 {
		return nil, reason(fmt.Sprintf("'%s' exceeds the 255 character FQDN limit", given))
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		switch {
		case !hostLabel.MatchString(label):
			return nil, reason(fmt.Sprintf("'%s' not a valid PQDN or FQDN. Reason: Name '%s' must be 1-63 characters long, "+
				"each of which can only be alphanumeric or a hyphen", given, label))
		case label[0] == '-' || label[len(label)-1] == '-':
			return nil, reason(fmt.Sprintf("'%s' not a valid PQDN or FQDN. Reason: Name '%s' must not start or end with a hyphen", given, label))
		}
	}
	return s, nil
}

// fullDomain accepts names of the DNS that end in its root, or none.
func fullDomain(v any) (any, error) {
	s, err := domain(v)
	if err == nil && s != "" && !strings.HasSuffix(s.(string), ".") {
		return nil, reason(fmt.Sprintf("'%s' is not a FQDN", python(v)))
	}
	return s, err
}

// hostName accepts the name of a port: a label or more, or a name that ends
// in the server's own domain.
func hostName(v any) (any, error) {
	s, err := domain(v)
	if err != nil || !strings.HasSuffix(s.(string), ".") {
		return s, err
	}
	if !strings.HasSuffix(s.(string), "."+dnsDomain) {
		return nil, reason(fmt.Sprintf("The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain option in "+
			"neutron.conf, that has been set to '%[1]s'. It must also include one or more valid DNS labels to the left of '%[1]s'", dnsDomain))
	}
	return s, nil
}
