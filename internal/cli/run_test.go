package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kuryr": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}})
}

// TestScripts runs testdata/*.txtar: what a person types, and what they see.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			// Nothing of this machine's, nor of the one who runs the tests.
			e.Setenv("KURYR_HOST", "node1")
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"admin": admin, "exitcode": exitCode, "get": get},
	})
}

// admin serves FILE at PATH (/v1/status) of the Unix socket SOCKET while the
// script runs, and to a POST at /v1/reconcile with the request's query for the
// word QUERY; without FILE it answers everything with 404.
func admin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 3 {
		ts.Fatalf("usage: admin SOCKET [FILE [PATH]]")
	}
	l, err := net.Listen("unix", ts.MkAbs(args[0]))
	ts.Check(err)
	mux := http.NewServeMux()
	if len(args) > 1 {
		body, path := ts.ReadFile(args[1]), "/v1/status"
		if len(args) > 2 {
			path = args[2]
		}
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body)) // the client tells when it is cut short
		})
		mux.HandleFunc("POST /v1/reconcile", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.ReplaceAll(body, "QUERY", r.URL.RawQuery))) // likewise
		})
	}
	server := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with ErrServerClosed
	}()
	ts.Defer(func() {
		_ = server.Close()
		<-done
	})
}

// exitCode runs kuryr and checks its exit code: exitcode N ARGUMENT...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exitcode N ARGUMENT...")
	}
	err := ts.Exec("kuryr", args[1:]...)
	got := "0"
	if err != nil {
		got = err.Error()
		if len(got) > len("exit status ") {
			got = got[len("exit status "):]
		}
	}
	if got != args[0] {
		ts.Fatalf("kuryr %q: exit code %s, want %s", args[1:], got, args[0])
	}
}

// get waits until the Unix socket SOCKET is served, and prints what it
// answers to a GET of PATH: get SOCKET PATH.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: get SOCKET PATH")
	}
	var body []byte
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if body, err = adminGet(context.Background(), ts.MkAbs(args[0]), args[1]); err == nil {
			_, err = ts.Stdout().Write(body)
			break
		}
	}
	ts.Check(err)
}
