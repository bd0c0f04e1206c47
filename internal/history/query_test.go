package history

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

func compile(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.NewCompiler(plan.Options{}).Compile(text)
	require.NoError(t, err)
	return p
}

// TestEvalEqualsUpstreamsQueryFunc compares Eval with what Prometheus's rule manager would get.
func TestEvalEqualsUpstreamsQueryFunc(t *testing.T) {
	s := open(t, Options{})
	now := time.Now().Truncate(time.Second)
	for i := range 10 {
		at := now.Add(time.Duration(i-9) * 30 * time.Second)
		write(t, s, at, float64(i*i), "m", "a", "1")
		write(t, s, at, float64(100-i), "m", "a", "2")
	}
	upstream := rules.EngineQueryFunc(s.QueryEngine(), s)
	for _, text := range []string{
		"m", "m > 90", "rate(m[2m])", "sum(m)", "1 + 1", "time()", "absent(nothing)", "m @ 0", "m offset 1m",
		"max_over_time(m[2m:])", "histogram_quantile(0.5, m)", "scalar(sum(m))", `label_replace(m, "b", "x$1", "a", "(.*)")`,
	} {
		want, err := upstream(t.Context(), text, now)
		require.NoError(t, err, text)
		got, err := s.Eval(t.Context(), compile(t, text), now)
		require.NoError(t, err, text)
		require.ElementsMatch(t, want, got, text)
	}
	// Errors of evaluation come through.
	write(t, s, now, 1, "n", "a", "1")
	_, err := s.Eval(t.Context(), compile(t, `label_replace(m, "a", "same", "", "")`), now)
	require.ErrorContains(t, err, "same labelset")
}

func TestQueryLimits(t *testing.T) {
	s := open(t, Options{MaxSamples: 3})
	now := time.Now()
	for i := range 5 {
		write(t, s, now, 1, "m", "a", string(rune('a'+i)))
	}
	_, err := s.Eval(t.Context(), compile(t, "m"), now)
	require.ErrorAs(t, err, new(promql.ErrTooManySamples))
}

func TestSubqueryStep(t *testing.T) {
	s := open(t, Options{})
	now := time.Now().Truncate(time.Minute)
	write(t, s, now.Add(-5*time.Minute), 1, "m")
	write(t, s, now, 1, "m")
	count := compile(t, "count_over_time(m[5m:])")
	coarse, err := s.Eval(t.Context(), count, now)
	require.NoError(t, err)
	s.SetSubqueryStep(10 * time.Second)
	s.SetSubqueryStep(0) // ignored
	fine, err := s.Eval(t.Context(), count, now)
	require.NoError(t, err)
	require.Greater(t, fine[0].F, 5*coarse[0].F)
}

// TestCloseEndsRunningQueries closes the store under a query that would run until its timeout.
func TestCloseEndsRunningQueries(t *testing.T) {
	s := open(t, Options{})
	write(t, s, time.Now(), 1, "m")
	inside := make(chan struct{})
	q, err := s.QueryEngine().NewInstantQuery(t.Context(), storage.QueryableFunc(func(_, _ int64) (storage.Querier, error) {
		return &blockingQuerier{inside: inside}, nil
	}), nil, "m", time.Now())
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- q.Exec(context.Background()).Err }()
	<-inside
	require.NoError(t, s.Close())
	require.Error(t, <-done)

	_, err = s.Eval(t.Context(), compile(t, "m"), time.Now())
	require.Error(t, err, "no query runs on a closed store")
}

// blockingQuerier selects nothing until the query's context ends.
type blockingQuerier struct {
	storage.Querier
	inside chan struct{}
	once   sync.Once
}

func (b *blockingQuerier) Close() error { return nil }

func (b *blockingQuerier) Select(ctx context.Context, _ bool, _ *storage.SelectHints, _ ...*labels.Matcher) storage.SeriesSet {
	b.once.Do(func() { close(b.inside) })
	<-ctx.Done()
	return storage.ErrSeriesSet(ctx.Err())
}

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		person, rule := t.Context(), context.WithValue(t.Context(), ruleLane{}, true)
		lane, err := g.Insert(person, "")
		require.NoError(t, err)
		// The people's lane is full, the rules' is not.
		short, cancel := context.WithTimeout(person, time.Second)
		defer cancel()
		_, err = g.Insert(short, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ruleLane, err := g.Insert(rule, "")
		require.NoError(t, err)
		g.Delete(ruleLane)

		// Close waits for the query inside, and turns away the one that waits.
		waiting := make(chan error)
		go func() { _, err := g.Insert(person, ""); waiting <- err }()
		closed := make(chan error)
		go func() { closed <- g.Close() }()
		require.ErrorIs(t, <-waiting, ErrClosed)
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("closed with a query inside")
		default:
		}
		g.Delete(lane)
		require.NoError(t, <-closed)
		_, err = g.Insert(rule, "")
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestGateClosesWithinItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2)
		_, err := g.Insert(t.Context(), "")
		require.NoError(t, err)
		start := time.Now()
		require.ErrorContains(t, g.Close(), "1 queries did not end")
		require.Equal(t, drainDeadline, time.Since(start))
	})
}

// TestUpstreamSuites runs Prometheus's own PromQL acceptance suites through our query engine, on our storage. Both get
// the settings that the suites are written for: start timestamps, delayed name removal, everything experimental.
func TestUpstreamSuites(t *testing.T) {
	tune := func(o *Options) {
		o.tuneDB = func(opts *tsdb.Options) {
			day := (24 * time.Hour).Milliseconds()
			opts.MinBlockDuration, opts.MaxBlockDuration, opts.RetentionDuration = day, day, 0
			opts.EnableSTStorage, opts.EnableHistogramSTEncoding = true, true
			opts.FloatChunkEncoding = chunkenc.EncXOR2
		}
		o.tuneEngine = func(opts *promql.EngineOpts) {
			opts.EnableDelayedNameRemoval, opts.UseStartTimestamps = true, true
			opts.Parser = parser.NewParser(promqltest.TestParserOpts)
		}
	}
	o := Options{QueryTimeout: 100 * time.Second, MaxSamples: 50_000}
	tune(&o)
	engine := open(t, o).QueryEngine()
	promqltest.RunBuiltinTestsWithStorage(t, engine, func(t testing.TB) storage.Storage {
		o := Options{Dir: t.TempDir()}
		tune(&o)
		s, err := Open(o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	})
}
