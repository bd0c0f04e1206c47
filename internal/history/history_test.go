package history

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
	"github.com/tocsin/tocsin/internal/tenant"
)

// open opens a store in a fresh directory unless o names one, and closes it with the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// write commits one float sample, now unless at says otherwise.
func write(t testing.TB, s *Store, at time.Time, v float64, name string, more ...string) {
	t.Helper()
	app := s.AppenderV2(t.Context())
	_, err := app.Append(0, metric(name, more...), 0, at.UnixMilli(), v, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	require.NoError(t, app.Commit())
}

func metric(name string, more ...string) labels.Labels {
	return labels.FromStrings(append([]string{model.MetricNameLabel, name}, more...)...)
}

// read returns the float samples of one metric, by series.
func read(t testing.TB, s *Store, name string) map[string][]float64 {
	t.Helper()
	q, err := s.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	set := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name))
	out := map[string][]float64{}
	for set.Next() {
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			require.Equal(t, chunkenc.ValFloat, kind)
			_, v := it.At()
			key := set.At().Labels().String()
			out[key] = append(out[key], v)
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return out
}

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

func TestLimitsRejectOneSeriesOnly(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := open(t, Options{Registerer: reg, Limits: series.Limits{Labels: 3, NameLength: 12, ValueLength: 6}})
	now := time.Now().UnixMilli()
	long := metric("m", "a", "1234567")
	for name, try := range map[string]func(ls labels.Labels) error{
		"v2": func(ls labels.Labels) error {
			app := s.AppenderV2(t.Context())
			_, err := app.Append(0, ls, 0, now, 1, nil, nil, storage.AOptions{})
			_, good := app.Append(0, metric("good", "by", "v2"), 0, now, 1, nil, nil, storage.AOptions{})
			require.NoError(t, good)
			require.NoError(t, app.Commit())
			return err
		},
		"v1": func(ls labels.Labels) error {
			app := s.Appender(t.Context())
			_, err := app.Append(0, ls, now, 1)
			_, good := app.Append(0, metric("good", "by", "v1"), now, 1)
			require.NoError(t, good)
			require.NoError(t, app.Commit())
			return err
		},
		"v1 histogram": func(ls labels.Labels) error {
			app := s.Appender(t.Context())
			defer func() { require.NoError(t, app.Rollback()) }()
			_, err := app.AppendHistogram(0, ls, now, tsdbutil.GenerateTestHistogram(1), nil)
			return err
		},
	} {
		var limit *series.LimitError
		require.ErrorAs(t, try(long), &limit, name)
		require.Equal(t, "a", limit.Label)
		require.ErrorAs(t, try(metric("m", "a", "1", "b", "2", "c", "3")), &limit, name)
		require.Equal(t, 4, limit.Got)
		require.ErrorAs(t, try(metric("m", "abcdefghijklm", "1")), &limit, name)
	}
	require.Len(t, read(t, s, "good"), 2)
	require.Empty(t, read(t, s, "m"))
	for _, reason := range []string{reasonLabels, reasonNameLength, reasonValueLength} {
		require.EqualValues(t, 3, testutil.ToFloat64(s.metrics.rejected.WithLabelValues(reason)), reason)
	}
	require.EqualValues(t, 6, testutil.ToFloat64(s.metrics.appended))
}

func TestDatabaseRejectsAreCountedByReason(t *testing.T) {
	s := open(t, Options{})
	now := time.Now()
	write(t, s, now, 1, "m")
	app := s.AppenderV2(t.Context())
	add := func(at time.Time, v float64, ls labels.Labels) error {
		_, err := app.Append(0, ls, 0, at.UnixMilli(), v, nil, nil, storage.AOptions{})
		return err
	}
	require.ErrorIs(t, add(now.Add(-time.Minute), 1, metric("m")), storage.ErrOutOfOrderSample)
	require.ErrorIs(t, add(now.Add(-24*time.Hour), 1, metric("m")), storage.ErrOutOfBounds)
	require.ErrorIs(t, add(now, 2, metric("m")), storage.ErrDuplicateSampleForTimestamp)
	require.NoError(t, add(now, 1, metric("m")), "the same sample again is no error in Prometheus")
	require.Error(t, add(now, 1, labels.EmptyLabels()))
	require.ErrorIs(t, add(now.Add(-time.Minute), math.Float64frombits(value.StaleNaN), metric("m")), storage.ErrOutOfOrderSample)
	require.NoError(t, app.Rollback())
	for reason, want := range map[string]float64{reasonOutOfOrder: 1, reasonOutOfBounds: 1, reasonDuplicate: 1, reasonInvalid: 1} {
		require.Equal(t, want, testutil.ToFloat64(s.metrics.rejected.WithLabelValues(reason)), reason)
	}
}

