package explain_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// step is between samples and between evaluations of every world.
const step = 30 * time.Second

// begin is when every world begins.
func begin() time.Time { return time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC) }

func compiler() *plan.Compiler { return plan.NewCompiler(plan.Options{ExperimentalFunctions: true}) }

// world is a real history, a real ledger and real rules, evaluated over some time.
type world struct {
	t      testing.TB
	store  *history.Store
	ledger *ledger.Ledger
	groups []*engine.Group
	files  []rule.FileStatus
	now    time.Time
	told   func(context.Context, labels.Labels) (*explain.Told, error)
}

// newWorld loads series in upstream's notation, one a line; "stale" is a staleness marker.
func newWorld(t testing.TB, series string) *world {
	t.Helper()
	w := &world{t: t, now: begin()}
	var err error
	w.store, err = history.Open(history.Options{Dir: t.TempDir(), Compiler: compiler(), RetentionTime: -1})
	require.NoError(t, err)
	w.ledger, err = ledger.Open(ledger.Options{Dir: t.TempDir(), Retention: -1})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, w.ledger.Close())
		require.NoError(t, w.store.Close())
	})
	app := w.store.Appender(t.Context())
	for line := range strings.Lines(series) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		ls, values, err := compiler().Parser().ParseSeriesDesc(line)
		require.NoError(t, err, line)
		for i, v := range values {
			at := begin().Add(time.Duration(i) * step).UnixMilli()
			switch {
			case v.Omitted:
				continue
			case v.Histogram != nil:
				_, err = app.AppendHistogram(0, ls, at, nil, v.Histogram)
			default:
				_, err = app.Append(0, ls, at, v.Value)
			}
			require.NoError(t, err, line)
		}
	}
	require.NoError(t, app.Commit())
	return w
}

// rules loads a file of rules.
func (w *world) rules(path, text string) {
	w.t.Helper()
	f, errs := rule.Parse(path, []byte(text), compiler())
	require.Empty(w.t, errs)
	cfg := engine.Config{Groups: f.Groups, Interval: step}
	for _, g := range f.Groups {
		w.groups = append(w.groups, engine.NewGroup(engine.Options{
			Eval: w.eval, Compiler: compiler(), Appendable: w.store, Queryable: w.store, Ledger: w.ledger,
		}, cfg, g))
	}
	w.files = append(w.files, rule.FileStatus{Path: path, OK: true, Hash: f.Hash, LoadedAt: begin().Add(-time.Hour)})
}

func (w *world) eval(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	v, err := w.store.Eval(ctx, p, at)
	return append(buf, v...), err
}

// run evaluates the rules until the world is d old.
func (w *world) run(d time.Duration) {
	for end := begin().Add(d); !w.now.After(end); w.now = w.now.Add(step) {
		for _, g := range w.groups {
			g.Eval(w.t.Context(), w.now)
		}
	}
	w.now = w.now.Add(-step)
}

// status is the groups', with times of the world in place of the machine's.
func (w *world) status() []engine.GroupStatus {
	var out []engine.GroupStatus
	for _, g := range w.groups {
		s := g.Status()
		for i := range s.Rules {
			if r := &s.Rules[i]; !r.LastEvaluation.IsZero() {
				r.LastEvaluation, r.EvaluationTime = w.now, 1250*time.Microsecond
			}
		}
		out = append(out, s)
	}
	return out
}

func (w *world) history(ctx context.Context, q ledger.Query) (ledger.Page, error) {
	page, err := w.ledger.History(ctx, q)
	for i := range page.Entries {
		page.Entries[i].Latency = 2500 * time.Microsecond
	}
	return page, err
}

// options are those of an Explainer of the world.
func (w *world) options() explain.Options {
	return explain.Options{
		Compiler: compiler(), Groups: w.status, Files: func() []rule.FileStatus { return w.files },
		Instant: w.store.Instant, Read: w.store.Read, Beginning: w.store.Beginning, History: w.history, Told: w.told,
		Now: func() time.Time { return w.now },
	}
}

func (w *world) explain(q explain.Question) *explain.Answer {
	w.t.Helper()
	x, err := explain.New(w.options())
	require.NoError(w.t, err)
	a, err := x.Explain(w.t.Context(), q)
	require.NoError(w.t, err)
	return a
}

// matchers reads a selector; empty is none.
func matchers(t testing.TB, selector string) []*labels.Matcher {
	t.Helper()
	if selector == "" {
		return nil
	}
	ms, err := compiler().Parser().ParseMetricSelector(selector)
	require.NoError(t, err)
	return ms
}
