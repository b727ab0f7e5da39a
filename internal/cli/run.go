package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kuryr/internal/config"
	"kuryr/internal/courier"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// Run runs the command that args name, without the program's own name, and
// returns its exit code. When ctx ends, `serve` and `neutron` stop in good order.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	return report(stderr, cmd, err)
}

// newRoot returns the whole tree of commands.
func newRoot() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "kuryr",
		Short: "Connect containers to OpenStack Neutron networks",
		Long: `Kuryr connects containers to OpenStack Neutron networks: Docker's networks become
Neutron networks, and each container gets a Neutron port. Where there is no
OpenStack, the same binary carries an embedded Neutron.`,
		Example: `  sudo kuryr serve &
  docker network create -d kuryr --ipam-driver kuryr --subnet 10.10.0.0/24 blue
  docker run --rm --network blue busybox ip addr
  sudo kuryr status`,
	})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err: err} })
	// Groups can be run only to answer with their help, which their usage need not say.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", `{{if and .Runnable (not (index .Annotations "group"))}}`, 1))
	root.AddCommand(newServe(), newNeutron(), newStatus(), newTrace(), newShow(), newDrain(), newReconcile(), newGC(), newConfig(), newVersion())
	root.SetHelpCommand(newHelp(root))
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			group(cmd)
			for _, shell := range cmd.Commands() {
				shell.Args = noArgs
			}
		}
	}
	return root
}

// groupNote is the annotation of commands that only have subcommands.
const groupNote = "group"

// group makes cmd a command that only has subcommands: alone it prints its
// help, and an unknown subcommand is answered with what may have been meant.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.Annotations = map[string]string{groupNote: "yes"}
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return unknownCommand(cmd, args[0])
	}
	return cmd
}

func unknownCommand(parent *cobra.Command, name string) error {
	err := usageError{err: fmt.Errorf("unknown command %q for %q", name, parent.CommandPath())}
	near := parent.SuggestionsFor(name)
	for i, n := range near {
		near[i] = strconv.Quote(parent.CommandPath() + " " + n)
	}
	if len(near) > 0 {
		err.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return err
}

// newHelp replaces cobra's help command, which takes unknown commands in silence.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Print the help of a command",
		Long:  "Print the help of a command, as --help after it does.",
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if cmd, _, err := root.Find(args); err == nil {
				for _, sub := range cmd.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, sub.Name()+"\t"+sub.Short)
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return usageError{err: err}
			}
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// noArgs refuses positional arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{err: fmt.Errorf("%q takes no arguments, and got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// usageError is a command line that was not understood.
type usageError struct {
	err  error
	hint string // empty: where to read more
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// report prints an error, or each of several that were joined, and returns the
// exit code. cmd is the command that failed.
func report(stderr io.Writer, cmd *cobra.Command, err error) int {
	code := exitFailure
	for _, e := range split(err) {
		fmt.Fprintf(stderr, "error: %s\n", e)
		hint := courier.HintOf(e)
		var ue usageError
		var ce *config.Error
		switch {
		case errors.As(e, &ue):
			code = exitUsage
			if hint = ue.hint; hint == "" {
				hint = fmt.Sprintf("see %q", cmd.CommandPath()+" --help")
			}
		case errors.As(e, &ce):
			hint = ce.Hint
			if ce.Origin.Kind == config.FromFlag {
				code = exitUsage
			}
		}
		if hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", hint)
		}
	}
	return code
}

// split undoes errors.Join.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
