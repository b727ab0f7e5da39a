package identity

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// passwordScheme begins the text of a hashed password: scheme, iterations,
// salt and key, with dollar signs between them.
const passwordScheme = "pbkdf2-sha256"

const (
	// iterations of new passwords, as OWASP advises for PBKDF2 with SHA-256.
	iterations = 600_000
	// maxIterations bounds what one login costs, some seconds.
	maxIterations = 10_000_000
	saltSize      = 16 // bytes
)

// Password is a hashed one, which can be compared and not read.
type Password struct {
	iterations int
	salt       []byte
	key        []byte
}

// HashPassword hashes a password with a salt of its own.
func HashPassword(password string) (Password, error) {
	p := Password{iterations: iterations, salt: make([]byte, saltSize)}
	rand.Read(p.salt) // it never fails
	var err error
	p.key, err = pbkdf2.Key(sha256.New, password, p.salt, p.iterations, sha256.Size)
	return p, err
}

// errPassword never shows the text, which may be a password in the clear.
var errPassword = errors.New("the password is not hashed as `kuryr neutron passwd` prints it")

// ParsePassword is the inverse of Password.String.
func ParsePassword(text string) (Password, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != passwordScheme {
		return Password{}, errPassword
	}
	n, err := strconv.Atoi(parts[1])
	salt, errSalt := hex.DecodeString(parts[2])
	key, errKey := hex.DecodeString(parts[3])
	if errors.Join(err, errSalt, errKey) != nil || n < 1 || n > maxIterations || len(key) != sha256.Size {
		return Password{}, errPassword
	}
	return Password{iterations: n, salt: salt, key: key}, nil
}

// String returns the text of the hash.
func (p Password) String() string {
	return fmt.Sprintf("%s$%d$%x$%x", passwordScheme, p.iterations, p.salt, p.key)
}

// is reports whether this is a password's hash.
func (p Password) is(password string) bool {
	got, err := pbkdf2.Key(sha256.New, password, p.salt, p.iterations, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(got, p.key) == 1
}
