package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killAll ends every process that is in a namespace of the lab. There is
// nothing to save: the lab's data are removed with it.
func killAll(ctx context.Context) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := processes()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("cannot end process %d: %w", pid, err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// processes lists those that are in a network namespace of the lab.
func processes() ([]int, error) {
	files, err := namespaces()
	if err != nil {
		return nil, err
	}
	var ours []os.FileInfo
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			return nil, err
		}
		ours = append(ours, info)
	}
	all, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range all {
		info, err := os.Stat(f)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(strings.Split(f, "/")[2])
		if err != nil {
			return nil, err
		}
		inside := slices.ContainsFunc(ours, func(n os.FileInfo) bool { return os.SameFile(n, info) })
		if inside && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
