package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/tenant"
)

var epoch = time.Unix(1_700_000_000, 0).UTC()

// answers is an EvalFunc that knows expressions by their text: a vector, an error, or any other value to panic with.
type answers map[string]any

func (a answers) eval(_ context.Context, p *plan.Plan, _ time.Time, buf promql.Vector) (promql.Vector, error) {
	switch v := a[p.String()].(type) {
	case promql.Vector:
		return append(buf, v...), nil
	case error:
		return nil, v
	case nil:
		return nil, nil
	default:
		panic(v)
	}
}

func instances(names ...string) promql.Vector {
	var v promql.Vector
	for _, n := range names {
		v = append(v, promql.Sample{Metric: labels.FromStrings(model.MetricNameLabel, "x", "i", n), F: 1})
	}
	return v
}

func newGroup(t *testing.T, o engine.Options, cfg engine.Config, text string) *engine.Group {
	t.Helper()
	return engine.NewGroup(o, cfg, ruleGroups(t, "file", "groups:\n"+text)[0])
}

func TestOneRuleHarmsOnlyItself(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	reg := prometheus.NewRegistry()
	w := newWorld(t)
	o := w.options()
	o.Eval = answers{"a": errors.New("no such thing"), "b": "oh no", "c": instances("1"), "d": instances("1")}.eval
	o.Logger, o.Registerer = slog.New(slog.NewTextHandler(&log, nil)), reg
	g := newGroup(t, o, engine.Config{}, `
- name: g
  rules:
  - {record: a:r, expr: a}
  - {alert: B, expr: b}
  - {alert: C, expr: c}
  - {record: d:r, expr: d}
`)
	for i := range 3 {
		g.Eval(context.Background(), epoch.Add(time.Duration(i)*time.Minute))
	}
	var health []string
	for _, r := range g.Status().Rules {
		health = append(health, fmt.Sprintf("%s %s %q %s", r.Rule.Name, r.Health, r.LastError, r.State))
	}
	require.Equal(t, []string{
		`a:r err "no such thing" inactive`, `B err "panic: oh no" inactive`, `C ok "" firing`, `d:r ok "" inactive`,
	}, health)
	require.Equal(t, 1, strings.Count(log.String(), "stack="), "the stack is worth one line a rule")
	require.Equal(t, 1, strings.Count(log.String(), "no such thing"), "an error that repeats itself is logged once")
	require.Contains(t, w.dump(t), `{__name__="d:r", i="1"}`)

	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP prometheus_rule_evaluations_total Evaluations of rules.
# TYPE prometheus_rule_evaluations_total counter
prometheus_rule_evaluations_total{rule_group="file;g"} 12
# HELP prometheus_rule_evaluation_failures_total Evaluations of rules that failed.
# TYPE prometheus_rule_evaluation_failures_total counter
prometheus_rule_evaluation_failures_total{rule_group="file;g"} 6
# HELP tocsin_rule_evaluation_panics_total Evaluations of rules that failed by a panic, which harmed only the rule.
# TYPE tocsin_rule_evaluation_panics_total counter
tocsin_rule_evaluation_panics_total 3
# HELP tocsin_alert_transitions_total Changes of the state of alerts.
# TYPE tocsin_alert_transitions_total counter
tocsin_alert_transitions_total{from="inactive",to="firing"} 1
# HELP prometheus_rule_group_iterations_total Scheduled evaluations of a group, done or missed.
# TYPE prometheus_rule_group_iterations_total counter
prometheus_rule_group_iterations_total{rule_group="file;g"} 3
# HELP prometheus_rule_group_last_evaluation_samples How many samples the last evaluation of a group returned.
# TYPE prometheus_rule_group_last_evaluation_samples gauge
prometheus_rule_group_last_evaluation_samples{rule_group="file;g"} 3
# HELP prometheus_rule_group_rules How many rules a group has.
# TYPE prometheus_rule_group_rules gauge
prometheus_rule_group_rules{rule_group="file;g"} 4
# HELP prometheus_rule_group_interval_seconds The interval of a group.
# TYPE prometheus_rule_group_interval_seconds gauge
prometheus_rule_group_interval_seconds{rule_group="file;g"} 60
`), "prometheus_rule_evaluations_total", "prometheus_rule_evaluation_failures_total", "tocsin_rule_evaluation_panics_total",
		"tocsin_alert_transitions_total", "prometheus_rule_group_iterations_total", "prometheus_rule_group_last_evaluation_samples",
		"prometheus_rule_group_rules", "prometheus_rule_group_interval_seconds"))
}

// A panic in those who are told is the rule's trouble, too, and what was recorded stays.
func TestListenersMayPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.options()
	o.Eval = answers{"a": instances("1"), "b": instances("1")}.eval
	o.OnTransition = func(context.Context, alert.Transition) { panic("listener") }
	g := newGroup(t, o, engine.Config{}, "- {name: g, rules: [{alert: A, expr: a}, {record: b:r, expr: b}]}")
	g.Eval(context.Background(), epoch)
	status := g.Status().Rules
	require.Equal(t, "panic: listener", status[0].LastError)
	require.Equal(t, alert.Firing, status[0].State)
	require.Equal(t, engine.HealthGood, status[1].Health)
	g.Eval(context.Background(), epoch.Add(time.Minute))
	require.Equal(t, engine.HealthGood, g.Status().Rules[0].Health)
}

func TestRecordedBeforeToldBeforeSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.options()
	o.Tenant = "somebody"
	o.Eval = func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
		require.Equal(t, tenant.ID("somebody"), tenant.FromContext(ctx))
		return answers{"a": instances("2", "1")}.eval(ctx, p, at, buf)
	}
	var order []string
	o.OnTransition = func(ctx context.Context, tr alert.Transition) {
		require.Equal(t, tenant.ID("somebody"), tenant.FromContext(ctx))
		require.Contains(t, w.dump(t), `{__name__="ALERTS", alertname="A", alertstate="firing", i="1"}`)
		require.Equal(t, "file/g/A", tr.File+"/"+tr.Group+"/"+tr.Rule)
		require.NotEmpty(t, tr.RuleID)
		require.Equal(t, epoch, tr.At)
		order = append(order, "told "+tr.Labels.Get("i"))
	}
	o.Notify = func(ctx context.Context, alerts []alert.Outgoing) {
		require.Equal(t, tenant.ID("somebody"), tenant.FromContext(ctx))
		for _, a := range alerts {
			require.Equal(t, "http://tocsin.example:9909/at/graph?g0.expr=a&g0.tab=1", a.GeneratorURL)
			order = append(order, "sent "+a.Labels.Get("i"))
		}
	}
	g := newGroup(t, o, engine.Config{ExternalURL: site(t)}, "- {name: g, rules: [{alert: A, expr: a}]}")
	g.Eval(context.Background(), epoch)
	require.Equal(t, []string{"told 2", "told 1", "sent 2", "sent 1"}, order)
	g.Eval(context.Background(), epoch.Add(time.Second))
	require.Len(t, order, 4, "nothing changed and nothing is to be repeated yet")
}

// fullDisk takes samples and cannot commit them.
type fullDisk struct{ inner storage.AppendableV2 }

type fullDiskAppender struct{ storage.AppenderV2 }

func (d fullDisk) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return fullDiskAppender{d.inner.AppenderV2(ctx)}
}

func (a fullDiskAppender) Commit() error {
	return errors.Join(errors.New("no space left on device"), a.Rollback())
}

func TestAFullDiskSilencesNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.options()
	o.Eval = answers{"a": instances("1")}.eval
	o.Appendable = fullDisk{w.db}
	g := newGroup(t, o, engine.Config{}, "- {name: g, rules: [{alert: A, expr: a}]}")
	g.Eval(context.Background(), epoch)
	require.Len(t, w.takeSent(), 1)
	require.Equal(t, []string{"A{1} inactive>firing"}, w.takeMoves())
	require.Equal(t, "recording the result: no space left on device", g.Status().Rules[0].LastError)
}

func TestRefusedSamplesAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	w := newWorld(t, func(o *tsdb.Options) { o.OutOfOrderTimeWindow = time.Hour.Milliseconds() }) // Not for rules.
	o := w.options()
	o.Registerer = reg
	value := 1.0
	o.Eval = func(context.Context, *plan.Plan, time.Time, promql.Vector) (promql.Vector, error) {
		value++
		return promql.Vector{{Metric: labels.FromStrings("i", "1"), F: value}}, nil
	}
	g := newGroup(t, o, engine.Config{}, "- {name: g, rules: [{record: a:r, expr: a}]}")
	g.Eval(context.Background(), epoch)
	require.Equal(t, engine.HealthGood, g.Status().Rules[0].Health)
	g.Eval(context.Background(), epoch)
	require.Contains(t, g.Status().Rules[0].LastError, storage.ErrDuplicateSampleForTimestamp.Error())
	g.Eval(context.Background(), epoch.Add(-time.Minute))
	require.Contains(t, g.Status().Rules[0].LastError, storage.ErrOutOfOrderSample.Error())
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tocsin_rule_samples_discarded_total Results of rules that history refused.
# TYPE tocsin_rule_samples_discarded_total counter
tocsin_rule_samples_discarded_total{reason="duplicate_timestamp"} 1
tocsin_rule_samples_discarded_total{reason="other"} 0
tocsin_rule_samples_discarded_total{reason="out_of_order"} 1
tocsin_rule_samples_discarded_total{reason="too_old"} 0
`), "tocsin_rule_samples_discarded_total"))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.options()
	known := answers{"a": instances("1", "2"), "r": instances("1", "2", "3")}
	o.Eval = known.eval
	g := newGroup(t, o, engine.Config{}, "- {name: g, limit: 2, rules: [{alert: A, expr: a}, {record: r:r, expr: r}]}")
	g.Eval(context.Background(), epoch)
	require.Equal(t, "exceeded limit of 2 with 3 series", g.Status().Rules[1].LastError)
	require.Len(t, w.takeSent(), 2)
	w.takeMoves()

	known["a"] = instances("1", "2", "3")
	g.Eval(context.Background(), epoch.Add(time.Minute))
	require.Equal(t, "exceeded limit of 2 with 3 alerts", g.Status().Rules[0].LastError)
	require.Empty(t, g.Status().Rules[0].Alerts)
	require.Empty(t, w.takeSent(), "as in Prometheus, receivers find out by silence")
	require.Equal(t, []string{"A{1} firing>inactive", "A{2} firing>inactive"}, w.takeMoves())
}

