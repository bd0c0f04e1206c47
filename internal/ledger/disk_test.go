package ledger

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// breakDisk makes the next commits fail with err until it is called with nil.
func breakDisk(t *testing.T, l *Ledger, err error) {
	t.Helper()
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		w.fault = func() error { return err }
		return nil
	}))
}

func eventuallyHealthy(t *testing.T, l *Ledger) {
	t.Helper()
	require.Eventually(t, func() bool { ok, _ := l.Healthy(); return ok }, 30*time.Second, 5*time.Millisecond)
}

func requireClosed(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal(why)
	}
}

// recordWhileBroken records n more evaluations, each of which must say that it is not on disk and kept.
func recordWhileBroken(t *testing.T, l *Ledger, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		begin := time.Now()
		err := l.Record([]Entry{entryOf(i%10, i, alert.Firing)}, []Instance{instanceOf(i%10, i, alert.Firing)}, nil)
		require.ErrorIs(t, err, ErrNotDurable)
		require.ErrorContains(t, err, "kept in memory")
		require.Less(t, time.Since(begin), 3*time.Second, "alerts must not wait for a disk that takes nothing")
	}
}

// requireAll: n evaluations are there, each once and in order, and the latest states.
func requireAll(t *testing.T, l *Ledger, n int) {
	t.Helper()
	got := entriesOf(t, l, Query{Limit: MaxLimit})
	require.Len(t, got, n)
	for i := range got {
		require.Equal(t, entryOf(i%10, i, alert.Firing), got[i].Entry)
	}
	states := stateOf(t, l)
	require.Len(t, states, 10)
	for i := n - 10; i < n; i++ {
		require.Equal(t, instanceOf(i%10, i, alert.Firing), states[labelsOf(i%10).Get("instance")])
	}
}

func TestTroublePassesWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	for i := range 20 {
		require.NoError(t, l.Record([]Entry{entryOf(i%10, i, alert.Firing)}, []Instance{instanceOf(i%10, i, alert.Firing)}, nil))
	}
	id, err := l.Enqueue(Notification{Key: "x"})
	require.NoError(t, err)
	requireClosed(t, l.Writable(), "nothing is known to be wrong")
	breakDisk(t, l, errors.New("the cable is out"))
	recordWhileBroken(t, l, 20, 2000)
	writable := l.Writable()
	select {
	case <-writable:
		t.Fatal("it cannot be written")
	default:
	}
	l.RecordDelivery(Delivery{At: start(), Receiver: "team", Outcome: Delivered, Alerts: []DeliveredAlert{{Labels: labelsOf(3)}}})
	_, err = l.Enqueue(Notification{Key: "y"})
	require.ErrorIs(t, err, ErrNotDurable)
	require.NotContains(t, err.Error(), "kept in memory")
	require.ErrorIs(t, l.Settle(id), ErrNotDurable)
	ok, why := l.Healthy()
	require.False(t, ok)
	require.Contains(t, why, "the cable is out")
	require.Contains(t, why, filepath.Join(dir, fileName))
	require.Equal(t, 2000.0, testutil.ToFloat64(l.metrics.queue.WithLabelValues(kindTransition)))
	require.Equal(t, 10.0, testutil.ToFloat64(l.metrics.queue.WithLabelValues(kindInstance)))
	states := stateOf(t, l)
	require.Equal(t, instanceOf(9, 2019, alert.Firing), states[labelsOf(9).Get("instance")], "what is kept is known")

	breakDisk(t, l, nil)
	requireClosed(t, writable, "there is room again")
	ok, why = l.Healthy()
	require.True(t, ok, why)
	requireAll(t, l, 2020)
	for _, kind := range []string{kindTransition, kindInstance, kindDelivery} {
		require.Zero(t, testutil.ToFloat64(l.metrics.queue.WithLabelValues(kind)))
	}
	got := entriesOf(t, l, Query{Receiver: "team"})
	require.Len(t, got, 1)
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Empty(t, waiting, "what was settled meanwhile is settled")
	require.NoError(t, l.Close())
	l = openAt(t, dir)
	requireAll(t, l, 2020)
	require.NoError(t, l.Close())
}

