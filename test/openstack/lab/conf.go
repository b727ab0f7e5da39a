package main

import (
	"embed"
	"os"
	"path/filepath"
	"text/template"

	"kuryr/test/openstack/cloud"
)

// confFiles are the configuration files of the services, as templates.
//
//go:embed conf
var confFiles embed.FS

// settings are what templates may name.
type settings struct {
	*lab
	Host string // a compute host, in the files that are one's own
}

// configure writes a configuration file from the template of that name and
// returns its path.
func (l *lab) configure(name string) (string, error) { return l.configureHost(name, "") }

// configureHost is configure for a file that each host has one of.
func (l *lab) configureHost(name, host string) (string, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(confFiles, "conf/"+name)
	if err != nil {
		return "", err
	}
	path := l.path("conf", host, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := t.Execute(f, settings{l, host}); err != nil {
		return "", err
	}
	return path, f.Close()
}

// What follows is for the templates.

func (s settings) Database(name string) string { return s.databaseURL(name) }
func (s settings) Controller() string          { return cloud.ControllerAddress }
func (s settings) AuthURL() string             { return cloud.AuthURL }
func (s settings) Region() string              { return cloud.Region }
func (s settings) OVN() bool                   { return s.Mechanism == cloud.OVN }
func (s settings) LinuxBridge() bool           { return s.Mechanism == cloud.LinuxBridge }
func (s settings) Hybrid() bool                { return s.Mechanism == cloud.OVSHybrid }
func (s settings) State(name string) string    { return s.path(cloud.Controller, name) }
func (s settings) Link(network string) string  { return network + "0" }
func (s settings) PhysicalNetwork() string     { return physicalNetwork }
func (s settings) RabbitPassword() string      { return rabbitPassword }
func (s settings) NeutronPassword() string     { return neutronPassword }
