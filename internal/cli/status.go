package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what the running Kuryr holds and how it fares",
		Long: `Print what the running Kuryr holds and how it fares: its health, networks,
attachments (one container interface on one network: one Neutron port) and
pending removals. It reads the admin socket of "kuryr serve".

The exit code is 0 when Kuryr answered, whatever its health.`,
		Example: `  sudo kuryr status
  sudo kuryr status -o json | jq '.courier.attachments[].addresses'`,
		Args: noArgs,
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	full := cmd.Flags().Bool("no-trunc", false, "print IDs in full")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, body, err := flags.status(cmd.Context())
		if err != nil {
			return err
		}
		if *output == asJSON {
			return printRaw(cmd.OutOrStdout(), body)
		}
		v := statusView{w: cmd.OutOrStdout(), colour: paletteFor(cmd.OutOrStdout()), full: *full, now: time.Now()}
		return v.print(s)
	}
	return cmd
}

// adminSocket finds the daemon's socket. Other options of the file may be
// wrong, or the file unreadable for this user: then the daemon may still run.
func (f *settingFlags) adminSocket() (string, error) {
	cfg, _, err := f.load()
	if cfg.AdminSocket == "" || f.set.Changed("config-file") {
		return cfg.AdminSocket, err
	}
	return cfg.AdminSocket, nil
}

// printRaw prints the daemon's own JSON, with what this version doesn't know.
func printRaw(w io.Writer, body []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(body), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
