package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kuryr/internal/courier"
)

// DrainStatus is what the admin API tells at /v1/drain.
type DrainStatus struct {
	Host    string     `json:"host"`
	Drained bool       `json:"drained"`         // no container is started here
	Since   *time.Time `json:"since,omitempty"` // nil: it is not drained
	// What is left on this host: container interfaces, with addresses that wait
	// for one, and removals that are not carried out yet.
	Attachments int `json:"attachments"`
	Pending     int `json:"pending_removals"`
}

// drain is whether this host is taken out of service, over restarts: it is as
// long as its file exists, since the file was made.
type drain struct {
	path string

	mu    sync.Mutex // guards since, and is held while the file changes
	since time.Time  // zero: it is not
}

func openDrain(dir string) (*drain, error) {
	d := &drain{path: filepath.Join(dir, "drained")}
	st, err := os.Stat(d.path)
	switch {
	case err == nil:
		d.since = st.ModTime()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, &courier.Error{Op: "tell whether this host is drained from", Subject: d.path, Public: cause(err), Err: err}
	}
	return d, nil
}

// set makes or removes the file, durably. What is so already stays as it is.
func (d *drain) set(on bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if on != d.since.IsZero() {
		return nil
	}
	since, err := time.Time{}, error(nil)
	if on {
		since, err = makeMarker(d.path)
	} else if err = os.Remove(d.path); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if err != nil {
		return &courier.Error{Op: "note in", Subject: d.path, Public: cause(err), Err: err}
	}
	d.since = since
	return nil
}

// makeMarker makes an empty file and returns the time that it keeps.
func makeMarker(path string) (time.Time, error) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return time.Time{}, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return st.ModTime(), nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// began returns since when the host is drained; zero: it is not.
func (d *drain) began() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.since
}

// check tells that no container is started here; nil: it is.
func (d *drain) check() error {
	since := d.began()
	if since.IsZero() {
		return nil
	}
	return fmt.Errorf("this host is being drained since %s and starts no container: kuryr drain --undo ends that", since.UTC().Format(time.RFC3339))
}

// serveDrain tells whether the host is drained, after PUT that it is and after
// DELETE that it is not.
func (d *daemon) serveDrain(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		if err := d.drain.set(r.Method == http.MethodPut); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		d.log.Info("told whether this host is drained", "drained", !d.drain.began().IsZero())
		d.systemd.ready(d.serving())
	}
	since := d.drain.began()
	now := d.courier.Status()
	for _, p := range now.PortPools {
		now.Pending += len(p.Ports) // they are to go as well
	}
	s := DrainStatus{Host: d.cfg.Host, Drained: !since.IsZero(), Attachments: len(now.Attachments), Pending: now.Pending}
	if s.Drained {
		s.Since = &since
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s) // who has hung up needs no answer
}
