package notify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// The files in Options.Dir.
const (
	silencesFile = "silences"
	nflogFile    = "nflog"
)

// snapshotter keeps one file equal to a state in memory. The file is replaced as a whole: after a crash it holds either
// the old state or the new one.
type snapshotter struct {
	path     string // empty: nothing is written
	write    func(io.Writer) (int64, error)
	failures prometheus.Counter

	changes atomic.Uint64 // counts changes of the state

	mu    sync.Mutex // one writer at a time
	saved uint64     // changes that the file holds
}

func newSnapshotter(dir, name string, write func(io.Writer) (int64, error), m *metrics) *snapshotter {
	s := &snapshotter{write: write, failures: m.snapshotFailures.WithLabelValues(name)}
	if dir != "" {
		s.path = filepath.Join(dir, name)
	}
	return s
}

// changed notes a change of the state. It may be called under the state's own lock.
func (s *snapshotter) changed() { s.changes.Add(1) }

func (s *snapshotter) dirty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.path != "" && s.saved < s.changes.Load()
}

// save returns once all changes noted before the call are on disk. Callers that come together share a write.
func (s *snapshotter) save() error {
	want := s.changes.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved >= want {
		return nil
	}
	_, err := s.saveLocked()
	return err
}

// saveNow writes whether or not something changed, and returns the size in bytes.
func (s *snapshotter) saveNow() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saveLocked()
}

func (s *snapshotter) saveLocked() (int64, error) {
	has := s.changes.Load()
	if s.path == "" {
		s.saved = has
		return 0, nil
	}
	n, err := replaceFile(s.path, s.write)
	if err != nil {
		s.failures.Inc()
		return n, fmt.Errorf("cannot write %s: %w", s.path, err)
	}
	s.saved = has
	return n, nil
}

// replaceFile writes a file beside path, syncs it, and moves it to path.
func replaceFile(path string, write func(io.Writer) (int64, error)) (n int64, err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()
	b := bufio.NewWriterSize(f, 1<<16)
	n, err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return n, err
	}
	if err = os.Rename(tmp, path); err != nil {
		return n, err
	}
	return n, syncDir(filepath.Dir(path))
}

// syncDir makes a rename last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
