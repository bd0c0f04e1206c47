package ledger

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tocsin/tocsin/internal/alert"
)

// entriesOf returns what History has, oldest first.
func entriesOf(t testing.TB, l *Ledger, q Query) []Recorded {
	t.Helper()
	q.OldestFirst = true
	var all []Recorded
	for {
		p, err := l.History(context.Background(), q)
		require.NoError(t, err)
		all = append(all, p.Entries...)
		if q.After = p.Next; p.Next == "" {
			return all
		}
	}
}

// stateOf returns the instances by the value of their label instance.
func stateOf(t testing.TB, l *Ledger) map[string]Instance {
	t.Helper()
	all, err := l.Instances()
	require.NoError(t, err)
	m := map[string]Instance{}
	for _, in := range all {
		require.NotContains(t, m, in.Labels.Get("instance"))
		m[in.Labels.Get("instance")] = in
	}
	return m
}

func TestRecordSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	var want []Entry
	for i := range 7 {
		require.NoError(t, l.Record(nil, []Instance{instanceOf(100+i, 0, alert.Firing)}, nil))
	}
	for n := range 200 {
		e := entryOf(n%7, n, alert.State(1+n%2))
		want = append(want, e)
		var gone []InstanceKey
		if n < 7 {
			gone = append(gone, keyOf(100+n))
		}
		require.NoError(t, l.Record([]Entry{e}, []Instance{instanceOf(n%7, n, e.To)}, gone))
	}
	for _, reopen := range []bool{false, true, true} {
		if reopen {
			require.NoError(t, l.Close())
			l = openAt(t, dir)
		}
		got := entriesOf(t, l, Query{Limit: 17})
		require.Len(t, got, len(want))
		for i := range want {
			require.Equal(t, want[i], got[i].Entry)
		}
		states := stateOf(t, l)
		require.Len(t, states, 7)
		for n := 193; n < 200; n++ {
			require.Equal(t, instanceOf(n%7, n, want[n].To), states[labelsOf(n%7).Get("instance")])
		}
	}
	require.NoError(t, l.Close())
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.Equal(t, []int{200, 7}, []int{report.Transitions, report.Instances})
	require.Equal(t, []time.Time{want[0].At, want[199].At}, []time.Time{report.Oldest, report.Newest})
}

// What is on disk at any moment must do without what Close would still do: a copy of the files is what kill -9 leaves.
func TestEveryMomentIsAGoodOneToCrash(t *testing.T) {
	l := openTest(t)
	r := newRand(t)
	want := map[string]Instance{}
	n := 0
	for round := range 30 {
		for range 1 + r.IntN(100) {
			n++
			i := r.IntN(60)
			in := instanceOf(i, n, alert.Firing)
			if r.IntN(3) == 0 {
				delete(want, in.Labels.Get("instance"))
				require.NoError(t, l.Record(nil, nil, []InstanceKey{in.Key()}))
			} else {
				want[in.Labels.Get("instance")] = in
				require.NoError(t, l.Record(nil, []Instance{in}, nil))
			}
		}
		for range r.IntN(3) { // A flush may be at any point.
			require.NoError(t, l.step(t.Context(), func(w *writer) error {
				_, err := w.states.flush(w.db.write, w.last, w.last)
				return err
			}))
		}
		if round%5 == 0 {
			require.NoError(t, l.step(t.Context(), func(w *writer) error { _, err := w.states.clean(w.db.write); return err }))
		}
		require.Equal(t, want, stateOf(t, l))
		crashed := openAt(t, copyFiles(t, l.opts.Dir))
		require.Equal(t, want, stateOf(t, crashed))
		require.NoError(t, crashed.Close())
	}
}

// copyFiles copies a ledger that is open and, as the test sees to, at rest.
func copyFiles(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{fileName, fileName + "-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, name), data, 0o600))
	}
	return to
}

