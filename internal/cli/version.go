package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildVersion is what `kuryr version` tells, read from what the Go toolchain
// wrote into the binary.
type buildVersion struct {
	Version  string `json:"version"`            // of the module, "(devel)" when the toolchain knew none
	Revision string `json:"revision,omitempty"` // of the repository, when built in one
	Time     string `json:"time,omitempty"`     // of the revision
	Modified bool   `json:"modified"`           // the source was not as in the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func readVersion() buildVersion {
	v := buildVersion{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Long:  "Print the version of this binary, the revision it was built from, and for which platform.",
		Example: `  kuryr version
  kuryr version -o json`,
		Args: noArgs,
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		v := readVersion()
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), v)
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), v.text())
		return err
	}
	return cmd
}

func (v buildVersion) text() string {
	s := "kuryr " + v.Version + "\n"
	if v.Revision != "" {
		s += "revision " + v.Revision
		if v.Modified {
			s += " (modified)"
		}
		if v.Time != "" {
			s += " of " + v.Time
		}
		s += "\n"
	}
	return s + v.Go + " " + v.Platform + "\n"
}