func TestOutOfOrderWindow(t *testing.T) {
	s := open(t, Options{OutOfOrderWindow: 10 * time.Minute})
	now := time.Now()
	write(t, s, now, 3, "m")
	write(t, s, now.Add(-5*time.Minute), 1, "m")
	require.Equal(t, map[string][]float64{`{__name__="m"}`: {1, 3}}, read(t, s, "m"))
	app := s.AppenderV2(t.Context())
	_, err := app.Append(0, metric("m"), 0, now.Add(-11*time.Minute).UnixMilli(), 1, nil, nil, storage.AOptions{})
	require.ErrorIs(t, err, storage.ErrTooOldSample)
	require.NoError(t, app.Rollback())

	// The window can be changed while open.
	require.NoError(t, s.Apply(Settings{}))
	app = s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("m"), 0, now.Add(-4*time.Minute).UnixMilli(), 1, nil, nil, storage.AOptions{})
	require.ErrorIs(t, err, storage.ErrOutOfOrderSample)
	require.NoError(t, app.Rollback())
	require.ErrorContains(t, s.Apply(Settings{RetentionSize: -1}), "retention size")
}

// observer keeps deep copies of what it saw, since batches are valid during the call only.
type observer struct {
	mu      sync.Mutex
	batches [][]Sample
	tenants []tenant.ID
}

func (o *observer) see(ctx context.Context, batch []Sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batches = append(o.batches, append([]Sample(nil), batch...))
	o.tenants = append(o.tenants, tenant.FromContext(ctx))
}

func TestObserverSeesWhatWasCommitted(t *testing.T) {
	var seen observer
	s := open(t, Options{OnCommit: seen.see, Tenant: "team-a", Limits: series.Limits{ValueLength: 5}})
	now := time.Now().UnixMilli()
	h, fh := tsdbutil.GenerateTestHistogram(3), tsdbutil.GenerateTestFloatHistogram(4)

	app := s.AppenderV2(t.Context())
	one, err := app.Append(0, metric("one"), 0, now, 1, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	_, err = app.Append(0, metric("toolong"), 0, now, 1, nil, nil, storage.AOptions{})
	require.Error(t, err)
	_, err = app.Append(0, metric("hist"), 0, now, 0, h, nil, storage.AOptions{})
	require.NoError(t, err)
	_, err = app.Append(0, metric("fhist"), 0, now, 0, nil, fh, storage.AOptions{})
	require.NoError(t, err)
	// A sample whose exemplar is refused is in, and says so with a partial error.
	ref, err := app.Append(one, metric("one"), 0, now+1, 2, nil, nil, storage.AOptions{
		Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("trace", strings.Repeat("x", 200)), Ts: now, HasTs: true}}})
	require.ErrorIs(t, err, &storage.AppendPartialError{})
	require.Equal(t, one, ref)
	require.Empty(t, seen.batches, "nothing is seen before the commit")
	require.NoError(t, app.Commit())

	require.Len(t, seen.batches, 1)
	require.Equal(t, []tenant.ID{"team-a"}, seen.tenants)
	got := seen.batches[0]
	require.Len(t, got, 4)
	require.Equal(t, Sample{Ref: one, Labels: metric("one"), T: now, V: 1}, got[0])
	require.Same(t, h, got[1].H)
	require.Same(t, fh, got[2].FH)
	require.Equal(t, Sample{Ref: one, Labels: metric("one"), T: now + 1, V: 2}, got[3])
	require.EqualValues(t, 4, testutil.ToFloat64(s.metrics.appended))

	// Rolled back and empty batches are not seen; a pooled buffer brings nothing of the past along.
	app = s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("one"), 0, now+2, 3, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	require.NoError(t, app.Rollback())
	require.NoError(t, s.AppenderV2(t.Context()).Commit())
	v1 := s.Appender(t.Context())
	_, err = v1.Append(0, metric("two"), now, 7)
	require.NoError(t, err)
	_, err = v1.AppendHistogram(0, metric("hist"), now+1, h, nil)
	require.NoError(t, err)
	require.NoError(t, v1.Commit())
	require.Len(t, seen.batches, 2)
	require.Len(t, seen.batches[1], 2)
	require.Equal(t, 7.0, seen.batches[1][0].V)
	require.Same(t, h, seen.batches[1][1].H)
}

