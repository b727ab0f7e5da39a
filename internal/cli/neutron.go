package cli

import (
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kuryr/internal/config"
	"kuryr/internal/daemon"
)

// unixScheme starts --listen's addresses of Unix sockets.
const unixScheme = "unix://"

// neutronFlags are the flags of "kuryr neutron".
type neutronFlags struct {
	listen, state, host, token, keystone, cert, key, ca, faults string
	debug                                                       bool
}

func (f *neutronFlags) add(set *pflag.FlagSet) {
	for _, flag := range []struct {
		name, value, usage string
		into               *string
	}{
		{"listen", "ADDRESS", "ADDRESS:PORT, or unix:///PATH (required)", &f.listen},
		{"state-dir", "DIRECTORY", "directory of the database (required)", &f.state},
		{"host", "NAME", "the binding:host_id whose ports it binds (default: the host name)", &f.host},
		{"token-file", "FILE", "file of the token that requests must bring in X-Auth-Token", &f.token},
		{"keystone", "FILE", "file of the users of a minimal Keystone, which is served too", &f.keystone},
		{"tls-cert", "FILE", "certificate (PEM) to serve TLS with", &f.cert},
		{"tls-key", "FILE", "key (PEM) of --tls-cert", &f.key},
		{"tls-ca", "FILE", "authorities (PEM) of the clients' certificates, which are then required", &f.ca},
		{"faults", "FILE", "rules of what goes wrong on purpose, for tests only; read again on SIGHUP", &f.faults},
	} {
		set.Var(&setting{value: flag.value, into: flag.into}, flag.name, flag.usage)
	}
	set.BoolVar(&f.debug, "debug", false, "log the details of every call too")
}

func newNeutron() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "neutron --listen ADDRESS --state-dir DIRECTORY",
		Short: "Serve the embedded Neutron alone until stopped",
		Long: `Serve the embedded Neutron alone: the Networking API v2.0 over HTTP. "kuryr
serve" uses it when kuryr.conf has auth_type = none and its URL as
endpoint_override.

On a Unix socket or a loopback address it needs no authentication. Any other
address wants a token (--token-file), a Keystone (--keystone), or TLS with the
clients' certificates (--tls-cert, --tls-key and --tls-ca). Where a certificate
and a token are wanted, clients need both.

Who has the token is an administrator, and may name the project in X-Project-Id.

--keystone serves a minimal Keystone at the same address, for the users in FILE,
one in a line:

  # NAME:PASSWORD:ROLE:PROJECT[,PROJECT]...
  admin:pbkdf2-sha256$600000$81cf...:admin:ops,blue
  joe:pbkdf2-sha256$600000$2f07...:member:blue

"kuryr neutron passwd" prints a PASSWORD. ROLE is admin, or member: members see
what is their project's or shared. FILE is read at the start. Clients have
http://ADDRESS:PORT/v3 as auth_url, and "Default" as the domain of users and
projects.

With CAP_NET_ADMIN and CAP_SYS_ADMIN it puts security groups and port security
in force on this host's ports. Without, its ports say that they are unprotected.

For tests of clients, --faults names a JSON file of rules that delay or refuse
requests, or lose their answers, by method and path:

  {"seed": 7, "rules": [
    {"method": "POST", "path": "/v2.0/ports", "skip": 2, "count": 1, "do": "lose"},
    {"path": "/v2.0/networks/*", "delay": "250ms", "probability": 0.1},
    {"method": "DELETE", "path": "/v2.0/**", "do": "answer", "status": 503}]}

The first rule that takes a request decides. "do" is "pass", "answer" (with
"status", "type", "message", "retry_after"), "lose" (the connection breaks once
it is done) or "break" (before).`,
		Example: `  sudo kuryr neutron --listen 127.0.0.1:9696 --state-dir /var/lib/kuryr-neutron
  sudo kuryr neutron --listen unix:///run/neutron.sock --state-dir /var/lib/kuryr-neutron
  sudo kuryr neutron --listen 0.0.0.0:9696 --state-dir /var/lib/kuryr-neutron \
    --tls-cert server.pem --tls-key server.key --tls-ca clients.pem
  sudo kuryr neutron --listen 0.0.0.0:9696 --state-dir /var/lib/kuryr-neutron \
    --tls-cert server.pem --tls-key server.key --keystone /etc/kuryr/users`,
		Args: noArgs,
	}
	cmd.AddCommand(newNeutronExport(), newNeutronImport(), newNeutronPasswd())
	var f neutronFlags
	f.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		var reload chan os.Signal
		if f.faults != "" {
			reload = make(chan os.Signal, 1)
			signal.Notify(reload, syscall.SIGHUP)
			defer signal.Stop(reload)
		}
		return daemon.RunNeutron(cmd.Context(), daemon.NeutronOptions{
			Listen:    f.listen,
			StateDir:  f.state,
			Host:      f.host,
			Enforce:   checkCapabilities() == nil,
			TokenFile: f.token,
			Keystone:  f.keystone,
			TLS:       daemon.TLSFiles{Cert: f.cert, Key: f.key, ClientCA: f.ca},
			Faults:    f.faults,
			Reload:    reload,
			Log:       newLogger(cmd.ErrOrStderr(), f.debug),
		})
	}
	return cmd
}

// check refuses what was not understood, before anything is done.
func (f *neutronFlags) check() error {
	path, unix := strings.CutPrefix(f.listen, unixScheme)
	switch {
	case f.listen == "":
		return usageError{err: errors.New("--listen is required"), hint: "for instance --listen 127.0.0.1:9696"}
	case f.state == "":
		return usageError{err: errors.New("--state-dir is required"), hint: "for instance --state-dir /var/lib/kuryr-neutron"}
	case (f.cert == "") != (f.key == ""):
		return usageError{err: errors.New("--tls-cert and --tls-key go together")}
	case f.ca != "" && f.cert == "":
		return usageError{err: errors.New("--tls-ca goes with --tls-cert and --tls-key")}
	case unix && f.cert != "":
		return usageError{err: errors.New("there is no TLS on a Unix socket"), hint: "leave --tls-cert, --tls-key and --tls-ca out"}
	case unix && f.keystone != "":
		return usageError{err: errors.New("there is no Keystone on a Unix socket"), hint: "leave --keystone out, or use an address: --listen 127.0.0.1:9696"}
	case f.keystone != "" && f.token != "":
		return usageError{err: errors.New("--keystone and --token-file exclude each other"), hint: "leave one out: both say which X-Auth-Token is good"}
	}
	var err error
	hint := ""
	switch {
	case unix:
		err = config.CheckSocketPath("--listen", path)
	case f.token != "" || f.keystone != "" || f.ca != "":
		err = config.CheckAddress("--listen", f.listen)
	default:
		err = config.CheckLoopback("--listen", f.listen)
		if config.CheckAddress("--listen", f.listen) == nil {
			hint = "use a loopback address, or ask for credentials: --token-file, --keystone, or --tls-cert, --tls-key and --tls-ca"
		}
	}
	var ce *config.Error
	if errors.As(err, &ce) {
		if hint == "" {
			hint = ce.Hint
		}
		return usageError{err: err, hint: hint}
	}
	return err
}
