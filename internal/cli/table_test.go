package cli

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPaletteKeepsTextOffTerminals(t *testing.T) {
	var b strings.Builder
	if p := paletteFor(&b); p.on || p.good("ok") != "ok" {
		t.Error("colours go to what is no terminal")
	}
	if got := (palette{on: true}).bad("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("bad is %q", got)
	}
}

func TestSince(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	v := statusView{now: now}
	for _, test := range []struct {
		ago  time.Duration
		want string
	}{
		{1500 * time.Millisecond, "1s"}, {90 * time.Second, "1m30s"}, {61 * time.Minute, "1h1m"}, {49 * time.Hour, "2d1h"}, {-time.Hour, "-"},
	} {
		if got := v.since(now.Add(-test.ago)); got != test.want {
			t.Errorf("since %s ago: %q, want %q", test.ago, got, test.want)
		}
	}
}

func TestLackingCapabilities(t *testing.T) {
	const admin, system = "CAP_NET_ADMIN", "CAP_SYS_ADMIN"
	for status, want := range map[string][]string{
		"Name:\tkuryr\nCapPrm:\t0000000000000000\nCapEff:\t0000000000201000\n": nil,
		"CapEff:\t000001ffffffffff\n":                                          nil,
		"CapEff:\t0000000000001000\n":                                          {system},
		"CapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffefff\n":               {admin},
		"CapEff:\t0000000000000000\n":                                          {admin, system},
		"CapEff:\tx\n":                                                         {admin, system},
		"":                                                                     {admin, system},
	} {
		if got := lacking(status); !slices.Equal(got, want) {
			t.Errorf("lacking(%q) = %q, want %q", status, got, want)
		}
	}
}
