package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	metaBucket = "meta"
	schemaKey  = "schema"
	projectKey = "project_id"
	// schema is the version of what the rows look like on disk.
	// 1 had neither security groups nor what came with them.
	schema    = "2"
	oldSchema = "1"
)

// Open opens the state, or makes an empty one. The file belongs to one
// process at a time; a second one gets an error that says so.
func Open(o Options) (*Store, error) {
	s := &Store{
		host: o.Host, mtu: o.MTU,
		enforce: o.Enforce,
		state:   newState(o.Host),
		w:       newWriter(),
		plugged: make(map[string]struct{}),
	}
	s.state.limits = limitsOf(o.Limits)
	if s.mtu == 0 {
		s.mtu = 1500
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if err := s.open(o); err != nil {
		if s.db != nil {
			_ = s.db.Close() // the error that matters is err
		}
		return nil, err
	}
	go s.writeLoop()
	return s, nil
}

func (s *Store) open(o Options) (err error) {
	// bbolt panics on some damaged files.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the state file %s is damaged: %v", o.Path, p)
		}
	}()
	if err := probe(o); err != nil {
		return cannotOpen(o.Path, err)
	}
	s.db, err = bolt.Open(o.Path, 0o600, &bolt.Options{
		Timeout: o.LockTimeout,
		// Both fsyncs of a commit stay; the list of free pages is found anew
		// at start instead of being written with every commit.
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: 64 << 20, // address space, not memory: readers never wait for a remap
		NoStatistics:    true,
		MaxSize:         o.maxSize,
	})
	if err != nil {
		return cannotOpen(o.Path, err)
	}
	if err := s.prepare(); err != nil {
		return fmt.Errorf("cannot prepare %s: %w", o.Path, err)
	}
	if err := s.db.View(s.load); err != nil {
		return fmt.Errorf("cannot read %s: %w", o.Path, err)
	}
	return nil
}

func cannotOpen(path string, err error) error {
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("cannot open %s: another process has it open", path)
	}
	return fmt.Errorf("cannot open %s: %w", path, err)
}

// probe looks at every page of an existing file. bbolt does so too when it
// opens the file to write, but in a goroutine of its own, where nothing can
// catch the panic that a damaged page causes.
func probe(o Options) error {
	if info, err := os.Stat(o.Path); err != nil || info.Size() == 0 {
		return nil // a new file
	}
	db, err := bolt.Open(o.Path, 0o600, &bolt.Options{Timeout: o.LockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close() // nothing was written
	return db.View(func(btx *bolt.Tx) error {
		return btx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}

// prepare makes the buckets and the project of a new file, adds what an older
// file lacks, and refuses one that a later version has written.
func (s *Store) prepare() error {
	stale := false
	err := s.db.View(func(btx *bolt.Tx) error {
		meta := btx.Bucket([]byte(metaBucket))
		if stale = meta == nil; stale {
			return nil
		}
		v := string(meta.Get([]byte(schemaKey)))
		if stale = v == oldSchema; !stale && v != schema {
			return fmt.Errorf("its schema is %q, this version knows %q", v, schema)
		}
		s.project = string(meta.Get([]byte(projectKey)))
		return nil
	})
	if err != nil || !stale {
		return err
	}
	if s.project == "" {
		s.project = strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	err = s.db.Update(func(btx *bolt.Tx) error {
		meta, err := btx.CreateBucketIfNotExists([]byte(metaBucket))
		if err != nil {
			return err
		}
		for _, t := range s.state.all {
			if _, err := btx.CreateBucketIfNotExists([]byte(t.name())); err != nil {
				return err
			}
		}
		if err := meta.Put([]byte(projectKey), []byte(s.project)); err != nil {
			return err
		}
		return meta.Put([]byte(schemaKey), []byte(schema))
	})
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(s.db.Path()))
}

// syncDir makes a new file's name durable; bbolt only sees to its contents.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// load fills the tables; the order is that of dependence.
func (s *Store) load(btx *bolt.Tx) error {
	for _, t := range s.state.all {
		if t == anyTable(s.state.ports) {
			if err := s.checkSubnets(); err != nil {
				return err
			}
			for _, sp := range s.state.spaces {
				sp.loading = true
			}
		}
		if err := t.load(btx); err != nil {
			return err
		}
	}
	for _, sp := range s.state.spaces {
		sp.setPools(sp.pools)
	}
	s.setCursors()
	return nil
}

// checkSubnets makes sure of what placing ports relies on.
func (s *Store) checkSubnets() error {
	for id, sub := range s.state.subnets.rows {
		if !sub.CIDR.IsValid() || s.state.networks.rows[sub.NetworkID] == nil {
			return fmt.Errorf("subnet %s is damaged", id)
		}
	}
	return nil
}

// setCursors lets automatic allocation go on behind the youngest port of each
// subnet, as if there had been no restart.
func (s *Store) setCursors() {
	youngest := make(map[string]int64)
	for _, p := range s.state.ports.rows {
		for _, ip := range p.FixedIPs {
			if p.Created > youngest[ip.SubnetID] {
				youngest[ip.SubnetID] = p.Created
				s.state.spaces[ip.SubnetID].cursor = ip.Address.Next()
			}
		}
	}
}

type loaded[T any] struct {
	id  string
	raw []byte
	row *T
}

func decode[T any](rows []loaded[T]) error {
	n := min(runtime.GOMAXPROCS(0), len(rows))
	errs := make([]error, n)
	var wg sync.WaitGroup
	for w := range n {
		wg.Go(func() {
			for i := w; i < len(rows); i += n {
				rows[i].row = new(T)
				if err := json.Unmarshal(rows[i].raw, rows[i].row); err != nil {
					errs[w] = fmt.Errorf("row %s is damaged: %w", rows[i].id, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
