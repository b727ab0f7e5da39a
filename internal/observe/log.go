package observe

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// LogOptions of NewLogger.
type LogOptions struct {
	Debug bool // log at level DEBUG; otherwise INFO
	// Journal leaves out the time, which systemd's journal adds itself: set it
	// when JOURNAL_STREAM is set.
	Journal bool
}

// NewLogger returns a logger that writes one line of key=value pairs for each
// record to w, safely from any number of goroutines.
func NewLogger(w io.Writer, o LogOptions) *slog.Logger {
	level := slog.LevelInfo
	if o.Debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: o.replace}))
}

// replace drops the record's time for the journal, and shortens it elsewhere.
func (o LogOptions) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 || a.Key != slog.TimeKey {
		return a
	}
	if o.Journal {
		return slog.Attr{}
	}
	return slog.String(slog.TimeKey, a.Value.Time().Format("2006-01-02T15:04:05.000Z07:00"))
}

// IsJournal tells whether f is the stream that systemd connected to its
// journal: stream is the value of JOURNAL_STREAM, "DEVICE:INODE". The variable
// alone says little, since it is inherited by what redirects its output.
func IsJournal(f *os.File, stream string) bool {
	if stream == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}
