package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"kuryr/test/openstack/cloud"
)

func (l *lab) keystoneSchema(ctx context.Context) error {
	conf, err := l.configure("keystone.conf")
	if err != nil {
		return err
	}
	return l.schema(ctx, "keystone", "keystone-manage", "--config-file", conf, "db_sync")
}

// keystone starts the Identity service, with its first user in it.
func (l *lab) keystone(ctx context.Context) error {
	conf := l.path("conf", "keystone.conf")
	if err := l.once("keystone", func() error { return l.bootstrap(ctx, conf) }); err != nil {
		return err
	}
	err := l.start(daemon{name: "keystone", machine: cloud.Controller,
		env: []string{"OS_KEYSTONE_CONFIG_FILES=" + conf},
		args: []string{"uwsgi", "--plugin", "python3", "--http-socket", cloud.ControllerAddress + ":5000",
			"--wsgi-file", "/usr/bin/keystone-wsgi-public", "--processes", "1", "--threads", "4", "--need-app",
			"--die-on-term", "--buffer-size", "65535", "--disable-logging",
			// It can't keep a connection alive, and must say so.
			"--add-header", "Connection: close"}})
	if err != nil {
		return err
	}
	return l.ready(ctx, "keystone", func(ctx context.Context) error { return l.answers(ctx, cloud.AuthURL) })
}

// bootstrap makes keys, the administrator, and the first region of the catalog.
func (l *lab) bootstrap(ctx context.Context, conf string) error {
	for _, dir := range []string{"fernet", "credential"} {
		if err := makeKeys(l.path(cloud.Controller, dir)); err != nil {
			return err
		}
	}
	args := []string{"keystone-manage", "--config-file", conf, "bootstrap", "--bootstrap-region-id", cloud.Region,
		"--bootstrap-username", cloud.Admin.User, "--bootstrap-password", cloud.Admin.Password, "--bootstrap-project-name", cloud.Admin.Project}
	for _, i := range []string{"public", "internal", "admin"} {
		args = append(args, "--bootstrap-"+i+"-url", cloud.AuthURL)
	}
	_, err := l.run(ctx, cloud.Controller, nil, args...)
	return err
}

// makeKeys makes the keys that keystone-manage's fernet_setup and
// credential_setup make, without starting Python twice: 32 random bytes each.
func makeKeys(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range 2 {
		var key [32]byte
		rand.Read(key[:])
		text := base64.URLEncoding.EncodeToString(key[:])
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// answers reports whether a service answers a GET, as the controller sees it.
func (l *lab) answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: l.Machine(cloud.Controller).Dial, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
