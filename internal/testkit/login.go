package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Credentials are a user of Keystone's, in the domain "default".
type Credentials struct {
	AuthURL                 string // with /v3
	User, Password, Project string
}

// login gets one token and keeps it: no test outlives it.
type login struct {
	Credentials
	client *http.Client

	mu  sync.Mutex // guards got
	got string
}

func (l *login) token(ctx context.Context) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got != "" {
		return l.got, nil
	}
	type object = map[string]any
	domain := object{"id": "default"}
	body, err := json.Marshal(object{"auth": object{
		"identity": object{"methods": []string{"password"}, "password": object{
			"user": object{"name": l.User, "password": l.Password, "domain": domain}}},
		"scope": object{"project": object{"name": l.Project, "domain": domain}},
	}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.AuthURL+"/auth/tokens", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body) // it only says more about the failure
		return "", fmt.Errorf("no token for %s: %s: %s", l.User, resp.Status, text)
	}
	l.got = resp.Header.Get("X-Subject-Token")
	return l.got, nil
}
