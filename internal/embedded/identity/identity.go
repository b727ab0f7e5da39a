package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Options of a Service.
type Options struct {
	Users          []User // required
	AppCredentials []AppCredential
	Region         string           // "": RegionOne
	Now            func() time.Time // nil: time.Now
}

// Service is an Identity API and a guard. It is safe for concurrent use.
type Service struct {
	users          []User
	appCredentials []AppCredential
	projects       []string // in order
	region         string
	tokens         tokens
	mux            *http.ServeMux

	// checking is held while a password is checked: that takes a tenth of a
	// second of one processor, and any stranger can ask for it.
	checking sync.Mutex
	decoy    Password // nobody's, which costs what others do
}

// New returns a Service for a list of users, which it checks.
func New(o Options) (*Service, error) {
	if len(o.Users) == 0 {
		return nil, errors.New("there is no user")
	}
	s := &Service{
		users: slices.Clone(o.Users), appCredentials: slices.Clone(o.AppCredentials), region: o.Region, tokens: newTokens(o.Now), mux: http.NewServeMux(),
		decoy: Password{iterations: o.Users[0].Password.iterations, salt: make([]byte, saltSize)},
	}
	if s.region == "" {
		s.region = "RegionOne"
	}
	for i := range s.users {
		u := &s.users[i]
		if err := u.check(); err != nil {
			return nil, err
		}
		if s.user(u.Name) != u {
			return nil, fmt.Errorf("user %s is there twice", u.Name)
		}
		s.projects = append(s.projects, u.Projects...)
	}
	slices.Sort(s.projects)
	s.projects = slices.Compact(s.projects)
	if err := s.checkAppCredentials(); err != nil {
		return nil, err
	}
	s.routes()
	return s, nil
}

// user returns the user of a name, or nil.
func (s *Service) user(name string) *User {
	if i := slices.IndexFunc(s.users, func(u User) bool { return u.Name == name }); i >= 0 {
		return &s.users[i]
	}
	return nil
}

// login returns the user of a name and a password, or nil. Who is not there
// takes as long as who is, so that time does not tell the names.
func (s *Service) login(ctx context.Context, name, password string) *User {
	u, want := s.user(name), s.decoy
	if u != nil {
		want = u.Password
	}
	s.checking.Lock()
	defer s.checking.Unlock()
	if ctx.Err() != nil || !want.is(password) {
		return nil
	}
	return u
}
