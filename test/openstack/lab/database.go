package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"kuryr/test/openstack/cloud"
)

// The database of Keystone and Neutron. It is reached by a Unix socket only,
// in a directory that only root may enter, so it needs no accounts.

func (l *lab) database(ctx context.Context) error {
	data := l.path(cloud.Controller, "mysql")
	err := l.once("database", func() error {
		if err := os.RemoveAll(data); err != nil { // what an interrupted up left
			return err
		}
		_, err := l.run(ctx, cloud.Controller, nil, "mariadb-install-db", "--no-defaults", "--user=root", "--datadir="+data,
			"--auth-root-authentication-method=normal", "--skip-test-db")
		return err
	})
	if err != nil {
		return err
	}
	// Nothing needs to outlive a crash of the machine: no waiting for the disk.
	err = l.start(daemon{name: "mariadb", machine: cloud.Controller, args: []string{
		"mariadbd", "--no-defaults", "--user=root", "--datadir=" + data, "--socket=" + l.mysqlSocket(), "--skip-networking",
		"--skip-grant-tables", "--skip-log-bin", "--max-connections=400", "--character-set-server=utf8mb3",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-flush-method=nosync",
		"--innodb-buffer-pool-size=128M", "--innodb-log-file-size=48M", "--performance-schema=OFF"}})
	if err != nil {
		return err
	}
	return l.ready(ctx, "mariadb", func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", l.mysqlSocket())
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// schema makes a database of that name, and its tables with the command.
func (l *lab) schema(ctx context.Context, name string, command ...string) error {
	return l.once("schema-"+name, func() error {
		create := fmt.Sprintf("DROP DATABASE IF EXISTS %s; CREATE DATABASE %[1]s", name)
		if _, err := l.run(ctx, cloud.Controller, nil, "mariadb", "--no-defaults", "--socket="+l.mysqlSocket(), "--user=root", "--execute="+create); err != nil {
			return err
		}
		_, err := l.run(ctx, cloud.Controller, nil, command...)
		return err
	})
}

func (l *lab) mysqlSocket() string { return l.path(cloud.Controller, "mysql.sock") }

// databaseURL is how services name a database.
func (l *lab) databaseURL(name string) string {
	return fmt.Sprintf("mysql+pymysql://root@localhost/%s?unix_socket=%s&charset=utf8", name, l.mysqlSocket())
}
