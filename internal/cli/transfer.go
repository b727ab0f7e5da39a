package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"kuryr/internal/daemon"
)

func newNeutronExport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export --state-dir DIRECTORY",
		Short: "Print all that an embedded Neutron holds as JSON",
		Long: `Print all that an embedded Neutron holds as JSON, for "kuryr neutron import" and
for backups. DIRECTORY is what --state-dir of "kuryr neutron" names, or the
folder "neutron" in the state_dir of "kuryr serve", neither of which may run.`,
		Example: `  sudo kuryr neutron export --state-dir /var/lib/kuryr/neutron > neutron.json`,
		Args:    noArgs,
	}
	state := addStateDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := state.check(); err != nil {
			return err
		}
		return daemon.ExportNeutron(cmd.Context(), cmd.OutOrStdout(), state.text, newLogger(cmd.ErrOrStderr(), false))
	}
	return cmd
}

func newNeutronImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import --state-dir DIRECTORY",
		Short: "Make an embedded Neutron's state from what export printed",
		Long: `Make an embedded Neutron's state in DIRECTORY from what "kuryr neutron export"
printed, read from stdin. A state that holds anything already is refused.`,
		Example: `  sudo kuryr neutron import --state-dir /var/lib/kuryr/neutron < neutron.json`,
		Args:    noArgs,
	}
	state := addStateDir(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := state.check(); err != nil {
			return err
		}
		return daemon.ImportNeutron(cmd.Context(), cmd.InOrStdin(), state.text, newLogger(cmd.ErrOrStderr(), false))
	}
	return cmd
}

// stateDir is a --state-dir that must be given.
type stateDir struct{ setting }

func addStateDir(cmd *cobra.Command) *stateDir {
	s := &stateDir{setting{value: "DIRECTORY"}}
	cmd.Flags().Var(&s.setting, "state-dir", "directory of the database (required)")
	return s
}

func (s *stateDir) check() error {
	if s.text == "" {
		return usageError{err: errors.New("--state-dir is required"), hint: "for instance --state-dir /var/lib/kuryr/neutron"}
	}
	return nil
}
