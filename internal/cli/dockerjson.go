package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"

	"github.com/spf13/cobra"

	"kuryr/internal/config"
	"kuryr/internal/courier"
)

// dockerPlugin is a file of Docker's plugin discovery, as Docker's
// documentation of plugins names its fields.
type dockerPlugin struct {
	Name      string
	Addr      string
	TLSConfig dockerTLS
}

type dockerTLS struct {
	InsecureSkipVerify        bool
	CAFile, CertFile, KeyFile string
}

func newConfigDockerJSON() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "docker-json --ca-file FILE --cert-file FILE --key-file FILE",
		Short: "Print the file by which Docker finds Kuryr over TLS",
		Long: `Print the file by which Docker finds Kuryr over TLS, for
/etc/docker/plugins/kuryr.json. The configuration must have kuryr_uri and
enable_ssl. The three files are Docker's, on Docker's machine: the authority of
Kuryr's certificate, and the certificate and key that Docker shows.`,
		Example: `  kuryr config docker-json --ca-file /etc/docker/kuryr/ca.pem \
    --cert-file /etc/docker/kuryr/cert.pem --key-file /etc/docker/kuryr/key.pem`,
		Args: noArgs,
	}
	flags := addConfigFile(cmd)
	var t dockerTLS
	for name, flag := range map[string]struct {
		usage string
		into  *string
	}{
		"ca-file":   {"authorities of Kuryr's certificate (required)", &t.CAFile},
		"cert-file": {"Docker's certificate (required)", &t.CertFile},
		"key-file":  {"Docker's key (required)", &t.KeyFile},
	} {
		cmd.Flags().Var(&setting{value: "FILE", into: flag.into}, name, flag.usage)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := t.check(); err != nil {
			return err
		}
		cfg, _, err := flags.load()
		if err != nil {
			return err
		}
		addr, err := dockerAddress(cfg)
		if err != nil {
			return err
		}
		return printJSON(cmd.OutOrStdout(), dockerPlugin{Name: "kuryr", Addr: addr, TLSConfig: t})
	}
	return cmd
}

func (t dockerTLS) check() error {
	for _, f := range []struct{ name, path string }{{"--ca-file", t.CAFile}, {"--cert-file", t.CertFile}, {"--key-file", t.KeyFile}} {
		switch {
		case f.path == "":
			// Without one Docker would not check whom it talks to, or could show nothing.
			return usageError{err: fmt.Errorf("%s is required", f.name)}
		case !filepath.IsAbs(f.path):
			return usageError{err: fmt.Errorf("cannot use %s: %q is not an absolute path", f.name, f.path), hint: "Docker reads it from a folder of its own"}
		}
	}
	return nil
}

// dockerAddress is kuryr_uri as a client of this host reaches it.
func dockerAddress(cfg config.Config) (string, error) {
	u, err := url.Parse(cfg.KuryrURI)
	if err != nil || !cfg.EnableSSL {
		return "", &courier.Error{Kind: courier.Invalid, Op: "tell Docker where Kuryr is", Err: errors.New("TLS is not configured"),
			Hint: "set kuryr_uri and enable_ssl; over the Unix socket Docker finds Kuryr by itself"}
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && a.IsUnspecified() {
		loopback := "127.0.0.1"
		if a.Is6() {
			loopback = "::1"
		}
		u.Host = net.JoinHostPort(loopback, u.Port())
	}
	return u.String(), nil
}
