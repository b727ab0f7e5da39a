package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"kuryr/internal/courier"
	"kuryr/internal/embedded/identity"
)

// Limits of a static token: short ones can be guessed.
const (
	minToken = 16   // bytes
	maxToken = 4096 // bytes
)

const maxUsers = 1 << 20 // bytes of a file of users

// readToken reads a static token, the only word of a file that others can't read.
func readToken(file string) ([]byte, error) {
	const op = "read the token in"
	data, err := readSecret(op, file, maxToken)
	if err != nil {
		return nil, err
	}
	refuse := func(why string) error {
		return &courier.Error{Kind: courier.Invalid, Op: op, Subject: file, Public: why, Hint: "for instance: openssl rand -hex 32"}
	}
	token := bytes.TrimSpace(data)
	switch {
	case len(token) < minToken || len(token) > maxToken:
		return nil, refuse("a token has 16 to 4096 characters")
	case bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, refuse("a token is one word of printable ASCII")
	}
	return token, nil
}

// readKeystone returns a Keystone for the users of a file that others can't read.
func readKeystone(file string) (*identity.Service, error) {
	const op = "read the users in"
	data, err := readSecret(op, file, maxUsers)
	if err != nil {
		return nil, err
	}
	if len(data) > maxUsers {
		return nil, &courier.Error{Kind: courier.Invalid, Op: op, Subject: file, Public: fmt.Sprintf("the file is larger than %d bytes", maxUsers)}
	}
	users, err := identity.ParseUsers(file, data)
	if pe := (*identity.ParseError)(nil); errors.As(err, &pe) {
		return nil, &courier.Error{Kind: courier.Invalid, Op: op, Subject: fmt.Sprintf("%s:%d", file, pe.Line), Public: pe.Why, Err: err}
	}
	return identity.New(identity.Options{Users: users})
}

// readSecret reads a file that others can't read, and one byte more than it
// may have, if it has. op is what for.
func readSecret(op, file string, limit int64) ([]byte, error) {
	refuse := func(why, hint string, err error) error {
		return &courier.Error{Kind: courier.Invalid, Op: op, Subject: file, Public: why, Hint: hint, Err: err}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, refuse(cause(err), "", err)
	}
	defer f.Close() // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, refuse(cause(err), "", err)
	}
	if st.Mode().Perm()&0o007 != 0 {
		return nil, refuse("every user of this host may read or write it", "chmod 600 "+file, nil)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, refuse(cause(err), "", err)
	}
	return data, nil
}

// HashPassword returns a password as the file of a Keystone's users has it.
func HashPassword(password string) (string, error) {
	p, err := identity.HashPassword(password)
	if err != nil {
		return "", &courier.Error{Op: "hash the password", Err: err}
	}
	return p.String(), nil
}
