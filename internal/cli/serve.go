package cli

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/daemon"
	"kuryr/internal/observe"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve container engines until stopped",
		Long: `Serve container engines: Docker's network and IPAM driver "kuryr", and the admin
API that "kuryr status" reads. Without a Neutron in the configuration the
embedded one runs in this process.

It needs CAP_NET_ADMIN and CAP_SYS_ADMIN. It takes the sockets that systemd
holds for it, if any, and tells systemd how it fares. On SIGINT or SIGTERM it
answers what is in flight and stops; networks and containers go on, and the next
start takes them over. A second signal stops it at once. On SIGHUP it reads the
credentials of a cloud again.`,
		Example: `  sudo kuryr serve
  sudo kuryr serve --config-file ./kuryr.conf --state-dir /srv/kuryr
  sudo kuryr serve --neutron-listen 127.0.0.1:9696
  sudo kuryr serve --cloud mycloud`,
		Args: noArgs,
	}
	flags := addConfigFile(cmd)
	flags.addSettings()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, report, err := flags.load()
		if err != nil {
			return err
		}
		if err := checkCapabilities(); err != nil {
			return err
		}
		log := newLogger(cmd.ErrOrStderr(), cfg.Debug)
		for _, w := range report.Warnings {
			log.Warn("configuration", observe.Warning, w)
		}
		reload := make(chan os.Signal, 1)
		signal.Notify(reload, syscall.SIGHUP)
		defer signal.Stop(reload)
		version := readVersion().Version
		export, endExport, err := observe.Export(cmd.Context(), version, log)
		if err != nil {
			return err
		}
		defer endExporting(endExport, log)
		return daemon.Run(cmd.Context(), cfg, daemon.Options{Log: log, Version: version, Reload: reload, Export: export,
			Load: func() (config.Config, error) {
				cfg, _, err := flags.load()
				return cfg, err
			}})
	}
	return cmd
}

// exportPatience is how long the last spans may take to the collector.
const exportPatience = 3 * time.Second

func endExporting(end func(context.Context) error, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), exportPatience)
	defer cancel()
	if err := end(ctx); err != nil {
		log.Warn("the last traces were not exported", observe.Err, err)
	}
}

// newLogger logs to w, without the time where systemd adds it.
func newLogger(w io.Writer, debug bool) *slog.Logger {
	f, ok := w.(*os.File)
	return observe.NewLogger(w, observe.LogOptions{
		Debug:   debug,
		Journal: ok && observe.IsJournal(f, os.Getenv("JOURNAL_STREAM")),
	})
}

// checkCapabilities refuses early what would else fail later, with less to say.
func checkCapabilities() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return &courier.Error{Kind: courier.Internal, Op: "read this process's capabilities", Err: err}
	}
	if names := lacking(string(status)); len(names) > 0 {
		return &courier.Error{Kind: courier.Unauthorized, Op: "make network interfaces", Public: "this process lacks " + strings.Join(names, " and "),
			Hint: "run it as root, for instance with sudo"}
	}
	return nil
}