func TestConcurrentRecordsShareSyncs(t *testing.T) {
	l := openTest(t)
	// Held up once, so that the others come together.
	hold := make(chan struct{})
	require.NoError(t, l.step(t.Context(), func(w *writer) error {
		w.fault = func() error { <-hold; return nil }
		return nil
	}))
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			require.NoError(t, l.Record([]Entry{entryOf(g, g, alert.Firing)}, []Instance{instanceOf(g, g, alert.Firing)}, nil))
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(hold)
	wg.Wait()
	require.Len(t, entriesOf(t, l, Query{}), 50)
	require.Less(t, testutil.ToFloat64(l.metrics.commits), 50.0)
	require.Equal(t, 50.0, testutil.ToFloat64(l.metrics.transitions))
}

func TestAFailedCommitLeavesNothing(t *testing.T) {
	l := openTest(t)
	broken := errors.New("broken")
	require.ErrorIs(t, l.submit(request{change: func(s *session) error {
		_, err := s.exec("INSERT INTO log VALUES (999, 1, x'00')")
		require.NoError(t, err)
		return broken
	}}), broken)
	require.Eventually(t, func() bool { ok, _ := l.Healthy(); return ok }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, l.Record([]Entry{entryOf(1, 1, alert.Firing)}, nil, nil))
	var n int
	require.NoError(t, l.db.reader.QueryRow("SELECT count(*) FROM log").Scan(&n))
	require.Equal(t, 1, n)
}

func TestLargeRecords(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	var entries []Entry
	var changed []Instance
	for i := range 1000 {
		entries, changed = append(entries, entryOf(i, i, alert.Firing)), append(changed, instanceOf(i, i, alert.Firing))
	}
	entries[500].Annotations = labels.FromStrings("summary", strings.Repeat("long ", 200_000))
	require.NoError(t, l.Record(entries, changed, nil))
	require.Equal(t, 1.0, testutil.ToFloat64(l.metrics.commits))
	require.NoError(t, l.Close())
	l = openAt(t, dir)
	got := entriesOf(t, l, Query{Limit: MaxLimit})
	require.Len(t, got, 1000)
	for i := range got {
		require.Equal(t, entries[i], got[i].Entry)
	}
	require.Len(t, stateOf(t, l), 1000)
	require.NoError(t, l.Close())
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	_, err := Open(Options{Dir: dir})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "stop it")
	report, err := Check(dir)
	require.NoError(t, err, "checking goes beside a tocsin that runs")
	require.Empty(t, report.Problems)
	require.NoError(t, l.Close())
	require.NoError(t, openAt(t, dir).Close())
}

func TestClosed(t *testing.T) {
	l := openAt(t, t.TempDir())
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Close(), ErrClosed)
	require.ErrorIs(t, l.Record([]Entry{entryOf(1, 1, alert.Firing)}, nil, nil), ErrClosed)
	_, err := l.Enqueue(Notification{})
	require.ErrorIs(t, err, ErrClosed)
	_, err = l.Instances()
	require.ErrorIs(t, err, ErrClosed)
	l.RecordDelivery(Delivery{})
}

func TestOpenAndCloseLeaveNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	for n := range 20 {
		l := openAt(t, dir)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					if err := l.Record([]Entry{entryOf(g, i, alert.Firing)}, []Instance{instanceOf(g, i, alert.Firing)}, nil); err != nil {
						require.ErrorIs(t, err, ErrClosed)
						return
					}
					l.RecordDelivery(Delivery{At: start()})
				}
			})
		}
		time.Sleep(time.Duration(n) * time.Millisecond)
		require.NoError(t, l.Close())
		wg.Wait()
	}
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 2, "only the file and the lock are left by a clean end: %v", names)
}

func TestStrangeDirectoryNames(t *testing.T) {
	for _, name := range []string{"a b", "c?d", "e#f", "g%20h", "ü&mode=memory"} {
		dir := filepath.Join(t.TempDir(), name)
		l := openAt(t, dir)
		require.NoError(t, l.Record([]Entry{entryOf(1, 1, alert.Firing)}, nil, nil))
		require.NoError(t, l.Close())
		require.FileExists(t, filepath.Join(dir, fileName))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {Dir: "x", MaxBytes: 5}, {Dir: "x", MaxQueueBytes: -1}, {Dir: "x", CommitTimeout: -1}} {
		_, err := Open(o)
		require.ErrorContains(t, err, "ledger: option")
	}
	require.NoDirExists(t, "x")
}