// What is too much for the memory goes in the order that the package promises, and all of it is counted.
func TestTheBacklogIsBounded(t *testing.T) {
	const limit = 200_000
	l := openTest(t, func(o *Options) { o.MaxQueueBytes = limit })
	breakDisk(t, l, errors.New("the cable is out"))
	l.RecordDelivery(Delivery{At: start(), Receiver: "team"})
	const n = 1000
	recordWhileBroken(t, l, 0, n)
	dropped := func(kind string) int {
		return int(testutil.ToFloat64(l.metrics.dropped.WithLabelValues(kind, dropQueueFull)))
	}
	require.Equal(t, 1, dropped(kindDelivery), "deliveries go first")
	require.Positive(t, dropped(kindTransition))
	require.Zero(t, dropped(kindInstance), "the state of instances goes last")
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		require.LessOrEqual(t, w.backlog.bytes, int64(limit))
		return nil
	}))
	breakDisk(t, l, nil)
	eventuallyHealthy(t, l)
	got := entriesOf(t, l, Query{Limit: MaxLimit})
	require.Len(t, got, n-dropped(kindTransition))
	for i := range got {
		k := dropped(kindTransition) + i
		require.Equal(t, entryOf(k%10, k, alert.Firing), got[i].Entry, "the newest are kept")
	}
	require.Len(t, stateOf(t, l), 10)
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		require.Zero(t, w.backlog.bytes)
		return nil
	}))

	// Nothing but states.
	breakDisk(t, l, errors.New("the cable is out"))
	for i := range 600 {
		require.ErrorIs(t, l.Record(nil, []Instance{instanceOf(i, i, alert.Firing)}, nil), ErrNotDurable)
	}
	require.Positive(t, dropped(kindInstance))
	breakDisk(t, l, nil)
	eventuallyHealthy(t, l)
}

func TestADiskThatDoesNotAnswer(t *testing.T) {
	l := openTest(t, func(o *Options) { o.CommitTimeout, o.MaxQueueBytes = 50*time.Millisecond, 50_000 })
	hangs := make(chan struct{})
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		w.fault = func() error { <-hangs; return nil }
		return nil
	}))
	err := l.Record([]Entry{entryOf(1, 1, alert.Firing)}, nil, nil)
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "it will be written when it does")
	ok, why := l.Healthy()
	require.False(t, ok)
	require.Contains(t, why, "has not answered")
	var entries []Entry
	for i := range 60 {
		entries = append(entries, entryOf(i, i, alert.Firing))
	}
	require.ErrorIs(t, l.Record(entries, nil, nil), ErrNotDurable)
	err = l.Record(entries, nil, nil)
	require.ErrorIs(t, err, errInboxFull)
	require.Equal(t, 60.0, testutil.ToFloat64(l.metrics.dropped.WithLabelValues(kindTransition, dropInboxFull)))
	close(hangs)
	eventuallyHealthy(t, l)
	require.Eventually(t, func() bool { return len(entriesOf(t, l, Query{})) == 61 }, 5*time.Second, time.Millisecond)
}

func TestClosingSaysWhatIsLost(t *testing.T) {
	l := openAt(t, t.TempDir())
	breakDisk(t, l, errors.New("the cable is out"))
	recordWhileBroken(t, l, 0, 3)
	err := l.Close()
	require.ErrorIs(t, err, ErrNotDurable)
	require.ErrorContains(t, err, "3 transitions, 0 deliveries and the state of 3 instances")
	require.Equal(t, 3.0, testutil.ToFloat64(l.metrics.dropped.WithLabelValues(kindTransition, dropClosed)))
}

// limitPages makes SQLite say that the disk is full when the file would grow beyond what it has.
func limitPages(t *testing.T, l *Ledger, more int64) {
	t.Helper()
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		pages, err := w.db.write.number("PRAGMA page_count")
		require.NoError(t, err)
		_, err = w.db.write.number(fmt.Sprintf("PRAGMA max_page_count=%d", pages+more))
		return err
	}))
}

func TestAFullFile(t *testing.T) {
	l := openTest(t)
	n := 0
	for ; n < 20; n++ {
		require.NoError(t, l.Record([]Entry{entryOf(n%10, n, alert.Firing)}, []Instance{instanceOf(n%10, n, alert.Firing)}, nil))
	}
	limitPages(t, l, 2)
	var err error
	for ; err == nil; n++ {
		err = l.Record([]Entry{entryOf(n%10, n, alert.Firing)}, []Instance{instanceOf(n%10, n, alert.Firing)}, nil)
	}
	require.ErrorIs(t, err, ErrNotDurable)
	require.Equal(t, troubleFull, troubleOf(err))
	require.ErrorContains(t, err, "free some space")
	recordWhileBroken(t, l, n, 100)
	limitPages(t, l, 1<<20)
	eventuallyHealthy(t, l)
	requireAll(t, l, n+100)
}

