package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kuryr/internal/courier"
	"kuryr/internal/daemon"
)

// maxPassword bounds what is read as one, in bytes.
const maxPassword = 1024

func newNeutronPasswd() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd",
		Short: "Print the hash of a password for --keystone",
		Long: `Print the hash of a password, for the file that --keystone of "kuryr neutron"
names. The password is asked for on the terminal, or is the first line of stdin.`,
		Example: `  kuryr neutron passwd
  echo "joe:$(kuryr neutron passwd):member:blue" >> users`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return &courier.Error{Kind: courier.Invalid, Op: "read the password", Err: err}
			}
			hash, err := daemon.HashPassword(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}

// readPassword reads a line. On a terminal it asks for it, twice, and what is
// typed is not shown.
func readPassword(in io.Reader, prompts io.Writer) (password string, err error) {
	f, ok := in.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) {
		password, err = askTwice(int(f.Fd()), prompts)
	} else if password, err = bufio.NewReader(io.LimitReader(in, maxPassword+2)).ReadString('\n'); errors.Is(err, io.EOF) {
		err = nil // the end of the input ends a line too
	}
	password = strings.TrimRight(password, "\r\n")
	switch {
	case err != nil:
	case password == "":
		err = errors.New("it must not be empty")
	case len(password) > maxPassword:
		err = fmt.Errorf("it is longer than %d bytes", maxPassword)
	}
	return password, err
}

func askTwice(terminal int, prompts io.Writer) (string, error) {
	var typed [2][]byte
	for i, prompt := range []string{"Password: ", "The same again: "} {
		fmt.Fprint(prompts, prompt)
		var err error
		typed[i], err = term.ReadPassword(terminal)
		fmt.Fprintln(prompts) // what was typed had no echo, its end neither
		if err != nil {
			return "", err
		}
	}
	if string(typed[0]) != string(typed[1]) {
		return "", errors.New("the two differ")
	}
	return string(typed[0]), nil
}
