package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	database = "Open_vSwitch"
	// sendPatience bounds how long a server may leave a request unread.
	sendPatience = 5 * time.Second
)

// session is one connection: JSON-RPC as RFC 7047 has it. It follows the
// interfaces of Kuryr's alone (monitor_cond), so that it costs nothing however
// many others there are.
//
// Of the library it uses what goes over the wire. Its client isn't used: when
// the server goes just as it has connected it takes the process down (its
// clean-up then runs beside the last steps of connecting), and so does its
// reconnecting when it gives up.
type session struct {
	conn net.Conn
	over chan struct{} // closed when the connection is

	sending sync.Mutex // held while a request is written

	mu      sync.Mutex // guards what follows
	err     error      // why it is over
	last    int        // the last request's number
	calls   map[int]chan answer
	rows    map[string]iface // our interfaces, by UUID
	changed chan struct{}    // closed and replaced when one has changed
}

// iface is what a session knows of an interface.
type iface struct {
	ofport int // 0: not yet given; -1: it could not be made
	err    string
}

// message is any that the server sends.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"` // of a request or a notice
	Params json.RawMessage `json:"params"`
	answer
}

// answer to a request.
type answer struct {
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// request is one that we send; its answer has the same number.
type request struct {
	Method string `json:"method"`
	Params []any  `json:"params"`
	ID     int    `json:"id"`
}

func connect(ctx context.Context, path string) (*session, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	s := &session{
		conn: conn, over: make(chan struct{}),
		calls: map[int]chan answer{}, rows: map[string]iface{}, changed: make(chan struct{}),
	}
	go s.read()
	if err := s.follow(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	return s, nil
}

// errSilent is of a database that takes a connection, and does not go on as one does.
var errSilent = errors.New("no answer to the first request")

// follow keeps a copy of our interfaces from now on.
func (s *session) follow(ctx context.Context) error {
	what := map[string]any{"Interface": []ovsdb.MonitorRequest{{
		Columns: []string{"ofport", "error"},
		Where:   []ovsdb.Condition{ours()},
	}}}
	result, err := s.call(ctx, "monitor_cond", database, "ours", what)
	if err != nil {
		return err
	}
	var now ovsdb.TableUpdates2
	if err := json.Unmarshal(result, &now); err != nil {
		return err
	}
	s.learn(now)
	return nil
}

func (s *session) transact(ctx context.Context, ops []ovsdb.Operation) ([]ovsdb.OperationResult, error) {
	result, err := s.call(ctx, "transact", ovsdb.NewTransactArgs(database, ops...)...)
	if err != nil {
		return nil, err
	}
	var results []ovsdb.OperationResult
	if err := json.Unmarshal(result, &results); err != nil {
		return nil, err
	}
	if len(results) < len(ops) {
		return nil, fmt.Errorf("%d answers to %d operations", len(results), len(ops))
	}
	return results, nil
}

// call sends a request and waits for its answer.
func (s *session) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	reply := make(chan answer, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.calls[id] = reply
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.calls, id)
		s.mu.Unlock()
	}()
	if err := s.send(request{Method: method, Params: params, ID: id}); err != nil {
		s.close() // half a message may be on its way
		return nil, err
	}
	select {
	case a := <-reply:
		if len(a.Error) > 0 && string(a.Error) != "null" {
			return nil, fmt.Errorf("it answered %s with the error %.200s", method, a.Error)
		}
		return a.Result, nil
	case <-s.over:
		return nil, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *session) send(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	_, err = s.conn.Write(text)
	return err
}

// read takes in what the server sends until the connection ends.
func (s *session) read() {
	var err error
	for d := json.NewDecoder(s.conn); err == nil; {
		var m message
		if err = d.Decode(&m); err == nil {
			err = s.take(m)
		}
	}
	s.conn.Close()
	s.err = fmt.Errorf("the connection was lost: %w", err)
	close(s.over)
}

// take acts on one message; an error is one that makes no sense.
func (s *session) take(m message) error {
	switch m.Method {
	case "": // an answer
		var id int
		if err := json.Unmarshal(m.ID, &id); err != nil {
			return errors.New("an answer without a number")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if reply := s.calls[id]; reply != nil {
			reply <- m.answer // the only one, or it is not looked for any more
			delete(s.calls, id)
		}
	case "echo": // it asks whether we are there
		return s.send(map[string]any{"id": m.ID, "result": m.Params, "error": nil})
	case "update2":
		var id string
		var updates ovsdb.TableUpdates2
		if err := json.Unmarshal(m.Params, &[]any{&id, &updates}); err != nil {
			return err
		}
		s.learn(updates)
	}
	return nil
}

// learn enters changes into the copy. A modified row has the columns that
// have changed.
func (s *session) learn(updates ovsdb.TableUpdates2) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uuid, update := range updates["Interface"] {
		row := s.rows[uuid]
		switch {
		case update == nil: // null tells of nothing
			continue
		case update.Delete != nil:
			delete(s.rows, uuid)
			continue
		case update.Initial != nil:
			row.read(*update.Initial)
		case update.Insert != nil:
			row.read(*update.Insert)
		case update.Modify != nil:
			row.read(*update.Modify)
		}
		s.rows[uuid] = row
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (i *iface) read(row ovsdb.Row) {
	if v, ok := row["ofport"]; ok {
		n, _ := v.(float64) // or an empty set
		i.ofport = int(n)
	}
	if v, ok := row["error"]; ok {
		i.err, _ = v.(string)
	}
}

// row returns what is known of one of our interfaces, and a channel that is
// closed when that has changed.
func (s *session) row(uuid string) (iface, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[uuid], s.changed
}

// connected tells whether the connection stands, as far as is known.
func (s *session) connected() bool {
	select {
	case <-s.over:
		return false
	default:
		return true
	}
}

func (s *session) close() {
	s.conn.Close()
	<-s.over
}
