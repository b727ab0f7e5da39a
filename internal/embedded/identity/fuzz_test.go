package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"kuryr/internal/embedded/identity"
)

// FuzzParseUsers: whatever is in the file, it is a list that a Service takes,
// or an error of one of its lines.
func FuzzParseUsers(f *testing.F) {
	f.Add([]byte("# who\nboss:" + hash + ":admin:one,two\njoe:" + hash + ":member:two\n"))
	f.Add([]byte("joe:secret:reader:p"))
	f.Add([]byte("\r\n#\n::::,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		users, err := identity.ParseUsers("f", data)
		if err != nil {
			var pe *identity.ParseError
			if !errors.As(err, &pe) || pe.Line < 1 || pe.Line > 1+strings.Count(string(data), "\n") || strings.Contains(pe.Why, "\n") {
				t.Fatalf("%q: %#v", data, err)
			}
			return
		}
		if _, err := identity.New(identity.Options{Users: users}); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
	})
}

// FuzzAuthentication: whatever the body, the answer is a token or an error in
// Keystone's form, and a token is only for who knows a password.
func FuzzAuthentication(f *testing.F) {
	users, err := identity.ParseUsers("f", []byte("joe:"+hash+":member:two\n"))
	if err != nil {
		f.Fatal(err)
	}
	s, err := identity.New(identity.Options{Users: users})
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{
		login("joe", "secret", scoped("two")), login("joe", "wrong", ""), login("joe", "secret", `,"scope":"unscoped"`),
		`{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}},"scope":{"project":{"id":"two"}}}}`,
		`{"auth":{"identity":{"methods":["password","token"]}}}`, `{"auth":{"scope":null}}`, `{}`, `[`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := send(s, "POST", "/v3/auth/tokens", string(body))
		var got struct {
			Token *struct{ User struct{ Name string } }
			Error *struct {
				Code           int
				Title, Message string
			}
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatalf("%q: %q: %v", body, rec.Body, err)
		}
		switch rec.Code {
		case 201:
			if got.Token == nil || got.Token.User.Name != "joe" || rec.Header().Get("X-Subject-Token") == "" {
				t.Fatalf("%q: %s", body, rec.Body)
			}
			if !strings.Contains(string(body), "secret") && !strings.Contains(string(body), `\u`) {
				t.Fatalf("%q: a token without the password", body)
			}
		case 400, 401:
			if got.Error == nil || got.Error.Code != rec.Code || got.Error.Title == "" || got.Error.Message == "" {
				t.Fatalf("%q: %s", body, rec.Body)
			}
		default:
			t.Fatalf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}
