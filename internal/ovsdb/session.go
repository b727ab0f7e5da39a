package ovsdb

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const database = "Open_vSwitch"

// iface is a row of the table Interface, as a session follows it.
type iface struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OFPort      *int              `ovsdb:"ofport"` // -1: it could not be made
	Error       *string           `ovsdb:"error"`
}

// session is one connection. It follows the interfaces of Kuryr's alone, so
// that it costs nothing however many others there are. The library's own
// reconnecting isn't used: it goes on in the background for ever, and panics
// when it gives up.
type session struct {
	client client.Client
	lost   atomic.Bool // a call on it has failed

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a row has changed; guarded by mu
}

func connect(ctx context.Context, path string) (*session, error) {
	m, err := model.NewClientDBModel(database, map[string]model.Model{"Interface": &iface{}})
	if err != nil {
		return nil, err
	}
	s := &session{changed: make(chan struct{})}
	if s.client, err = client.NewOVSDBClient(m, client.WithEndpoint("unix:"+path)); err != nil {
		return nil, err
	}
	if err := s.client.Connect(ctx); err != nil {
		return nil, err
	}
	if err := s.follow(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// follow keeps a copy of our interfaces from now on.
func (s *session) follow(ctx context.Context) error {
	s.client.Cache().AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(string, model.Model) { s.ring() },
		UpdateFunc: func(string, model.Model, model.Model) { s.ring() },
		DeleteFunc: func(string, model.Model) { s.ring() },
	})
	row := &iface{}
	ours := []model.Condition{{Field: &row.ExternalIDs, Function: ovsdb.ConditionIncludes, Value: map[string]string{keyOwner: owner}}}
	_, err := s.client.Monitor(ctx, s.client.NewMonitor(
		client.WithConditionalTable(row, ours, &row.Name, &row.ExternalIDs, &row.OFPort, &row.Error)))
	return err
}

// connected tells whether the connection stands, as far as is known. (The
// library's Connected does not take note of a server that has gone; it drops
// the copy then.)
func (s *session) connected() bool { return !s.lost.Load() && s.client.Cache() != nil }
func (s *session) close()          { s.client.Close() }

// ring wakes all who wait for a change.
func (s *session) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// change returns a channel that is closed with the next change.
func (s *session) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// row returns the copy of one of our interfaces, or nil.
func (s *session) row(uuid string) *iface {
	table := s.client.Cache()
	if table == nil { // disconnected
		return nil
	}
	row, _ := table.Table("Interface").Row(uuid).(*iface)
	return row
}