func TestObserverIsCalledAfterSamplesAreVisible(t *testing.T) {
	var s *Store
	calls := 0
	s = open(t, Options{OnCommit: func(context.Context, []Sample) {
		calls++
		require.NotEmpty(t, read(t, s, "m"))
	}})
	write(t, s, time.Now(), 1, "m")
	require.Equal(t, 1, calls)
}

func TestFailedCommitIsReportedAndNotObserved(t *testing.T) {
	var seen observer
	s, err := Open(Options{Dir: t.TempDir(), OnCommit: seen.see})
	require.NoError(t, err)
	app := s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("m"), 0, time.Now().UnixMilli(), 1, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	// The nearest that a test gets to a disk that fails: the log's file is gone from under the appender.
	require.NoError(t, s.Close())
	err = app.Commit()
	require.ErrorContains(t, err, s.dir)
	require.Empty(t, seen.batches)
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.commitFailures))
	require.Zero(t, testutil.ToFloat64(s.metrics.appended))
}

func TestUnobservedAppendsRecordNothing(t *testing.T) {
	s := open(t, Options{})
	app := s.AppenderV2(t.Context())
	defer func() { require.NoError(t, app.Rollback()) }()
	require.Nil(t, app.(*appenderV2).batch)
}

func TestConcurrentWriters(t *testing.T) {
	var seen observer
	s := open(t, Options{OnCommit: seen.see})
	var wg sync.WaitGroup
	start := time.Now()
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				app := s.AppenderV2(t.Context())
				for k := range 10 {
					_, err := app.Append(0, metric("m", "w", string(rune('a'+w)), "k", string(rune('a'+k))), 0,
						start.UnixMilli()+int64(i), float64(i), nil, nil, storage.AOptions{})
					if err != nil {
						t.Error(err)
					}
				}
				if err := app.Commit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, b := range seen.batches {
		require.Len(t, b, 10)
		for _, smp := range b[1:] {
			require.Equal(t, b[0].V, smp.V, "batches of different writers must not mix")
			require.Equal(t, b[0].Labels.Get("w"), smp.Labels.Get("w"))
		}
		total += len(b)
	}
	require.Equal(t, 8*50*10, total)
	require.Len(t, read(t, s, "m"), 80)
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

func BenchmarkAppend(b *testing.B) {
	ls := metric("m", "instance", "a:80", "job", "j", "handler", "/api", "code", "200")
	for _, kind := range []string{"known by reference", "known by labels", "new"} {
		b.Run(kind, func(b *testing.B) {
			app := open(b, Options{}).AppenderV2(b.Context())
			now := time.Now().UnixMilli()
			ref, err := app.Append(0, ls, 0, now, 1, nil, nil, storage.AOptions{})
			require.NoError(b, err)
			if kind != "known by reference" {
				ref = 0
			}
			fresh := make([]labels.Labels, 0)
			if kind == "new" {
				for i := range b.N {
					fresh = append(fresh, metric("m", "n", strconv.Itoa(b.N), "i", strconv.Itoa(i)))
				}
			}
			b.ResetTimer()
			for i := range b.N {
				series := ls
				if kind == "new" {
					series = fresh[i]
				}
				if _, err := app.Append(ref, series, 0, now+int64(i), 1, nil, nil, storage.AOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			require.NoError(b, app.Commit())
		})
	}
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

// panicking is an appender whose Append panics, as upstream's might on a malformed histogram.
type panicking struct{ storage.AppenderV2 }

func (panicking) GetRef(labels.Labels, uint64) (storage.SeriesRef, labels.Labels) {
	return 0, labels.EmptyLabels()
}

func (panicking) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram,
	storage.AOptions,
) (storage.SeriesRef, error) {
	panic("upstream")
}

// TestPanicHarmsOnlyItsOwnRequest: HTTP servers recover from panics, so that a lock left behind would stop everybody else.
func TestPanicHarmsOnlyItsOwnRequest(t *testing.T) {
	s := open(t, Options{})
	app := s.AppenderV2(t.Context()).(*appenderV2)
	inner := app.inner
	app.inner = panicking{inner}
	require.Panics(t, func() {
		_, _ = app.Append(0, metric("m"), 0, time.Now().UnixMilli(), 1, nil, nil, storage.AOptions{})
	})
	require.NoError(t, inner.Rollback())
	require.True(t, s.creating.TryLock(), "series can still be created")
	s.creating.Unlock()
}
