package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// crashSample is how many crashes there are under a real engine, which takes
// seconds for each.
const crashSample = 10

// crashUnderDocker is the same as crashEverywhere for `docker run` and `docker
// rm`, under a real engine, at points that are drawn: that the engine does what
// crashEngine takes it to do.
func crashUnderDocker(t *testing.T, binary string) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("SEED=%d", seed)
	l := newCrashLab(t, binary, crashOperation{})
	ctx := t.Context()
	docker, err := testkit.StartEngine(ctx, l.machine, testkit.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := docker.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	l.bystand(ctx)
	if _, err := docker.Docker(ctx, "network", "create", "--driver", l.kuryr.Name, "--ipam-driver", l.kuryr.Name,
		"--subnet", "10.240.0.0/24", "--ipv6", "--subnet", "fd00:240::/64", "net"); err != nil {
		t.Fatal(err)
	}
	trial := l.dockerRun(docker)
	before, err := l.take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	passed := l.record(ctx, trial, before)
	random := rand.New(rand.NewPCG(seed, 0))
	died := 0
	for range crashSample {
		at := random.IntN(len(passed))
		n := 0
		for _, p := range passed[:at+1] {
			if p == passed[at] {
				n++
			}
		}
		if l.crashAt(ctx, trial, before, n, passed[at]) {
			died++
		}
	}
	if died == 0 {
		t.Error("none of the drawn points was passed again")
	}
	l.collect(before)
	l.undisturbed(ctx, "in the end")
	l.dismiss()
	t.Logf("%d crashes under the engine, at points of %d", died, len(passed))
}

// dockerRun runs a container and removes it, by an engine that finds Kuryr gone
// now and then.
func (l *crashLab) dockerRun(docker *testkit.Engine) crashTrial {
	return crashTrial{
		do: func(ctx context.Context) error {
			if err := l.whileReviving(func() error {
				_, err := docker.Docker(ctx, "run", "--detach", "--name", "dave", "--network", "net", "--expose", "80", testkit.Image, "sleep", "600")
				return err
			}); err != nil {
				return err
			}
			return l.whileReviving(func() error {
				_, err := docker.Docker(ctx, "rm", "--force", "dave")
				return err
			})
		},
		tidy: func(ctx context.Context, failed error) error {
			if failed == nil {
				return nil
			}
			_, err := docker.Docker(ctx, "rm", "--force", "dave")
			return err
		},
	}
}

// whileReviving does something that takes its time, and starts Kuryr again if
// it dies meanwhile: the engine waits for it.
func (l *crashLab) whileReviving(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Millisecond):
			if _, err := l.revive(); err != nil {
				return fmt.Errorf("%w (and then %w)", err, <-done)
			}
		}
	}
}

// crashBinary builds the kuryr that can be told where to die.
func crashBinary(t *testing.T) string {
	t.Helper()
	binary, err := testkit.Build(t.Context(), t.TempDir(), false, "crashpoints")
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
