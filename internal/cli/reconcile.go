package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"kuryr/internal/courier"
	"kuryr/internal/daemon"
)

func newReconcile() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what this host holds with what there is, now",
		Long: `Compare what this host holds with what Neutron, the kernel and Open vSwitch have,
now, and print what was not as it should be and what was done about it. The
running Kuryr does so by itself, each reconcile_interval: what is broken is
mended, and what this host made and nobody owns any more is deleted.

The exit code is 1 when the comparison, or something that it had to do, failed.`,
		Example: `  sudo kuryr reconcile
  sudo kuryr reconcile -o json | jq '.findings[] | select(.action == "none")'`,
		Args: noArgs,
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return flags.reconcile(cmd.Context(), cmd.OutOrStdout(), courier.ReconcileOptions{Act: true}, *output)
	}
	return cmd
}

func newGC() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc {--dry-run|--yes} [--lost]",
		Short: "Delete what this host made and nobody owns any more",
		Long: `Delete what this host made and nobody owns any more: in Neutron, in the kernel
and in Open vSwitch. With --dry-run only print what that is, and why.

A resource is deleted if its mark says that this host and this very state
directory made it, and there is no record of it. With --lost also what has this
host's mark and was made with another state directory, one that was lost: see
first, with --dry-run, that no other Kuryr has the same host name. What a
container uses, and what others use, is never deleted; and nothing is that has
no mark of Kuryr's.

The exit code is 1 when something could not be deleted.`,
		Example: `  sudo kuryr gc --dry-run
  sudo kuryr gc --yes`,
		Args: noArgs,
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	dry := cmd.Flags().Bool("dry-run", false, "only print what would be deleted")
	yes := cmd.Flags().Bool("yes", false, "delete it")
	lost := cmd.Flags().Bool("lost", false, "also what another state directory of this host has made")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *dry == *yes {
			return usageError{err: errors.New("say either --dry-run or --yes"), hint: `"kuryr gc --dry-run" prints what "kuryr gc --yes" would delete`}
		}
		return flags.reconcile(cmd.Context(), cmd.OutOrStdout(), courier.ReconcileOptions{Act: *yes, Lost: *lost}, *output)
	}
	return cmd
}

// reconcile has the daemon compare, and prints what it found.
func (f *settingFlags) reconcile(ctx context.Context, w io.Writer, o courier.ReconcileOptions, output outputFlag) error {
	socket, err := f.adminSocket()
	if err != nil {
		return err
	}
	query := url.Values{"act": {strconv.FormatBool(o.Act)}, "lost": {strconv.FormatBool(o.Lost)}}
	body, err := adminWait(ctx, socket, http.MethodPost, "/v1/reconcile?"+query.Encode(), daemon.ReconcileTimeout+adminTimeout)
	if err != nil {
		return err
	}
	var r daemon.Reconciliation
	if err := json.Unmarshal(body, &r); err != nil {
		return &courier.Error{Kind: courier.Internal, Op: "read", Subject: "the answer of kuryr at " + socket, Err: err,
			Hint: "does another version of kuryr run there?"}
	}
	if output == asJSON {
		err = printRaw(w, body)
	} else {
		err = printFindings(w, r)
	}
	return errors.Join(err, unfinished(r))
}

// unfinished is why a reconciliation did not do all that it had to.
func unfinished(r daemon.Reconciliation) error {
	if r.Error != "" {
		return &courier.Error{Op: "finish", Subject: "the comparison", Public: r.Error, Hint: r.Hint}
	}
	failed := 0
	for _, f := range r.Findings {
		if f.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return &courier.Error{Op: "put right", Subject: fmt.Sprintf("%d of %d findings", failed, len(r.Findings)),
		Public: "see what is told of each", Hint: "Kuryr tries again by itself"}
}

func printFindings(w io.Writer, r daemon.Reconciliation) error {
	if len(r.Findings) == 0 {
		if r.Error != "" {
			return nil
		}
		_, err := fmt.Fprintf(w, "All is as it should be (compared in %.1f s).\n", r.Took)
		return err
	}
	rows := make([][]string, len(r.Findings))
	for i, f := range r.Findings {
		rows[i] = []string{f.Kind, f.ID, f.Name, f.Problem, f.Action, result(f, r.Acted)}
	}
	if err := table(w, []string{"KIND", "ID", "NAME", "PROBLEM", "ACTION", "RESULT"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nFindings: %d (compared in %.1f s)\n", len(r.Findings), r.Took)
	return err
}

// result is what came of a finding.
func result(f courier.Finding, acted bool) string {
	switch {
	case f.Error != "":
		return "failed: " + f.Error
	case f.Open():
		return "needs you"
	case acted:
		return "done"
	}
	return "dry run"
}
