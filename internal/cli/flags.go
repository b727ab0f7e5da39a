package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kuryr/internal/config"
)

// settingFlags are the flags of a command that set options of kuryr.conf.
type settingFlags struct {
	set  *pflag.FlagSet
	file string
}

// addConfigFile adds --config-file.
func addConfigFile(cmd *cobra.Command) *settingFlags {
	f := &settingFlags{set: cmd.Flags()}
	f.set.Var(&setting{text: config.DefaultFile, value: "FILE", into: &f.file}, "config-file", "configuration file, read when it exists; a named one must")
	f.file = config.DefaultFile
	return f
}

// addSettings adds the flags of those options; without names, of all that have one.
func (f *settingFlags) addSettings(names ...string) {
	for _, o := range config.Options() {
		if o.Flag == "" || len(names) > 0 && !slices.Contains(names, o.Flag) {
			continue
		}
		usage := strings.ReplaceAll(o.Usage(), "`", "")
		if o.DefaultNote != "" {
			usage += " (default: " + o.DefaultNote + ")"
		}
		flag := f.set.VarPF(&setting{text: o.Default, value: o.Value}, o.Flag, "", usage)
		if o.Value == "BOOLEAN" {
			flag.NoOptDefVal = "true"
		}
	}
}

// load loads the configuration with the flags that were given.
func (f *settingFlags) load() (config.Config, config.Report, error) {
	given := map[string]string{}
	f.set.Visit(func(flag *pflag.Flag) { given[flag.Name] = flag.Value.String() })
	return config.Load(config.Sources{
		File:      f.file,
		FileGiven: f.set.Changed("config-file"),
		LookupEnv: os.LookupEnv,
		Flags:     given,
	})
}

// setting is a flag whose text config checks.
type setting struct {
	text  string
	value string  // what a value looks like, as in config.Option
	into  *string // a copy; may be nil
}

func (s *setting) String() string { return s.text }

func (s *setting) Set(text string) error {
	s.text = text
	if s.into != nil {
		*s.into = text
	}
	return nil
}

// Type is what help shows in place of a value; "bool" shows nothing.
func (s *setting) Type() string {
	if s.value == "BOOLEAN" {
		return "bool"
	}
	return s.value
}

// The values of --output.
const (
	asTable = "table"
	asJSON  = "json"
)

// outputFlag is the value of -o, --output.
type outputFlag string

// addOutput adds -o.
func addOutput(cmd *cobra.Command) *outputFlag {
	o := outputFlag(asTable)
	cmd.Flags().VarP(&o, "output", "o", "form of the output: table or json")
	// It fails only when the flag does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{asTable, asJSON}, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

func (o *outputFlag) String() string { return string(*o) }
func (o *outputFlag) Type() string   { return "FORM" }

func (o *outputFlag) Set(s string) error {
	if s != asTable && s != asJSON {
		return fmt.Errorf("must be %s or %s", asTable, asJSON)
	}
	*o = outputFlag(s)
	return nil
}
