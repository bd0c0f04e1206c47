package history

import (
	"math"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

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
