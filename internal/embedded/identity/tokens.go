package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	tokenLife = time.Hour // as Keystone's default
	// maxTokens bounds the memory that tokens take; the oldest go first.
	maxTokens = 10_000
)

// token is what one stands for.
type token struct {
	user            *User
	project         string // "": unscoped
	method          string
	issued, expires time.Time
	audit           string
}

// tokens are those that were issued, by the hash of their text.
type tokens struct {
	now func() time.Time

	mu  sync.Mutex // guards what follows
	all map[[sha256.Size]byte]*token
}

func newTokens(now func() time.Time) tokens {
	if now == nil {
		now = time.Now
	}
	return tokens{now: now, all: make(map[[sha256.Size]byte]*token)}
}

// issue takes a token in and returns its text, which is kept nowhere. A token
// without an end gets one.
func (s *tokens) issue(t *token) string {
	text := rand.Text() + rand.Text()
	t.audit = rand.Text()
	t.issued = s.now().UTC().Truncate(time.Second)
	if t.expires.IsZero() {
		t.expires = t.issued.Add(tokenLife)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxTokens {
		s.forget()
	}
	s.all[sha256.Sum256([]byte(text))] = t
	return text
}

// forget drops tokens that have expired, and the oldest if none has.
func (s *tokens) forget() {
	var oldest [sha256.Size]byte
	var when time.Time
	for key, t := range s.all {
		if !s.now().Before(t.expires) {
			delete(s.all, key)
		} else if when.IsZero() || t.issued.Before(when) {
			oldest, when = key, t.issued
		}
	}
	if len(s.all) >= maxTokens {
		delete(s.all, oldest)
	}
}

// find returns what a token stands for, or nil.
func (s *tokens) find(text string) *token {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.all[sha256.Sum256([]byte(text))]
	if t == nil || !s.now().Before(t.expires) {
		return nil
	}
	return t
}

func (s *tokens) revoke(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, sha256.Sum256([]byte(text)))
}
