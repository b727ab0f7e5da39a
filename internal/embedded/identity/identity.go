package identity

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tokenLife is how long a token is good for, as Keystone's default.
const tokenLife = time.Hour

// maxTokens bounds the memory that tokens take; the oldest go first.
const maxTokens = 10_000

// User is someone who may authenticate.
type User struct {
	ID       string // "": the name
	Name     string
	Password string   // as HashPassword returns it
	Projects []string // IDs of the projects the user has the roles on
	Roles    []string // "admin" makes an administrator; others a member
}

// Project is one that resources belong to.
type Project struct{ ID, Name string }

// Options of a Service.
type Options struct {
	Users    []User
	Projects []Project
	Region   string           // "": RegionOne
	Now      func() time.Time // nil: time.Now
}

// Service is an Identity API and a guard. It is safe for concurrent use.
type Service struct {
	users    []User
	projects []Project
	region   string
	now      func() time.Time
	mux      *http.ServeMux

	mu     sync.Mutex
	tokens map[[sha256.Size]byte]*token // by the hash of their text
}

// token is what one stands for.
type token struct {
	user            *User
	project         *Project // nil: unscoped
	method          string
	issued, expires time.Time
	audit           string
}

// New checks the list of users and returns a Service for them.
func New(o Options) (*Service, error) {
	s := &Service{
		users: slices.Clone(o.Users), projects: slices.Clone(o.Projects), region: o.Region, now: o.Now,
		mux: http.NewServeMux(), tokens: make(map[[sha256.Size]byte]*token),
	}
	if s.region == "" {
		s.region = "RegionOne"
	}
	if s.now == nil {
		s.now = time.Now
	}
	for i := range s.users {
		u := &s.users[i]
		if u.ID == "" {
			u.ID = u.Name
		}
		if u.Name == "" || !strings.HasPrefix(u.Password, passwordScheme) {
			return nil, fmt.Errorf("user %q needs a name and a hashed password", u.Name)
		}
		for _, id := range u.Projects {
			if s.project(id, "") == nil {
				return nil, fmt.Errorf("user %q is in project %q, which is not there", u.Name, id)
			}
		}
	}
	s.routes()
	return s, nil
}

// project returns the project with an ID or, if there is none, a name.
func (s *Service) project(id, name string) *Project {
	for i := range s.projects {
		if p := &s.projects[i]; id != "" && p.ID == id || id == "" && name != "" && p.Name == name {
			return p
		}
	}
	return nil
}

// issue makes a token and returns its text, which is kept nowhere.
func (s *Service) issue(t *token) string {
	text := rand.Text() + rand.Text()
	t.issued = s.now().UTC().Truncate(time.Second)
	t.audit = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tokens) >= maxTokens {
		s.forget()
	}
	s.tokens[sha256.Sum256([]byte(text))] = t
	return text
}

// forget drops tokens that have expired, and the oldest if none has.
func (s *Service) forget() {
	var oldest [sha256.Size]byte
	var when time.Time
	for key, t := range s.tokens {
		if !s.now().Before(t.expires) {
			delete(s.tokens, key)
		} else if when.IsZero() || t.issued.Before(when) {
			oldest, when = key, t.issued
		}
	}
	if len(s.tokens) >= maxTokens {
		delete(s.tokens, oldest)
	}
}

// find returns what a token stands for, or nil.
func (s *Service) find(text string) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[sha256.Sum256([]byte(text))]
	if t == nil || !s.now().Before(t.expires) {
		return nil
	}
	return t
}

func (s *Service) revoke(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, sha256.Sum256([]byte(text)))
}

// passwordScheme begins a hashed password: scheme, iterations, salt, key.
const passwordScheme = "pbkdf2-sha256$"

// iterations of new passwords, as OWASP advises for PBKDF2 with SHA-256.
const iterations = 600_000

// HashPassword returns what User.Password must be for a password.
func HashPassword(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	key, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%d$%x$%x", passwordScheme, iterations, salt, key), nil
}

var errBadHash = errors.New("the hashed password is damaged")

// checkPassword reports whether a password is the one that was hashed.
func checkPassword(hashed, password string) (bool, error) {
	parts := strings.Split(strings.TrimPrefix(hashed, passwordScheme), "$")
	if len(parts) != 3 {
		return false, errBadHash
	}
	n, err := strconv.Atoi(parts[0])
	salt, errSalt := hex.DecodeString(parts[1])
	want, errKey := hex.DecodeString(parts[2])
	if errors.Join(err, errSalt, errKey) != nil || n < 1 || len(want) != sha256.Size {
		return false, errBadHash
	}
	got, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}
