package ovsdb

import (
	"io"
	"net"
	"testing"
)

// FuzzMessages lets a server say anything: the session takes it or ends with a
// reason, and a call after that is let go.
func FuzzMessages(f *testing.F) {
	for _, text := range []string{
		`{"id":1,"result":{"Interface":{"u":{"initial":{"ofport":7,"error":["set",[]]}}}},"error":null}`,
		`{"id":null,"method":"update2","params":["ours",{"Interface":{"u":{"insert":{"ofport":-1,"error":"no such device"}}}}]}`,
		`{"id":null,"method":"update2","params":["ours",{"Interface":{"u":{"modify":{"ofport":["set",[]]}},"v":{"delete":null}}}]}`,
		`{"id":null,"method":"update2","params":["ours",{"Interface":{"u":null}}]}`,
		`{"id":"echo","method":"echo","params":[]}`,
		`{"id":2,"result":null,"error":{"error":"syntax error"}}{"id":`,
		`[]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		ours, theirs := net.Pipe()
		s := &session{
			conn: ours, over: make(chan struct{}),
			calls: map[int]chan answer{1: make(chan answer, 1)}, rows: map[string]iface{}, changed: make(chan struct{}),
		}
		go s.read()
		go io.Copy(io.Discard, theirs) // what it answers to an echo
		theirs.Write(text)             // it may hang up before the end
		theirs.Close()
		<-s.over
		if s.err == nil {
			t.Errorf("%q: the session ended without a reason", text)
		}
		if _, err := s.call(t.Context(), "echo"); err == nil {
			t.Errorf("%q: a session that is over answers", text)
		}
	})
}
