package neutrontest

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
)

// TestEveryCaptureIsReplayed holds the folder of captures against the session.
func TestEveryCaptureIsReplayed(t *testing.T) {
	script, err := recording.ReadFile("testdata/session.txt")
	if err != nil {
		t.Fatal(err)
	}
	replayed := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
		if text := strings.TrimSpace(lines.Text()); text != "" && text[0] != '#' && text[0] != '>' {
			l := parseLine(text)
			switch {
			case replayed[l.name]:
				t.Errorf("%s is replayed twice", l.name)
			case l.as != Admin && l.as != Member && l.as != Other:
				t.Errorf("%s is sent as %s", l.name, l.as)
			}
			replayed[l.name] = true
		}
	}
	files, err := recording.ReadDir("testdata/captures")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".json"); !replayed[name] {
			t.Errorf("nothing replays %s", name)
		}
	}
}
