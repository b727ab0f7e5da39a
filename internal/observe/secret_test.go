package observe

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsShownNowhere(t *testing.T) {
	type settings struct{ Password Secret }
	s := settings{"hunter2"}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "a", s, "b", &s, "c", s.Password)
	slog.New(slog.NewTextHandler(&b, nil)).Info(fmt.Sprintf("%v %+v %#v %s %q %x", s, s, s, s.Password, s.Password, s.Password))
	if got := b.String(); strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(got, Hidden) {
		t.Error(got)
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("no secret is shown as %q", got)
	}
}
