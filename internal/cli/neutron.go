package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"kuryr/internal/config"
	"kuryr/internal/daemon"
)

// unixScheme starts --listen's addresses of Unix sockets.
const unixScheme = "unix://"

func newNeutron() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "neutron --listen ADDRESS --state-dir DIRECTORY",
		Short: "Serve the embedded Neutron alone until stopped",
		Long: `Serve the embedded Neutron alone: the Networking API v2.0 over HTTP, without
authentication, so only on a loopback address or a Unix socket. "kuryr serve"
uses it when kuryr.conf has auth_type = none and its URL as endpoint_override.`,
		Example: `  sudo kuryr neutron --listen 127.0.0.1:9696 --state-dir /var/lib/kuryr-neutron
  sudo kuryr neutron --listen unix:///run/neutron.sock --state-dir /var/lib/kuryr-neutron`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	listen := &setting{value: "ADDRESS"}
	flags.Var(listen, "listen", "loopback ADDRESS:PORT, or unix:///PATH (required)")
	state := &setting{value: "DIRECTORY"}
	flags.Var(state, "state-dir", "directory of the database (required)")
	host := &setting{value: "NAME"}
	flags.Var(host, "host", "the binding:host_id whose ports it binds (default: the host name)")
	verbose := flags.Bool("debug", false, "log the details of every call too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkNeutronFlags(listen.text, state.text); err != nil {
			return err
		}
		return daemon.RunNeutron(cmd.Context(), daemon.NeutronOptions{
			Listen:   listen.text,
			StateDir: state.text,
			Host:     host.text,
			Log:      newLogger(cmd.ErrOrStderr(), *verbose),
		})
	}
	return cmd
}

func checkNeutronFlags(listen, stateDir string) error {
	switch {
	case listen == "":
		return usageError{err: errors.New("--listen is required"), hint: "for instance --listen 127.0.0.1:9696"}
	case stateDir == "":
		return usageError{err: errors.New("--state-dir is required"), hint: "for instance --state-dir /var/lib/kuryr-neutron"}
	}
	var err error
	if path, ok := strings.CutPrefix(listen, unixScheme); ok {
		err = config.CheckSocketPath("--listen", path)
	} else {
		err = config.CheckLoopback("--listen", listen)
	}
	var ce *config.Error
	if errors.As(err, &ce) {
		return usageError{err: err, hint: ce.Hint}
	}
	return err
}
