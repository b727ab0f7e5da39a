package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kuryr/internal/config"
)

func newConfig() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "config",
		Short: "Look at the configuration",
		Long:  "Look at the configuration. Every option is described in docs/configuration.md.",
	})
	cmd.AddCommand(newConfigShow(), newConfigDockerJSON())
	return cmd
}

func newConfigShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every option's value and where it came from",
		Long: `Print every option's value and where it came from: a default, a line of the
configuration file, or an environment variable. Options without an effect are
printed when they are set. Secrets are printed as ***.

What is wrong is reported after the table, and the exit code is then 1: "kuryr
serve" would not start.`,
		Example: `  kuryr config show
  kuryr config show --config-file ./kuryr.conf -o json`,
		Args: noArgs,
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_, r, err := flags.load()
		if perr := printSettings(cmd.OutOrStdout(), r.Settings, *output); perr != nil {
			return errors.Join(err, perr)
		}
		for _, w := range r.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
		}
		return err
	}
	return cmd
}

func printSettings(w io.Writer, settings []config.Setting, output outputFlag) error {
	if output == asJSON {
		return printJSON(w, settings)
	}
	rows := make([][]string, len(settings))
	for i, s := range settings {
		origin := s.Origin.String()
		if s.Ignored {
			origin += " (no effect)"
		}
		rows[i] = []string{s.Section, s.Option, s.Value, origin}
	}
	return table(w, []string{"SECTION", "OPTION", "VALUE", "ORIGIN"}, rows)
}
