package neutron

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"gopkg.in/yaml.v2"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// gophercloud's own clouds.Parse is not used: it panics on a cloud without
// "auth", its errors quote the file, and what it returns can't be checked
// together with kuryr.conf's options. The form of the file is its, though.

// maxClouds is far more than any clouds.yaml needs, in bytes.
const maxClouds = 1 << 20

// cloudEntry is one cloud of clouds.yaml or secure.yaml.
type cloudEntry struct {
	clouds.Cloud    `yaml:",inline"`
	NetworkEndpoint string `yaml:"network_endpoint_override"`
}

type cloudsFile struct {
	Clouds map[string]cloudEntry `yaml:"clouds"`
	Public map[string]cloudEntry `yaml:"public-clouds"` // of clouds-public.yaml
}

// complete fills in what clouds.yaml says of the cloud: under the settings
// come secure.yaml, clouds.yaml, and the profile of clouds-public.yaml. It
// returns warnings of files that others can read.
func (c Cloud) complete() (_ Cloud, warnings []string, err error) {
	if c.Name == "" {
		return c, nil, nil
	}
	path, err := c.findClouds()
	if err != nil {
		return c, nil, err
	}
	dir := filepath.Dir(path)
	file, open, err := readClouds(path)
	if err != nil {
		return c, nil, err
	}
	secure, openSecure, err := readClouds(filepath.Join(dir, "secure.yaml"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return c, nil, err
	}
	entry, ok := file.Clouds[c.Name]
	if _, also := secure.Clouds[c.Name]; !ok && !also {
		return c, nil, c.refuse("there is no such cloud in "+path, "openstack --os-cloud "+c.Name+" token issue shows whether OpenStack's own client finds it")
	}
	c = c.over(secure.Clouds[c.Name].settings()).over(entry.settings())
	if profile := entry.profile(); profile != "" {
		public, _, err := readClouds(filepath.Join(dir, "clouds-public.yaml"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c, nil, err
		}
		c = c.over(public.Public[profile].settings())
	}
	for path, open := range map[string]bool{path: open && entry.settings().holdsSecret(), filepath.Join(dir, "secure.yaml"): openSecure} {
		if open {
			warnings = append(warnings, "every user of this host can read "+path+", which holds a secret: chmod 640 it")
		}
	}
	return c, warnings, nil
}

// findClouds returns the path of clouds.yaml.
func (c Cloud) findClouds() (string, error) {
	places := []string{c.File}
	if c.File == "" {
		places = []string{"clouds.yaml"}
		if dir, err := os.UserConfigDir(); err == nil {
			places = append(places, filepath.Join(dir, "openstack", "clouds.yaml"))
		}
		places = append(places, "/etc/openstack/clouds.yaml")
	}
	for _, path := range places {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", c.refuse("there is no clouds.yaml: "+strings.Join(places, ", "), "write one, or name it: OS_CLIENT_CONFIG_FILE, or clouds_file in kuryr.conf")
}

// readClouds reads one file, and tells whether every user can read it.
func readClouds(path string) (file cloudsFile, open bool, err error) {
	data, open, err := readSmall(path)
	if err != nil {
		return file, open, &courier.Error{Kind: courier.Invalid, Op: "read", Subject: path, Public: cause(err), Err: err}
	}
	if err := parseClouds(data, &file); err != nil {
		e := &courier.Error{Kind: courier.Invalid, Op: "read", Subject: path, Public: "it is not of the form of clouds.yaml"}
		if n := err.line(); n != "" {
			e.Subject += ":" + n
		}
		return file, open, e
	}
	return file, open, nil
}

func readSmall(path string) (data []byte, open bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close() // it was only read
	st, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	data, err = io.ReadAll(io.LimitReader(f, maxClouds+1))
	if err == nil && len(data) > maxClouds {
		err = fmt.Errorf("it is larger than %d bytes", maxClouds)
	}
	return data, st.Mode().Perm()&0o004 != 0, err
}

// yamlError is an error of the YAML decoder, whose text may quote secrets.
type yamlError struct{ err error }

var yamlLine = regexp.MustCompile(`\bline (\d+):`)

// line returns the number of the line that is at fault, or "".
func (e *yamlError) line() string {
	if m := yamlLine.FindStringSubmatch(e.err.Error()); m != nil {
		return m[1]
	}
	return ""
}

func parseClouds(data []byte, file *cloudsFile) *yamlError {
	if err := yaml.Unmarshal(data, file); err != nil {
		return &yamlError{err}
	}
	return nil
}

// profile names the vendor's settings that a cloud builds on.
func (e cloudEntry) profile() string {
	if e.Profile != "" {
		return e.Profile
	}
	return e.Cloud.Cloud
}

// settings translates an entry.
func (e cloudEntry) settings() Cloud {
	c := Cloud{
		AuthType:         string(e.AuthType),
		RegionName:       e.RegionName,
		Interfaces:       e.EndpointType,
		EndpointOverride: e.NetworkEndpoint,
		CAFile:           home(e.CACertFile),
		CertFile:         home(e.ClientCertFile),
		KeyFile:          home(e.ClientKeyFile),
		Insecure:         e.Verify != nil && !*e.Verify,
	}
	or(&c.Interfaces, e.Interface)
	if c.RegionName == "" && len(e.Regions) > 0 {
		c.RegionName = e.Regions[0].Name
	}
	a := e.AuthInfo
	if a == nil {
		return c
	}
	c.AuthURL = a.AuthURL
	c.Username, c.UserID, c.Password = a.Username, a.UserID, observe.Secret(a.Password)
	c.UserDomainID, c.UserDomainName = a.UserDomainID, a.UserDomainName
	c.ProjectID, c.ProjectName = a.ProjectID, a.ProjectName
	c.ProjectDomainID, c.ProjectDomainName = a.ProjectDomainID, a.ProjectDomainName
	c.DefaultDomainID, c.DefaultDomainName = a.DomainID, a.DomainName
	either(&c.DefaultDomainID, &c.DefaultDomainName, a.DefaultDomain, "")
	c.TrustID = a.TrustID
	c.AppCredentialID, c.AppCredentialName = a.ApplicationCredentialID, a.ApplicationCredentialName
	c.AppCredentialSecret, c.Token = observe.Secret(a.ApplicationCredentialSecret), observe.Secret(a.Token)
	return c
}

func (c Cloud) holdsSecret() bool {
	return c.Password != "" || c.AppCredentialSecret != "" || c.Token != ""
}

// home expands a leading "~/", as OpenStack's clients do.
func home(path string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	dir, err := os.UserHomeDir()
	if !ok || err != nil {
		return path
	}
	return filepath.Join(dir, rest)
}

// cause is a file's error without its path, which the text names already.
func cause(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
