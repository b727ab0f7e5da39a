package identity

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The roles of users.
const (
	Admin  = "admin"  // may do everything, in every project
	Member = "member" // owns what is in the user's projects
)

// User is someone who may authenticate. The name is the user's ID too.
type User struct {
	Name     string
	Password Password
	Role     string   // Admin or Member, on each of the projects
	Projects []string // at least one, by name, which is a project's ID too
}

// namePattern is what users and projects are called: names stand in headers
// and in the paths of URLs as they are.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const nameRule = "a name has 1 to 64 letters, digits and . _ @ -, and starts with a letter or a digit"

// ParseError is what is wrong with a file of users.
type ParseError struct {
	File string
	Line int    // from 1
	Why  string // one line; it never shows a password
}

// Error returns "FILE:LINE: WHY".
func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why) }

// ParseUsers reads a list of users, one in a line:
//
//	NAME:PASSWORD:ROLE:PROJECT[,PROJECT]...
//
// PASSWORD is hashed (Password.String). Empty lines, and those that start with
// "#", are left out. file names the list in errors, which are *ParseErrors.
func ParseUsers(file string, data []byte) ([]User, error) {
	var users []User
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		u, err := parseUser(text)
		if err == nil && slices.ContainsFunc(users, func(other User) bool { return other.Name == u.Name }) {
			err = fmt.Errorf("user %s is there twice", u.Name)
		}
		if err != nil {
			return nil, &ParseError{File: file, Line: n, Why: err.Error()}
		}
		users = append(users, u)
	}
	if len(users) == 0 {
		return nil, &ParseError{File: file, Line: max(n, 1), Why: "there is no user"}
	}
	return users, nil
}

func parseUser(line string) (User, error) {
	parts := strings.Split(line, ":")
	if len(parts) != 4 {
		return User{}, errors.New("a user is NAME:PASSWORD:ROLE:PROJECT[,PROJECT]")
	}
	u := User{Name: parts[0], Role: parts[2], Projects: strings.Split(parts[3], ",")}
	var err error
	if u.Password, err = ParsePassword(parts[1]); err != nil {
		return User{}, err
	}
	return u, u.check()
}

// check tells what is wrong with a user.
func (u *User) check() error {
	switch {
	case !namePattern.MatchString(u.Name):
		return fmt.Errorf("%q cannot be a user: %s", u.Name, nameRule)
	case u.Role != Admin && u.Role != Member:
		return fmt.Errorf("%q is no role: it must be %s or %s", u.Role, Admin, Member)
	case len(u.Projects) == 0:
		return fmt.Errorf("user %s is in no project", u.Name)
	}
	for i, p := range u.Projects {
		if !namePattern.MatchString(p) {
			return fmt.Errorf("%q cannot be a project: %s", p, nameRule)
		}
		if slices.Contains(u.Projects[:i], p) {
			return fmt.Errorf("project %s is there twice", p)
		}
	}
	return nil
}

// roles are those that Keystone gives: each implies the lesser ones.
func (u *User) roles() []string {
	if u.Role == Admin {
		return []string{"reader", Member, Admin}
	}
	return []string{"reader", Member}
}

// sees reports whether the user may know of a project.
func (u *User) sees(project string) bool {
	return u.Role == Admin || slices.Contains(u.Projects, project)
}
