package explain_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/rule"
)

// TestWhoWasTold shows what the pipeline says, and what the ledger has of deliveries.
func TestWhoWasTold(t *testing.T) {
	w := newWorld(t, loads)
	w.rules("/r.yml", alerting("load > 4"))
	w.run(10 * time.Minute)
	ls := labels.FromStrings("alertname", "A", "instance", "a")
	for i, outcome := range []ledger.Outcome{ledger.Failed, ledger.Delivered} {
		w.ledger.RecordDelivery(ledger.Delivery{
			At: begin().Add(5*time.Minute + time.Duration(i+1)*time.Second), Receiver: "team", Integration: "webhook", GroupKey: `{}:{alertname="A"}`,
			Alerts: []ledger.DeliveredAlert{{Labels: ls}}, Attempt: i + 1, Latency: 40 * time.Millisecond, Outcome: outcome, Answer: []string{"503", "200"}[i],
		})
	}
	ends := begin().Add(time.Hour)
	w.told = func(_ context.Context, got labels.Labels) (*explain.Told, error) {
		require.Equal(t, ls, got)
		return &explain.Told{
			Routes: []explain.Route{{
				Path: "{}/{team=\"core\"}", Receiver: "team", GroupBy: []string{"alertname"}, GroupKey: `{}:{alertname="A"}`,
				GroupWaitSeconds: 30, GroupIntervalSeconds: 300, RepeatIntervalSeconds: 14400,
			}},
			InhibitedBy: []string{`{alertname="Down"}`}, SilencedBy: []explain.Silence{{ID: "s-1", CreatedBy: "eve", Comment: "planned", EndsAt: &ends}},
			MutedBy: []string{"time interval weekend"}, Acknowledged: &explain.Ack{Owner: "bob", Comment: "on it", EndsAt: &ends}, Flapping: true,
			Waiting: []explain.Queued{{Receiver: "team", Integration: "email[0]", Attempts: 3, NextAttempt: &ends, LastError: "connection refused"}},
		}, nil
	}
	// What a ledger was told of deliveries it writes a moment later.
	require.Eventually(t, func() bool {
		page, err := w.ledger.History(t.Context(), ledger.Query{Rule: "A"})
		return err == nil && len(page.Entries) == 1 && len(page.Entries[0].Deliveries) == 2
	}, 10*time.Second, 10*time.Millisecond)
	a := w.explain(explain.Question{Name: "A"})
	var text bytes.Buffer
	require.NoError(t, a.WriteText(&text))
	golden(t, "told.txt", text.Bytes(), flag.Lookup("update").Value.String() == "true")

	w.told = func(context.Context, labels.Labels) (*explain.Told, error) { return nil, errors.New("not running") }
	require.Contains(t, w.explain(explain.Question{Name: "A"}).Instances[0].Notes, "who is told is not known: not running")
}

// TestChangedRule explains an alert of the past by the expression of that time, and one whose rule is gone.
func TestChangedRule(t *testing.T) {
	w := newWorld(t, `load{instance="a"} 1x9 5x9 1x60`)
	w.rules("/r.yml", alerting("load > 4"))
	w.run(20 * time.Minute)
	w.groups, w.files = nil, nil
	w.rules("/r.yml", alerting("load > 40"))
	w.run(21 * time.Minute)
	a := w.explain(explain.Question{Name: "A"})
	require.Equal(t, "load > 4", a.Instances[0].Expression.Expr)
	require.Equal(t, "5", a.Instances[0].Thresholds[0].Value)
	require.Contains(t, strings.Join(a.Instances[0].Notes, "\n"), "the rule has changed since")
	require.Equal(t, explain.ComparisonFalse, a.WhyNot[0].Cause.Code)

	w.groups, w.files = nil, nil
	a = w.explain(explain.Question{Name: "A"})
	require.Empty(t, a.WhyNot)
	require.Contains(t, a.Answer, "it last fired from")
	require.Contains(t, strings.Join(a.Instances[0].Notes, "\n"), "there is no such rule any more")
}

func TestNotFound(t *testing.T) {
	w := newWorld(t, loads)
	w.rules("/r.yml", group("  - alert: HighLoad\n    expr: load > 4\n  - record: load:max\n    expr: max(load)\n"))
	x, err := explain.New(w.options())
	require.NoError(t, err)
	for name, want := range map[string]string{"load": "did you mean HighLoad?", "Other": "none of the 1 alerting rules", "load:max": "did you mean HighLoad?"} {
		_, err = x.Explain(t.Context(), explain.Question{Name: name})
		require.ErrorIs(t, err, explain.ErrNotFound)
		if name != "load:max" {
			require.ErrorContains(t, err, want)
		}
	}
	_, err = explain.New(explain.Options{})
	require.ErrorContains(t, err, "required")
}

