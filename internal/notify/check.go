package notify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/client_golang/prometheus"
)

// CheckDir reads the files in dir, an Options.Dir, without changing anything, and returns how many are good and what is
// wrong with the others, each error naming its file. A Notifier may be working in dir. Its absence is an error.
func CheckDir(dir string) (good int, bad []error, err error) {
	if _, err := os.Stat(dir); err != nil {
		return 0, nil, err
	}
	for name, read := range map[string]func(io.Reader) error{
		silencesFile: func(r io.Reader) error {
			_, err := silence.New(silence.Options{SnapshotReader: r, Metrics: prometheus.NewRegistry()})
			return err
		},
		nflogFile: func(r io.Reader) error {
			_, err := nflog.New(nflog.Options{SnapshotReader: r, Metrics: prometheus.NewRegistry()})
			return err
		},
	} {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) { // nothing was ever written
			continue
		}
		if err == nil {
			err = errors.Join(read(f), f.Close())
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", name, err))
			continue
		}
		good++
	}
	return good, bad, nil
}