func TestNothingIsRequiredButEval(t *testing.T) {
	t.Parallel()
	o := engine.Options{Eval: answers{"a": instances("1"), "b": instances("1")}.eval}
	g := newGroup(t, o, engine.Config{}, `
- {name: g, rules: [{alert: A, expr: a, annotations: {x: '{{ query "a" }}'}}, {record: b:r, expr: b}]}`)
	g.AwaitRestore()
	g.Eval(context.Background(), epoch)
	g.Restore(context.Background(), epoch)
	status := g.Status()
	require.Equal(t, engine.HealthGood, status.Rules[0].Health)
	require.Contains(t, status.Rules[0].Alerts[0].Annotations.Get("x"), "without a compiler")
	require.Equal(t, engine.HealthGood, status.Rules[1].Health)
	require.Equal(t, engine.DefaultInterval, g.Interval())
	require.Error(t, engine.Options{}.Validate())
}

// A status is a copy: what its reader does to it, or keeps of it, is no matter of the engine's.
func TestStatusIsACopy(t *testing.T) {
	t.Parallel()
	o := engine.Options{Eval: answers{"a": instances("1")}.eval}
	g := newGroup(t, o, engine.Config{}, "- {name: g, rules: [{alert: A, expr: a}]}")
	g.Eval(context.Background(), epoch)
	before := g.Status()
	before.Rules[0].Alerts[0].State = alert.Inactive
	before.Rules[0].Alerts[0].Value = 99
	g.Eval(context.Background(), epoch.Add(time.Minute))
	g.Eval(context.Background(), epoch.Add(2*time.Minute))
	require.Equal(t, 99.0, before.Rules[0].Alerts[0].Value)
	require.Equal(t, 1.0, g.Status().Rules[0].Alerts[0].Value)
}

func TestGroupsShareARegistry(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	o := engine.Options{Eval: answers{}.eval, Registerer: reg}
	for _, name := range []string{"one", "two"} {
		newGroup(t, o, engine.Config{}, "- {name: "+name+", rules: [{record: a:r, expr: a}]}").Eval(context.Background(), epoch)
	}
	n, err := testutil.GatherAndCount(reg, "prometheus_rule_evaluations_total")
	require.NoError(t, err)
	require.Equal(t, 2, n)
}