func TestAFileThatBecomesReadOnly(t *testing.T) {
	l := openTest(t)
	for i := range 10 {
		require.NoError(t, l.Record([]Entry{entryOf(i%10, i, alert.Firing)}, []Instance{instanceOf(i%10, i, alert.Firing)}, nil))
	}
	require.NoError(t, l.step(t.Context(), func(w *writer) error { _, err := w.db.write.exec("PRAGMA query_only=1"); return err }))
	err := l.Record([]Entry{entryOf(0, 10, alert.Firing)}, []Instance{instanceOf(0, 10, alert.Firing)}, nil)
	require.ErrorIs(t, err, ErrNotDurable)
	require.Equal(t, troubleReadOnly, troubleOf(err))
	require.ErrorContains(t, err, "not mounted read-only")
	eventuallyHealthy(t, l) // The connection is opened anew.
	requireAll(t, l, 11)
}

// tmpfs mounts a small file system; it needs root.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tocsin-test", dir).CombinedOutput(); err != nil {
		t.Skipf("LOUD SKIP: a small file system cannot be mounted (%v: %s); other tests stand in for it", err, out)
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return dir
}

func TestAFullDisk(t *testing.T) {
	dir := tmpfs(t, "4m")
	l := openAt(t, dir)
	n := 0
	for ; n < 10; n++ {
		require.NoError(t, l.Record([]Entry{entryOf(n%10, n, alert.Firing)}, []Instance{instanceOf(n%10, n, alert.Firing)}, nil))
	}
	for round := range 3 {
		fillDisk(t, dir)
		var err error
		for ; err == nil; n++ {
			err = l.Record([]Entry{entryOf(n%10, n, alert.Firing)}, []Instance{instanceOf(n%10, n, alert.Firing)}, nil)
			require.Less(t, n, 100_000)
		}
		require.ErrorIs(t, err, ErrNotDurable)
		require.ErrorContains(t, err, "full")
		recordWhileBroken(t, l, n, 100)
		n += 100
		require.NoError(t, os.Remove(filepath.Join(dir, "filler")))
		eventuallyHealthy(t, l)
		requireAll(t, l, n)
		t.Logf("round %d: %d transitions", round, n)
	}
	require.NoError(t, l.Close())
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)

	fillDisk(t, dir)
	_, err = Open(Options{Dir: dir})
	if err != nil { // There may be room enough for an empty write-ahead log.
		require.ErrorContains(t, err, "full")
	}
}

// fillDisk leaves no room in dir.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	f.Close()
}

func TestAReadOnlyDirectory(t *testing.T) {
	dir := tmpfs(t, "4m")
	require.NoError(t, openAt(t, dir).Close())
	out, err := exec.Command("mount", "-o", "remount,ro", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "writable")
	require.NotErrorIs(t, err, ErrLocked)
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
}

// TestADirectoryThatIsTakenAway moves the ledger away from under its writer and back: what happened meanwhile is kept in
// memory, said to be, and written when it is back, and another file in its place is not taken for it.
func TestADirectoryThatIsTakenAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	l := openAt(t, dir)
	for i := range 10 {
		require.NoError(t, l.Record([]Entry{entryOf(i%10, i, alert.Firing)}, []Instance{instanceOf(i%10, i, alert.Firing)}, nil))
	}
	require.NoError(t, os.Rename(dir, dir+".away"))
	require.Eventually(t, func() bool { ok, _ := l.Healthy(); return !ok }, 10*time.Second, 5*time.Millisecond)
	_, why := l.Healthy()
	require.Contains(t, why, "the file is gone")
	require.Contains(t, why, "put the file back where it was, or restart tocsin")
	recordWhileBroken(t, l, 10, 20)
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), nil, 0o600))
	require.Eventually(t, func() bool { _, why := l.Healthy(); return strings.Contains(why, "another file") }, 10*time.Second, 5*time.Millisecond)
	recordWhileBroken(t, l, 30, 20)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.Rename(dir+".away", dir))
	eventuallyHealthy(t, l)
	require.NoError(t, l.Close())
	l = openAt(t, dir)
	requireAll(t, l, 50)
	require.NoError(t, l.Close())
}
