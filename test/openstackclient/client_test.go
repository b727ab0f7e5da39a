package openstackclient

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how long one command may take.
const patience = 30 * time.Second

// mark ends what a command prints, on both streams. The client has a command
// that runs programs, and prints what they print.
const mark = "__the_end_of_a_command__"

// client is an openstack client that prompts for commands. Its methods fail
// the test that it is with at the moment.
type client struct {
	t      *testing.T
	in     io.Writer
	marker string // a program that prints the mark
	stdout <-chan string
	stderr <-chan string
}

// newClient starts a client with more variables.
func newClient(t *testing.T, s *stand, env ...string) *client {
	t.Helper()
	c := &client{t: t, marker: filepath.Join(s.dir, "mark")}
	if err := os.WriteFile(c.marker, []byte("#!/bin/sh\necho "+mark+"\necho "+mark+" >&2\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("openstack")
	cmd.Env, cmd.Dir = s.environment(env...), s.dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.ns.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.stdout, c.stderr = in, answers(out), answers(errs)
	t.Cleanup(func() {
		in.Close() // the end of its commands
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer timer.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the client ended with %v", err)
		}
	})
	return c
}

// answers cuts a stream at the marks.
func answers(r io.Reader) <-chan string {
	all := make(chan string, 1)
	go func() {
		defer close(all)
		var b strings.Builder
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if lines.Text() == mark {
				all <- b.String()
				b.Reset()
				continue
			}
			b.WriteString(lines.Text() + "\n")
		}
	}()
	return all
}

// run runs a command and returns what it printed.
func (c *client) run(command string) (stdout, stderr string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, "%s\nshell %s\n", command, c.marker); err != nil {
		c.t.Fatalf("%s: %v", command, err)
	}
	late := time.After(patience)
	for _, stream := range []struct {
		from <-chan string
		into *string
	}{{c.stdout, &stdout}, {c.stderr, &stderr}} {
		select {
		case text, ok := <-stream.from:
			if !ok {
				c.t.Fatalf("%s: the client ended", command)
			}
			*stream.into = text
		case <-late:
			c.t.Fatalf("%s: no answer within %v", command, patience)
		}
	}
	return stdout, stderr
}

// do runs a command that says nothing when it has done its work.
func (c *client) do(command string) {
	c.t.Helper()
	if out, errs := c.run(command); strings.TrimSpace(out+errs) != "" {
		c.t.Errorf("%s\n%s%s", command, out, errs)
	}
}

// fails runs a command that must fail for a reason that it tells.
func (c *client) fails(command, why string) {
	c.t.Helper()
	if out, errs := c.run(command); !strings.Contains(errs, why) {
		c.t.Errorf("%s\nprinted %q and %q, want an error with %q", command, out, errs, why)
	}
}

// fields are some of an object's, as JSON has them.
type fields map[string]any

// object runs a command that prints an object which has these fields (nil:
// any), among others, and returns all of it.
func (c *client) object(command string, want fields) fields {
	c.t.Helper()
	out, errs := c.run(command + " -f json")
	got := fields{}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		c.t.Fatalf("%s: %v\n%s%s", command, err, out, errs)
	}
	c.same(command, got, want)
	return got
}

// same checks those fields of an object that are wanted.
func (c *client) same(what string, got, want fields) {
	c.t.Helper()
	some := fields{}
	for key := range want {
		if v, ok := got[key]; ok {
			some[key] = v
		}
	}
	if diff := cmp.Diff(want, some); diff != "" && want != nil {
		c.t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}

// list runs a command that prints a list, of which one column must hold these
// values, in any order.
func (c *client) list(command, column string, want ...string) {
	c.t.Helper()
	got := []string{}
	for _, row := range c.rows(command) {
		got = append(got, fmt.Sprint(row[column]))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: %s %q, want %q", command, column, got, want)
	}
}

// has runs a command that prints a list, of which one column must hold these
// values, among others.
func (c *client) has(command, column string, want ...string) {
	c.t.Helper()
	got := map[string]bool{}
	for _, row := range c.rows(command) {
		got[fmt.Sprint(row[column])] = true
	}
	for _, v := range want {
		if !got[v] {
			c.t.Errorf("%s: no %s %q", command, column, v)
		}
	}
}

// id runs a command that prints a list, and returns the ID of the row with
// this value in a column.
func (c *client) id(command, column, value string) string {
	c.t.Helper()
	for _, row := range c.rows(command) {
		if row[column] == value {
			return fmt.Sprint(row["ID"])
		}
	}
	c.t.Fatalf("%s: no %s %q", command, column, value)
	return ""
}

// rows runs a command that prints a list, and returns it.
func (c *client) rows(command string) (rows []fields) {
	c.t.Helper()
	out, errs := c.run(command + " -f json")
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		c.t.Fatalf("%s: %v\n%s%s", command, err, out, errs)
	}
	return rows
}

// id returns an object's.
func (f fields) id() string { return fmt.Sprint(f["id"]) }
