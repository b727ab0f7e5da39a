package identity

import (
	"context"
	"fmt"
	"slices"
)

// AppCredential is an application credential: a secret of its own that stands
// for a user in one project. Only programs that make a Service have them; a
// file of users names none.
type AppCredential struct {
	Name    string // and its ID
	Secret  Password
	User    string // by name
	Project string
}

// givenCredential is how a request names an application credential: by its
// ID, or by its name and its user.
type givenCredential struct {
	ID, Name, Secret string
	User             named
}

// checkAppCredentials tells what is wrong with the application credentials.
func (s *Service) checkAppCredentials() error {
	for _, c := range s.appCredentials {
		if u := s.user(c.User); u == nil || !slices.Contains(u.Projects, c.Project) {
			return fmt.Errorf("application credential %s is of user %s in project %s, who is not there", c.Name, c.User, c.Project)
		}
	}
	return nil
}

// loginCredential returns a token for an application credential, or nil.
func (s *Service) loginCredential(ctx context.Context, given *givenCredential) *token {
	for _, c := range s.appCredentials {
		byName := given.ID == "" && given.Name == c.Name && given.User.text() == c.User
		if given.ID != c.Name && !byName {
			continue
		}
		s.checking.Lock()
		defer s.checking.Unlock()
		if ctx.Err() != nil || !c.Secret.is(given.Secret) {
			return nil
		}
		return &token{user: s.user(c.User), project: c.Project, method: byCredential}
	}
	return nil
}

// byCredential is Keystone's name of the method.
const byCredential = "application_credential"
