package identity_test

import (
	"errors"
	"strings"
	"testing"

	"kuryr/internal/embedded/identity"
)

func TestParseUsers(t *testing.T) {
	users, err := identity.ParseUsers("f", []byte("# who may come\n\n  boss:"+hash+":admin:one,two\r\njoe@x.org:"+hash+":member:two"))
	if err != nil {
		t.Fatal(err)
	}
	boss, joe := users[0], users[1]
	if len(users) != 2 || boss.Name != "boss" || boss.Role != "admin" || strings.Join(boss.Projects, " ") != "one two" ||
		joe.Name != "joe@x.org" || joe.Role != "member" || strings.Join(joe.Projects, " ") != "two" || joe.Password.String() != hash {
		t.Errorf("%+v", users)
	}
}

func TestParseUsersRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "f:1: there is no user",
		"# nobody\n\n":                  "f:2: there is no user",
		"\njoe":                         "f:2: a user is NAME:PASSWORD:ROLE:PROJECT[,PROJECT]",
		"joe:" + hash + ":member:p:q":   "f:1: a user is NAME:",
		"joe:sesame:member:p":           "f:1: the password is not hashed as `kuryr neutron passwd` prints it",
		"joe:pbkdf2-sha256$1$0:admin:p": "f:1: the password is not hashed",
		"joe:" + strings.Replace(hash, "$1$", "$0$", 1) + ":member:p":          "f:1: the password is not hashed",
		"joe:" + strings.Replace(hash, "$1$", "$999999999$", 1) + ":member:p":  "f:1: the password is not hashed",
		"joe:" + hash[:len(hash)-2] + ":member:p":                              "f:1: the password is not hashed",
		"joe:" + hash + ":reader:p":                                            `f:1: "reader" is no role: it must be admin or member`,
		"joe:" + hash + ":member:":                                             `f:1: "" cannot be a project: a name has`,
		"joe:" + hash + ":member:p,p":                                          "f:1: project p is there twice",
		"joe:" + hash + ":member:p,..":                                         `f:1: ".." cannot be a project: a name has`,
		":" + hash + ":member:p":                                               `f:1: "" cannot be a user: a name has`,
		"j e:" + hash + ":member:p":                                            `f:1: "j e" cannot be a user: a name has`,
		"joe:" + hash + ":member:p\n# again\njoe:" + hash + ":admin:p\n":       "f:3: user joe is there twice",
		"joe:" + hash + ":member:p\nann:" + hash + ":member:" + longName + "x": "f:2: ",
	} {
		_, err := identity.ParseUsers("f", []byte(text))
		var pe *identity.ParseError
		if !errors.As(err, &pe) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q\nerror %v\n want %s", text, err, want)
		}
	}
}

var longName = strings.Repeat("p", 64)

func TestPasswords(t *testing.T) {
	p, err := identity.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	other, err := identity.HashPassword("secret")
	if err != nil || other.String() == p.String() {
		t.Errorf("no salt: %s, %v", other, err)
	}
	s, err := identity.New(identity.Options{Users: []identity.User{{Name: "joe", Password: p, Role: identity.Member, Projects: []string{"two"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]int{"secret": 201, "Secret": 401} {
		if rec := send(s, "POST", "/v3/auth/tokens", login("joe", password, "")); rec.Code != want {
			t.Errorf("%s: %d, want %d", password, rec.Code, want)
		}
	}
	again, err := identity.ParsePassword(p.String())
	if err != nil || again.String() != p.String() {
		t.Errorf("%s and %s, %v", p, again, err)
	}
}
