package docker

import (
	"bytes"
	"testing"

	"kuryr/internal/courier"
	"kuryr/internal/testkit/replay"
)

// refusable are calls of the recordings that this driver refuses on purpose:
// the Python Kuryr's options, and networks of Docker's null IPAM driver.
func refusable(c replay.Call) bool {
	return bytes.Contains(c.Request, []byte(`"neutron.`)) || bytes.Contains(c.Request, []byte(`"AddressSpace":"null"`))
}

// TestReplay sends everything that the engines were recorded to send. In the
// second round what the recorder was told to fail fails here too.
func TestReplay(t *testing.T) {
	names, err := replay.Names(replay.Recordings())
	if err != nil || len(names) < 50 {
		t.Fatalf("%d recordings: %v", len(names), err)
	}
	for _, name := range names {
		s, err := replay.Load(replay.Recordings(), name)
		if err != nil {
			t.Fatal(err)
		}
		for round, failing := range map[string]bool{"alone": false, "failing": true} {
			t.Run(name+"/"+round, func(t *testing.T) {
				m := newMemory()
				checks := replay.Checks{MayRefuse: refusable}
				if failing {
					checks.Fault = m.failDuring
				}
				s.Run(t, New(m, Options{Log: testLog(t)}), checks)
				for _, l := range m.left() {
					t.Errorf("left behind: %s", l)
				}
			})
		}
	}
}

// failDuring makes all that the courier is asked to do fail until heal is called.
func (m *memory) failDuring(replay.Call) (heal func()) {
	m.fault = func(op string) error { return refusal(courier.Unavailable, op, "Neutron does not answer") }
	return func() { m.fault = nil }
}
