package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

func newTrace() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace [ID]",
		Short: "Print where the time of slow calls went",
		Long: fmt.Sprintf(`Print where the time of Docker's slow calls went: the last %d that took %d ms or
longer, the newest first. With an ID, or its beginning, only that one is printed,
with the attributes of its steps. Requests to Neutron carry the ID under which
Neutron's own log has them.`, observe.KeptTraces, observe.SlowCall.Milliseconds()),
		Example: `  sudo kuryr trace
  sudo kuryr trace 4bf92f35
  sudo kuryr trace -o json | jq '.[0].steps[].name'`,
		Args: cobra.MaximumNArgs(1),
	}
	flags, output := addConfigFile(cmd), addOutput(cmd)
	flags.addSettings("admin-socket")
	last := cmd.Flags().IntP("last", "n", 10, "print no more than so many")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		socket, err := flags.adminSocket()
		if err != nil {
			return err
		}
		body, err := adminGet(cmd.Context(), socket, "/v1/traces")
		if err != nil {
			return err
		}
		var traces []observe.Trace
		if err := json.Unmarshal(body, &traces); err != nil {
			return &courier.Error{Kind: courier.Internal, Op: "read", Subject: "the traces of kuryr at " + socket, Err: err}
		}
		if len(args) == 1 {
			if traces, err = oneTrace(traces, args[0]); err != nil {
				return err
			}
		}
		traces = traces[:min(len(traces), max(*last, 0))]
		if *output == asJSON {
			return printJSON(cmd.OutOrStdout(), traces)
		}
		return printTraces(cmd.OutOrStdout(), traces, len(args) == 1)
	}
	return cmd
}

// oneTrace returns the newest trace whose ID begins so.
func oneTrace(traces []observe.Trace, id string) ([]observe.Trace, error) {
	for _, t := range traces {
		if strings.HasPrefix(t.ID, id) {
			return []observe.Trace{t}, nil
		}
	}
	return nil, &courier.Error{Kind: courier.NotFound, Op: "find", Subject: "trace " + id, Public: "there is none of that ID any more",
		Hint: "kuryr trace lists those there are"}
}

func printTraces(w io.Writer, traces []observe.Trace, detailed bool) error {
	if len(traces) == 0 {
		_, err := fmt.Fprintf(w, "No call of Docker's has taken %d ms or longer.\n", observe.SlowCall.Milliseconds())
		return err
	}
	for i, t := range traces {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printTrace(w, t, detailed); err != nil {
			return err
		}
	}
	return nil
}

// barWidth is how many columns the whole time of a call takes.
const barWidth = 40

// printTrace prints one call as a waterfall.
func printTrace(w io.Writer, t observe.Trace, detailed bool) error {
	fmt.Fprintf(w, "%s  %s  %s%s\n", t.Start.Local().Format(time.DateTime), printable(t.Name), millis(t.Duration), labelled(t.Labels))
	fmt.Fprintf(w, "trace %s\n", t.ID)
	if t.Error != "" {
		fmt.Fprintf(w, "error: %s\n", printable(t.Error))
	}
	width := 0
	for _, s := range t.Steps {
		width = max(width, 2*(s.Depth-1)+len(s.Name))
	}
	for _, s := range t.Steps {
		name := strings.Repeat("  ", s.Depth-1) + printable(s.Name)
		fmt.Fprintf(w, "  %-*s  %s  %s", width, name, bar(t, s), millis(s.Duration))
		if s.Error != "" {
			fmt.Fprintf(w, "  failed: %s", printable(s.Error))
		}
		fmt.Fprintln(w)
		if detailed {
			for _, l := range s.Labels {
				fmt.Fprintf(w, "  %*s    %s=%s\n", 2*(s.Depth-1), "", printable(l.Key), printable(l.Value))
			}
		}
	}
	return nil
}

// bar draws when a step was under way, within the time of its call.
func bar(t observe.Trace, s observe.Step) string {
	column := func(d time.Duration) int {
		if t.Duration <= 0 {
			return 0
		}
		return min(max(int(int64(barWidth)*int64(d)/int64(t.Duration)), 0), barWidth)
	}
	from := min(column(s.Offset), barWidth-1)
	to := max(column(s.Offset+s.Duration), from+1)
	return "|" + strings.Repeat(" ", from) + strings.Repeat("=", to-from) + strings.Repeat(" ", barWidth-to) + "|"
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func labelled(labels []observe.Label) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString("  " + printable(l.Key) + "=" + printable(l.Value))
	}
	return b.String()
}