// TestLimits: what does not fit is left out, and that is said.
func TestLimits(t *testing.T) {
	var series strings.Builder
	for i := range 40 {
		series.WriteString(fmt.Sprintf("load{instance=\"%d\"} 5x40\n", i))
	}
	w := newWorld(t, series.String())
	w.rules("/r.yml", alerting("load * 2 + 1 > 4"))
	w.run(10 * time.Minute)
	o := w.options()
	o.Limits = explain.Limits{Instances: 2, Nodes: 2, Elements: 1, Series: 3, Samples: 4}
	x, err := explain.New(o)
	require.NoError(t, err)
	a, err := x.Explain(t.Context(), explain.Question{Name: "A"})
	require.NoError(t, err)
	require.Len(t, a.Instances, 2)
	require.Contains(t, a.Cuts, "2 alerts are explained, 38 more are active; name labels to choose")
	require.Contains(t, a.Cuts, "2 sub-expressions were evaluated, the others were not")

	a, err = x.Explain(t.Context(), explain.Question{Name: "A", Matchers: matchers(t, `{instance="none"}`)})
	require.NoError(t, err)
	require.Len(t, a.WhyNot, 1)

	o.Limits = explain.Limits{Elements: 2, Series: 3, Samples: 4}
	x, err = explain.New(o)
	require.NoError(t, err)
	w.groups = nil
	w.rules("/r.yml", alerting("sum(load) > 4000"))
	w.run(11 * time.Minute)
	a, err = x.Explain(t.Context(), explain.Question{Name: "A"})
	require.NoError(t, err)
	leaf := a.WhyNot[0].Expression.Children[0].Children[0]
	require.Equal(t, "load", leaf.Expr)
	require.Len(t, leaf.Elements, 2)
	require.Equal(t, 40, leaf.Belonging)
	require.Len(t, leaf.Window.Series, 3)
	require.Equal(t, 40, leaf.Window.SeriesCount)
	require.Len(t, leaf.Window.Series[0].Samples, 4)
	require.Equal(t, 10, leaf.Window.Series[0].SampleCount)
}

// TestTimeout: when the time is over, what there is is answered.
func TestTimeout(t *testing.T) {
	w := newWorld(t, loads)
	w.rules("/r.yml", alerting("load > 40"))
	w.run(time.Minute)
	o := w.options()
	o.Limits.Timeout = time.Millisecond
	o.Instant = func(ctx context.Context, text string, at time.Time) (history.Value, error) {
		<-ctx.Done()
		return history.Value{}, ctx.Err()
	}
	x, err := explain.New(o)
	require.NoError(t, err)
	a, err := x.Explain(t.Context(), explain.Question{Name: "A"})
	require.NoError(t, err)
	require.Contains(t, strings.Join(a.Cuts, "\n"), "the time for an answer, 1ms, was over")
	require.NoError(t, a.WriteText(&bytes.Buffer{}))
}

// corpus is where rules of others lie, where they do.
const corpus = "../../../shared/corpora/rules"

// TestCorpus: there is an answer for every alerting rule that others wrote, over a history without and with samples, whether
// it fires or not.
func TestCorpus(t *testing.T) {
	dir := corpus
	if env := os.Getenv("TOCSIN_CORPUS"); env != "" {
		dir = env
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.y*ml"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skipf("LOUD SKIP: there are no rules in %s; set TOCSIN_CORPUS", dir)
	}
	w := newWorld(t, "")
	codes := map[explain.Code]int{}
	rules, active := 0, 0
	for _, path := range files {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, errs := rule.Parse(path, content, compiler())
		if len(errs) > 0 {
			continue // Some are no rule files.
		}
		w.groups = nil
		w.rules(path, string(content))
		seed(t, w, f)
		for range 2 {
			for _, g := range w.groups {
				g.Eval(t.Context(), w.now)
			}
			w.now = w.now.Add(step)
		}
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if r.Kind != rule.Alerting {
					continue
				}
				rules++
				for _, selector := range []string{"", `{instance="i"}`, `{nothing="like it"}`} {
					a := w.explain(explain.Question{Name: r.Name, Group: g.Name, Matchers: matchers(t, selector)})
					require.NotEmpty(t, a.Answer)
					require.NotEmpty(t, len(a.Instances)+len(a.WhyNot), r.Name)
					active += len(a.Instances)
					for _, y := range a.WhyNot {
						codes[y.Cause.Code]++
						if y.Cause.Code == explain.Unclear {
							t.Logf("%s %s: %s", path, r.Plan, y.Text)
						}
						require.NotEmpty(t, y.Text, r.Name)
					}
					require.NoError(t, a.WriteText(&bytes.Buffer{}))
				}
			}
		}
	}
	t.Logf("%d alerting rules, %d active alerts explained, causes %v", rules, active, codes)
	require.Greater(t, rules, 100)
	require.Greater(t, active, 20)
	require.Zero(t, codes[explain.Unclear], "something is not clear")
}

// seed gives half of the metrics that the rules select some samples, with the labels that the selectors ask for.
func seed(t *testing.T, w *world, f *rule.File) {
	t.Helper()
	app := w.store.Appender(t.Context())
	n := 0
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			for _, ms := range r.Plan.Selectors() {
				if n++; n%3 == 0 {
					continue
				}
				b := labels.NewBuilder(labels.FromStrings("instance", "i", "job", "j", "le", "1"))
				for _, m := range ms {
					if m.Type == labels.MatchEqual {
						b.Set(m.Name, m.Value)
					}
				}
				if ls := b.Labels(); ls.Has("__name__") {
					for i := range 4 {
						_, err := app.Append(0, ls, w.now.Add(time.Duration(i-3)*step).UnixMilli(), float64(i*n%7)*float64(n%100))
						_ = err // A series that another rule has already.
					}
				}
			}
		}
	}
	require.NoError(t, app.Commit())
}
