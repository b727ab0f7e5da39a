package neutron

import "net/http"

// limit lets a number of requests be in flight; others wait for their turn.
type limit struct {
	next  http.RoundTripper
	slots chan struct{} // nil: there is no limit
}

func newLimit(next http.RoundTripper, n int) *limit {
	l := &limit{next: next}
	if n > 0 {
		l.slots = make(chan struct{}, n)
	}
	return l
}

// RoundTrip implements http.RoundTripper. The turn ends with the answer's
// header: Neutron has done its work by then.
func (l *limit) RoundTrip(req *http.Request) (*http.Response, error) {
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-req.Context().Done():
			closeBody(req)
			return nil, req.Context().Err()
		}
	}
	return l.next.RoundTrip(req)
}
