package chaos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
	"kuryr/internal/journal"
)

// Operations of Kuryr's own: its start, and the care for its journal.

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// kuryrStart is the start of a Kuryr with containers that run.
func (l *crashLab) kuryrStart() crashTrial {
	return crashTrial{do: func(ctx context.Context) error {
		l.kuryr.Kill()
		return l.kuryr.Start(ctx)
	}}
}

// recovery is the start of a Kuryr that has died at a point of another trial:
// it dies once more while it puts right what the first death has left.
func (l *crashLab) recovery(at crash.Point, trial crashTrial) crashTrial {
	var failed error
	return crashTrial{
		prepare: func(ctx context.Context) error {
			if trial.prepare != nil {
				if err := trial.prepare(ctx); err != nil {
					return err
				}
			}
			if _, err := l.settle(ctx, crashQuiet); err != nil {
				return err
			}
			if err := l.crashes.Arm(1, at); err != nil {
				return err
			}
			// The engine finds nobody for now; what it would do comes with tidy.
			l.engine.revive = func() (bool, error) { return true, nil }
			failed = trial.do(ctx)
			l.engine.revive = l.revive
			if failed == nil { // it dies in the background
				if _, err := l.settle(ctx, l.lasts); err != nil {
					return err
				}
			}
			if killed, err := l.crashes.Killed(); err != nil || killed != at {
				return errors.Join(err, fmt.Errorf("it did not die %s", at), failed, l.crashes.Disarm())
			}
			l.kuryr.Kill() // it is about to be gone
			return errors.Join(l.crashes.Disarm(), l.crashes.Forget())
		},
		do: l.kuryr.Start,
		tidy: func(ctx context.Context, _ error) error {
			if trial.tidy == nil {
				return nil
			}
			return trial.tidy(ctx, failed)
		},
	}
}

// compaction has the journal rewritten at the next write, which may be one of
// the start.
func (l *crashLab) compaction() crashTrial {
	n := &crashNetwork{}
	return crashTrial{
		prepare: func(ctx context.Context) error {
			*n = crashNetwork{pools: []crashPool{{wish: l.cidr()}}}
			return l.editJournal(func(j *journal.Journal) error {
				// More than any threshold, and nothing of it is alive.
				litter := courier.Entry{Kind: "litter", ID: "litter", Data: make([]byte, 1<<20)}
				for range 3 {
					if err := j.Note(ctx, litter); err != nil {
						return err
					}
				}
				litter.Data = nil
				return j.Write(ctx, litter)
			})
		},
		do: func(ctx context.Context) error {
			if err := l.kuryr.Start(ctx); err != nil {
				return err
			}
			return l.engine.createNetwork(ctx, n)
		},
		tidy: func(ctx context.Context, failed error) error {
			if failed != nil {
				return nil
			}
			return l.engine.removeNetwork(ctx, n)
		},
	}
}

// tornWrite is the start after a write of which a part only has reached the disk.
func (l *crashLab) tornWrite() crashTrial {
	trial := l.kuryrStart()
	trial.prepare = func(context.Context) error {
		l.kuryr.Kill()
		path := l.machine.Path("state/journal/entries")
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// Behind the last frame there are zeros only, as far as it was allocated; a
		// frame's head without the rest is the shortest thing that begins one.
		b = append(b, make([]byte, 64)...)
		b = append(b, "KFRM"...)
		return os.WriteFile(path, b, 0o600)
	}
	return trial
}

// firstStart is the start of a Kuryr that finds nothing of an earlier one.
// What its containers had is the engine's to ask for again; here the journal
// comes back before it asks.
func (l *crashLab) firstStart() crashTrial {
	dir, away := l.machine.Path("state/journal"), l.machine.Path("journal-away")
	return crashTrial{
		prepare: func(context.Context) error {
			l.kuryr.Kill()
			return os.Rename(dir, away)
		},
		do: l.kuryr.Start,
		tidy: func(context.Context, error) error {
			l.kuryr.Kill()
			if err := errors.Join(os.RemoveAll(dir), os.Rename(away, dir)); err != nil {
				return err
			}
			return l.restart()
		},
	}
}

// legacyStart is the start of a container where Docker uses iptables-legacy.
func (l *crashLab) legacyStart() crashTrial {
	l.dockersChain("iptables-legacy")
	return l.alone(l.containerStart)
}
