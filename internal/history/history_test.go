package history

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"
)

func TestLockedDirectoryIsNamed(t *testing.T) {
	s := open(t, Options{})
	_, err := Open(Options{Dir: s.dir})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, s.dir)
	require.NotContains(t, err.Error(), "\n")

	require.NoError(t, s.Close())
	again, err := Open(Options{Dir: s.dir})
	require.NoError(t, err, "the lock must go with the store")
	require.NoError(t, again.Close())
}

func TestFailedOpenLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	// A file where the write-ahead log's directory belongs.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wal"), nil, 0o600))
	_, err := Open(Options{Dir: dir})
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrLocked)
	require.NotContains(t, err.Error(), "\n")
	require.NoError(t, os.Remove(filepath.Join(dir, "wal")))
	open(t, Options{Dir: dir})
}

func TestOpenSaysWhyInOneLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(Options{Dir: file})
	require.ErrorContains(t, err, file)
	require.ErrorContains(t, err, "is a file and not a directory")
	require.NotErrorIs(t, err, ErrLocked)

	_, err = Open(Options{Dir: t.TempDir(), QueryTimeout: -1, LookbackDelta: -1})
	require.ErrorContains(t, err, "query timeout")
	require.ErrorContains(t, err, "lookback delta")
	require.NotContains(t, err.Error(), "\n")

	_, err = Open(Options{})
	require.ErrorContains(t, err, "data directory is empty")
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "write", Path: "/d/wal/0001", Err: syscall.ENOSPC}, `cannot write to "/d": the disk is full; free some space or move the data directory`},
		{syscall.EROFS, `cannot write to "/d": the file system is read-only; mount it writable or choose another directory`},
		{&fs.PathError{Op: "open", Path: "/d/lock", Err: syscall.EACCES}, `cannot write to "/d": permission denied; check its owner and mode (open /d/lock: permission denied)`},
		{errors.Join(errors.New("a"), errors.New("b")), `cannot write to "/d": a; b`},
	} {
		err := explain("write to", "/d", c.err)
		require.EqualError(t, err, c.want)
		require.ErrorIs(t, err, c.err)
	}
}

// TestQueriesWhileSeriesAreCreated is for the race detector: see transaction.enter.
func TestQueriesWhileSeriesAreCreated(t *testing.T) {
	s := open(t, Options{})
	now := time.Now()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				write(t, s, now, 1, "m", "w", strconv.Itoa(w), "i", strconv.Itoa(i))
			}
		})
	}
	created := make(chan struct{})
	go func() { wg.Wait(); close(created) }()
	p := compile(t, `count(m{w=~".+"})`)
	for done := false; !done; {
		select {
		case <-created:
			done = true
		default:
		}
		_, err := s.Eval(t.Context(), p, now)
		require.NoError(t, err)
	}
	vec, err := s.Eval(t.Context(), p, now)
	require.NoError(t, err)
	require.EqualValues(t, 1200, vec[0].F)
}

// TestRecoveryAfterKill copies the directory as a killed process would leave it: committed, not closed.
func TestRecoveryAfterKill(t *testing.T) {
	s := open(t, Options{OutOfOrderWindow: time.Hour})
	now := time.Now()
	write(t, s, now, 1, "m", "a", "1")
	write(t, s, now.Add(time.Second), 2, "m", "a", "1")
	write(t, s, now.Add(-time.Minute), 0.5, "m", "a", "1")
	app := s.AppenderV2(t.Context())
	_, err := app.Append(0, metric("hist"), 0, now.UnixMilli(), 0, tsdbutil.GenerateTestHistogram(1), nil, storage.AOptions{})
	require.NoError(t, err)
	require.NoError(t, app.Commit())
	app = s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("m", "a", "uncommitted"), 0, now.UnixMilli(), 1, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	defer func() { require.NoError(t, app.Rollback()) }()

	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(dir, os.DirFS(s.dir)))
	again := open(t, Options{Dir: dir, OutOfOrderWindow: time.Hour})
	require.Equal(t, map[string][]float64{`{__name__="m", a="1"}`: {0.5, 1, 2}}, read(t, again, "m"))
	var h *histogram.FloatHistogram
	vec, err := again.Eval(t.Context(), compile(t, "hist"), now)
	require.NoError(t, err)
	require.Len(t, vec, 1)
	h = vec[0].H
	require.NotNil(t, h)
	require.EqualValues(t, tsdbutil.GenerateTestHistogram(1).Count, h.Count)
}

func TestCloseTwice(t *testing.T) {
	s := open(t, Options{})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}
