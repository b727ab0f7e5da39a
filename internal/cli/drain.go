package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"kuryr/internal/courier"
	"kuryr/internal/daemon"
)

// drainPoll is how often --wait looks.
const drainPoll = 500 * time.Millisecond

func newDrain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Take this host out: no container is started on it any more",
		Long: `Take this host out: containers that would start on a Kuryr network, or be
connected to one, are refused. Those that run keep their networks, and can be
stopped and removed. It stays so over restarts, until --undo; "kuryr status"
and /readyz tell.

With --wait it returns when no container interface is left, and nothing that
has yet to be removed from Neutron.`,
		Example: `  sudo kuryr drain
  sudo timeout 10m kuryr drain --wait
  sudo kuryr drain --undo`,
		Args: noArgs,
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	undo := cmd.Flags().Bool("undo", false, "have containers start here again")
	wait := cmd.Flags().Bool("wait", false, "wait until nothing is left, and tell what is on stderr")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *undo && *wait {
			return usageError{err: errors.New("--undo and --wait exclude each other")}
		}
		socket, err := flags.adminSocket()
		if err != nil {
			return err
		}
		method := http.MethodPut
		if *undo {
			method = http.MethodDelete
		}
		s, body, err := drainCall(cmd.Context(), socket, method)
		if err == nil && *wait {
			s, body, err = waitDrained(cmd.Context(), cmd.ErrOrStderr(), socket, s, body)
		}
		switch {
		case err != nil:
			return err
		case *output == asJSON:
			return printRaw(cmd.OutOrStdout(), body)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), drainLine(s))
		return err
	}
	return cmd
}

// drainCall returns the answer also as it came.
func drainCall(ctx context.Context, socket, method string) (s daemon.DrainStatus, body []byte, err error) {
	if body, err = adminCall(ctx, socket, method, "/v1/drain"); err != nil {
		return s, nil, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, nil, &courier.Error{Kind: courier.Internal, Op: "read the answer of", Subject: "kuryr at " + socket, Err: err}
	}
	return s, body, nil
}

// waitDrained waits until nothing is left, and tells each time that it is less.
func waitDrained(ctx context.Context, progress io.Writer, socket string, s daemon.DrainStatus, body []byte) (daemon.DrainStatus, []byte, error) {
	told := ""
	for s.Attachments > 0 || s.Pending > 0 {
		if !s.Drained {
			return s, nil, &courier.Error{Kind: courier.Conflict, Op: "wait until this host is drained", Public: "somebody has ended that with kuryr drain --undo"}
		}
		if now := left(s); now != told {
			fmt.Fprintln(progress, now)
			told = now
		}
		select {
		case <-time.After(drainPoll):
		case <-ctx.Done():
			return s, nil, &courier.Error{Kind: courier.Unavailable, Op: "wait until this host is drained", Public: "interrupted; " + left(s), Err: ctx.Err(),
				Hint: "it stays drained; kuryr drain --undo ends that"}
		}
		var err error
		if s, body, err = drainCall(ctx, socket, http.MethodGet); err != nil {
			return s, nil, err
		}
	}
	return s, body, nil
}

// left tells what is on the host still.
func left(s daemon.DrainStatus) string {
	return fmt.Sprintf("%s and %s left", plural(s.Attachments, "container interface"), plural(s.Pending, "removal"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func drainLine(s daemon.DrainStatus) string {
	if !s.Drained {
		return printable(s.Host) + " is not drained: containers are started on it"
	}
	return printable(s.Host) + " is drained: no container is started on it; " + left(s)
}
