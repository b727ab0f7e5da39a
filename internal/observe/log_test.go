package observe

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func TestNewLogger(t *testing.T) {
	const stamp = `time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d) `
	for name, test := range map[string]struct {
		options LogOptions
		want    string // a regular expression of all that is written
	}{
		"terminal":       {LogOptions{}, `^` + stamp + `level=INFO msg="port bound" port=p1 group.time=x\n$`},
		"debug":          {LogOptions{Debug: true}, `^` + stamp + `level=DEBUG msg=details\n` + stamp + `level=INFO msg="port bound" port=p1 group.time=x\n$`},
		"systemd":        {LogOptions{Journal: true}, `^level=INFO msg="port bound" port=p1 group.time=x\n$`},
		"systemd, debug": {LogOptions{Journal: true, Debug: true}, `^level=DEBUG msg=details\nlevel=INFO msg="port bound" port=p1 group.time=x\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			log := NewLogger(&b, test.options)
			log.Debug("details")
			log.With(Port, "p1").WithGroup("group").Info("port bound", "time", "x")
			if !regexp.MustCompile(test.want).MatchString(b.String()) {
				t.Errorf("wrote %q, want %s", b.String(), test.want)
			}
		})
	}
}

func TestIsJournal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", st.Dev, st.Ino):   true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino+1): false,
		"":                                     false,
		"x":                                    false,
	} {
		if got := IsJournal(f, stream); got != want {
			t.Errorf("IsJournal(%q) = %t, want %t", stream, got, want)
		}
	}
}
