package daemon

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"os"

	"kuryr/internal/courier"
)

// Limits of a static token: short ones can be guessed.
const (
	minToken = 16   // bytes
	maxToken = 4096 // bytes
)

// readToken reads a static token, the only word of a file that others can't read.
func readToken(file string) ([]byte, error) {
	refuse := func(why, hint string, err error) error {
		return &courier.Error{Kind: courier.Invalid, Op: "read the token in", Subject: file, Public: why, Hint: hint, Err: err}
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
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return nil, refuse(cause(err), "", err)
	}
	token := bytes.TrimSpace(data)
	switch {
	case len(token) < minToken || len(token) > maxToken:
		return nil, refuse("a token has 16 to 4096 characters", "for instance: openssl rand -hex 32", nil)
	case bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, refuse("a token is one word of printable ASCII", "for instance: openssl rand -hex 32", nil)
	}
	return token, nil
}

// unauthorized is what OpenStack's services answer without a token.
const unauthorized = `{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}` + "\n"

// wantToken lets only requests through whose X-Auth-Token is the token. As in
// OpenStack, the list of the API's versions at / is for everybody.
func wantToken(token []byte, h http.Handler) http.Handler {
	want := sha256.Sum256(token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("X-Auth-Token")))
		public := r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
		if !public && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, unauthorized) // who has hung up needs no answer
			return
		}
		h.ServeHTTP(w, r)
	})
}
