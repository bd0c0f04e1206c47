package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

var compiler = plan.NewCompiler(plan.Options{})

func nopLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// seedOf returns the seed of a random test: the environment's SEED, or another one each time.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("seed %d; SEED plays it again", seed)
	return seed
}

// parseGroups reads text in Prometheus's format with Prometheus's own reader.
func parseGroups(t testing.TB, text string) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, parser.NewParser(parser.Options{}), nopLogger())
	require.Empty(t, errs, text)
	return groups
}

// ruleGroups lowers text to our model.
func ruleGroups(t testing.TB, file, text string) []*rule.Group {
	t.Helper()
	var out []*rule.Group
	for _, g := range parseGroups(t, text).Groups {
		group := &rule.Group{
			Name: g.Name, File: file, Interval: time.Duration(g.Interval), Limit: g.Limit,
			QueryOffset: (*time.Duration)(g.QueryOffset),
		}
		for _, r := range g.Rules {
			p, err := compiler.Compile(r.Expr)
			require.NoError(t, err)
			all := maps.Clone(g.Labels)
			if all == nil {
				all = map[string]string{}
			}
			maps.Copy(all, r.Labels)
			one := &rule.Rule{
				Kind: rule.Recording, Name: r.Record, Plan: p,
				For: time.Duration(r.For), KeepFiringFor: time.Duration(r.KeepFiringFor),
				Labels: labels.FromMap(all), Annotations: labels.FromMap(r.Annotations), Line: 1 + len(group.Rules),
			}
			if r.Alert != "" {
				one.Kind, one.Name = rule.Alerting, r.Alert
			}
			one.ID = fmt.Sprint(one.Kind, one.Name, p, one.For, one.KeepFiringFor, one.Labels, one.Annotations)
			group.Rules = append(group.Rules, one)
		}
		out = append(out, group)
	}
	return out
}

// world is a database with the upstream query engine on it, and what was sent from it.
type world struct {
	db     *teststorage.TestStorage
	promql *promql.Engine

	mu    sync.Mutex
	sent  []string
	ended []string // sent while a reload was under way
	quiet bool     // a reload is under way
	moves []alert.Transition
}

func newWorld(t testing.TB, storage ...teststorage.Option) *world {
	e := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Hour, EnableAtModifier: true, EnableNegativeOffset: true,
		Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { _ = e.Close() })
	return &world{db: teststorage.New(t, storage...), promql: e}
}

func (w *world) eval(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	v, err := rules.EngineQueryFunc(w.promql, w.db)(ctx, p.String(), at)
	return append(buf, v...), err
}

func (w *world) options() engine.Options {
	return engine.Options{
		Logger: nopLogger(), Eval: w.eval, Compiler: compiler, Appendable: w.db, Queryable: w.db,
		Notify: w.notify, OnTransition: w.transition,
	}
}

func (w *world) notify(_ context.Context, alerts []alert.Outgoing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range alerts {
		text := describeSent(a.Labels, a.Annotations, a.StartsAt, a.EndsAt, a.GeneratorURL)
		if w.quiet {
			w.ended = append(w.ended, text)
		} else {
			w.sent = append(w.sent, text)
		}
	}
}

// Send implements rules.Sender: the way of Prometheus's own notifications.
func (w *world) Send(alerts ...*notifier.Alert) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range alerts {
		w.sent = append(w.sent, describeSent(a.Labels, a.Annotations, a.StartsAt, a.EndsAt, a.GeneratorURL))
	}
}

func (w *world) setQuiet(quiet bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.quiet = quiet
}

func (w *world) transition(_ context.Context, t alert.Transition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves = append(w.moves, t)
}

func (w *world) takeSent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.sent
	w.sent = nil
	slices.Sort(out)
	return out
}

func (w *world) takeMoves() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, m := range w.moves {
		out = append(out, fmt.Sprintf("%s{%s} %s>%s", m.Rule, m.Labels.Get("i"), m.From, m.To))
	}
	w.moves = nil
	return out
}

func describeSent(ls, annotations labels.Labels, starts, ends time.Time, link string) string {
	return fmt.Sprint(time.Now().UTC().Format(time.TimeOnly), ls, annotations, starts.UnixMilli(), " ", ends.UnixMilli(), link)
}

// write appends one value of each series, given as name{label="value"} text, at the present time.
func (w *world) write(t testing.TB, values map[string]float64) {
	t.Helper()
	writeTo(t, w.db, values)
}

// writeTo is write into some database.
func writeTo(t testing.TB, db storage.AppendableV2, values map[string]float64) {
	t.Helper()
	app := db.AppenderV2(context.Background())
	for _, series := range slices.Sorted(maps.Keys(values)) {
		ls, err := parser.NewParser(parser.Options{}).ParseMetric(series)
		require.NoError(t, err)
		v := values[series]
		var h *histogram.FloatHistogram
		if strings.HasPrefix(series, "in_h") {
			h = &histogram.FloatHistogram{Count: v, Sum: v, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{v}}
		}
		_, err = app.Append(0, ls, 0, time.Now().UnixMilli(), v, nil, h, storage.AOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, app.Commit())
}

// dump returns every sample of every series but those whose names begin with "in", as text with exact values.
func (w *world) dump(t testing.TB) map[string]string { return w.dumpSince(t, math.MinInt64) }

// dumpSince is dump from a time on, in milliseconds.
func (w *world) dumpSince(t testing.TB, since int64) map[string]string {
	t.Helper()
	q, err := w.db.Querier(since, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	out := map[string]string{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchNotRegexp, model.MetricNameLabel, "in.*"))
	for set.Next() {
		var text strings.Builder
		it := set.At().Iterator(nil)
		for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
			if kind == chunkenc.ValFloatHistogram {
				at, h := it.AtFloatHistogram(nil)
				fmt.Fprintf(&text, "%d:%s ", at, h)
				continue
			}
			require.Equal(t, chunkenc.ValFloat, kind)
			at, v := it.At()
			fmt.Fprintf(&text, "%d:%x ", at, math.Float64bits(v))
		}
		require.NoError(t, it.Err())
		out[set.At().Labels().String()] = text.String()
	}
	require.NoError(t, set.Err())
	return out
}

// site is where the two worlds say they are.
func site(t testing.TB) *url.URL {
	u, err := url.Parse("http://tocsin.example:9909/at")
	require.NoError(t, err)
	return u
}

// textLoader hands rule files to Prometheus from memory.
type textLoader struct {
	t     testing.TB
	files map[string]string
}

func (l textLoader) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	return parseGroups(l.t, l.files[name]), nil
}

func (textLoader) Parse(text string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(text)
}
