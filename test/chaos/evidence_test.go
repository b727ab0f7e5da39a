package chaos

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// evidence keeps what may tell why a series failed in a folder that outlives
// the test, and returns its path.
func (s *site) evidence(t *testing.T, seed uint64, series int, tell *chronicle, failure error) string {
	t.Helper()
	dir, err := os.MkdirTemp("", fmt.Sprintf("kuryrchaos-%d-%d-", seed, series))
	if err != nil {
		t.Error(err)
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	inventory, err := s.kuryr.Take(ctx)
	if err != nil {
		inventory = append(inventory, err.Error())
	}
	said := func(name string, args ...string) string {
		out, err := s.machine.Output(ctx, name, args...)
		if err != nil {
			return err.Error()
		}
		return out
	}
	files := map[string]string{
		"failure":   failure.Error() + "\n",
		"chronicle": tell.text(),
		"inventory": strings.Join(inventory, "\n") + "\n",
		"status":    said("curl", "--silent", "--max-time", "10", "--unix-socket", s.kuryr.AdminSocket(), "http://kuryr/v1/status"),
		"links":     said("ip", "-d", "link", "show"),
		"ruleset":   said("nft", "list", "ruleset"),
	}
	if s.ovs != nil {
		files["switch"] = s.ovs.VSCtl("list", "Interface")
	}
	b, err := s.believe(ctx)
	files["belief"] = fmt.Sprintf("%+v\n%v\n", b, err)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	for _, log := range []string{"kuryr.log", "neutron.log", "dockerd.log"} {
		if err := copyFile(s.machine.Path(log), filepath.Join(dir, log)); err != nil {
			t.Error(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "state"), os.DirFS(s.machine.Path("state"))); err != nil {
		t.Error(err)
	}
	return dir
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
