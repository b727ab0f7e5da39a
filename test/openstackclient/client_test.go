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
	s.inside(func() { err = cmd.Start() })
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
	some := fields{}
	for key := range want {
		if v, ok := got[key]; ok {
			some[key] = v
		}
	}
	if want == nil {
		return got
	}
	if diff := cmp.Diff(want, some); diff != "" {
		c.t.Errorf("%s (-want +got)\n%s", command, diff)
	}
	return got
}

// list runs a command that prints a list, of which one column must hold these
// values, in any order.
func (c *client) list(command, column string, want ...string) {
	c.t.Helper()
	out, errs := c.run(command + " -f json")
	var rows []fields
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		c.t.Fatalf("%s: %v\n%s%s", command, err, out, errs)
	}
	got := []string{}
	for _, row := range rows {
		got = append(got, fmt.Sprint(row[column]))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: %s %q, want %q", command, column, got, want)
	}
}

// id returns an object's.
func (f fields) id() string { return fmt.Sprint(f["id"]) }
