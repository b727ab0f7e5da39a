package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"kuryr/test/openstack/cloud"
)

// status shows what runs and how much memory it takes. It is an error when
// the lab, or part of it, does not run.
func (l *lab) status(ctx context.Context) error {
	up, err := cloud.Open(l.Dir)
	if err != nil {
		return err
	}
	l = &lab{up}
	files, err := os.ReadDir(l.path("pid"))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DAEMON\tPID\tPROCESSES\tMIB")
	var missing []string
	var sum int
	for _, f := range files {
		pid, err := l.running(f.Name())
		if err != nil {
			return err
		}
		if pid == 0 {
			missing = append(missing, f.Name())
			continue
		}
		pids, kib, err := memory(pid)
		if err != nil {
			return err
		}
		sum += kib
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", f.Name(), pid, pids, kib/1024)
	}
	fmt.Fprintf(w, "all\t\t\t%d\n", sum/1024)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\nmechanism %s, hosts %s\nclouds in %s\n", l.Mechanism, strings.Join(l.Hosts, " "), l.Clouds())
	if len(missing) > 0 {
		return fmt.Errorf("not running: %s; see the logs in %s", strings.Join(missing, ", "), l.path("log"))
	}
	return errors.Join(l.answers(ctx, cloud.AuthURL), l.answers(ctx, cloud.NetworkURL))
}

// memory counts a daemon's processes, those of its session, and their memory
// in KiB; pages that several share count once.
func memory(session int) (processes, kib int, err error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, 0, err
	}
	for _, dir := range all {
		// The session is the sixth field of stat.
		if f := statFields(filepath.Base(dir)); f == nil || f[3] != strconv.Itoa(session) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		if err != nil {
			continue // it has ended
		}
		processes++
		for line := range bytes.Lines(b) {
			if f := bytes.Fields(line); len(f) > 1 && slices.Equal(f[0], []byte("Pss:")) {
				n, err := strconv.Atoi(string(f[1]))
				if err != nil {
					return 0, 0, err
				}
				kib += n
			}
		}
	}
	return processes, kib, nil
}
