package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
)

// bench is an engine on fake time whose expressions answer what the test says.
type bench struct {
	*world
	*engine.Engine

	mu    sync.Mutex
	known answers
}

// answer sets what an expression returns from now on.
func (b *bench) answer(expr string, with any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[expr] = with
}

func (b *bench) eval(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known.eval(ctx, p, at, buf)
}

func inBench(t *testing.T, tune func(*engine.Options), play func(t *testing.T, b *bench)) {
	t.Parallel()
	b := &bench{world: newWorld(t), known: answers{}}
	synctest.Test(t, func(t *testing.T) {
		o := b.options()
		o.Eval = b.eval
		if tune != nil {
			tune(&o)
		}
		b.Engine = engine.New(o)
		defer b.Stop()
		play(t, b)
	})
}

// apply makes text the content of file "f" and keeps no other.
func (b *bench) apply(t *testing.T, text string) { b.applyFiles(t, map[string]string{"f": text}) }

func (b *bench) applyFiles(t *testing.T, files map[string]string) {
	t.Helper()
	cfg := engine.Config{Interval: 10 * time.Second}
	for file, text := range files {
		cfg.Groups = append(cfg.Groups, ruleGroups(t, file, "groups:\n"+text)...)
	}
	b.setQuiet(true)
	defer b.setQuiet(false)
	require.NoError(t, b.Apply(cfg))
}

// pass lets n intervals of 10 seconds go by.
func pass(n int) {
	time.Sleep(time.Duration(n) * 10 * time.Second)
	synctest.Wait()
}

// alerts returns the active alerts of all rules.
func (b *bench) alerts() []string {
	var out []string
	for _, g := range b.Groups() {
		for _, r := range g.Rules {
			for _, a := range r.Alerts {
				out = append(out, g.Name+"/"+r.Rule.Name+"{"+a.Labels.Get("i")+"} "+a.State.String()+" "+a.ActiveAt.Format(time.TimeOnly))
			}
		}
	}
	return out
}

func (b *bench) takeEnded() []string {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	out := b.ended
	b.ended = nil
	return out
}

func TestReloadKeepsAlerts(t *testing.T) {
	inBench(t, nil, func(t *testing.T, b *bench) {
		for _, expr := range []string{"a", "b", "c"} {
			b.answer(expr, instances("1"))
		}
		b.apply(t, "- {name: g, rules: [{alert: A, expr: a, for: 1h}, {alert: B, expr: b}, {alert: B, expr: c, for: 1h}]}")
		b.Start()
		pass(2)
		before, status := b.alerts(), b.Groups()[0]
		require.Len(t, before, 3)
		require.Len(t, b.takeMoves(), 3)

		b.apply(t, "- {name: g, rules: [{alert: A, expr: a, for: 1h}, {alert: B, expr: b}, {alert: B, expr: c, for: 1h}]}")
		require.Equal(t, status.LastEvaluation, b.Groups()[0].LastEvaluation, "an equal group goes on")

		// Two rules of the same name and labels change places: each keeps its own alerts.
		b.apply(t, "- {name: g, rules: [{alert: B, expr: c, for: 1h}, {alert: B, expr: b}, {record: r:r, expr: a}, {alert: A, expr: a, for: 1h}]}")
		require.Equal(t, []string{before[2], before[1], before[0]}, b.alerts())
		require.Equal(t, engine.HealthGood, b.Groups()[0].Rules[0].Health)

		// Another annotation and another `for`: as in Prometheus, name and labels are enough.
		b.apply(t, "- {name: g, rules: [{alert: A, expr: a, for: 2h, annotations: {x: y}}, {alert: B, expr: c, for: 1h}, {alert: B, expr: b}]}")
		require.Equal(t, before, []string{b.alerts()[0], b.alerts()[2], b.alerts()[1]})

		// A rule that moves to another group or file takes its alerts along.
		b.applyFiles(t, map[string]string{
			"f": "- {name: g, rules: [{alert: B, expr: c, for: 1h}]}\n- {name: h, rules: [{alert: B, expr: b}]}",
			"e": "- {name: g, rules: [{alert: A, expr: a, for: 2h, annotations: {x: y}}]}",
		})
		require.Equal(t, []string{before[0], before[2], strings.Replace(before[1], "g/", "h/", 1)}, b.alerts())

		require.Empty(t, b.takeMoves())
		require.Empty(t, b.takeEnded())
		pass(3)
		require.Empty(t, b.takeMoves(), "and goes on with them")
	})
}

func TestReloadEndsAlertsOfRemovedRules(t *testing.T) {
	inBench(t, nil, func(t *testing.T, b *bench) {
		b.answer("a", instances("1", "2"))
		b.answer("b", instances("1", "3"))
		const rest = "- {name: g, rules: [{alert: A, expr: b}]}\n"
		b.apply(t, rest+"- {name: h, rules: [{alert: A, expr: a}, {alert: P, expr: a, for: 1h}]}")
		b.Start()
		pass(4) // The first two evaluations after a start record no ALERTS.
		b.takeMoves()
		require.NotEmpty(t, b.takeSent())

		b.apply(t, rest)
		now := time.Now()
		require.Equal(t, []string{"A{1} firing>inactive", "A{2} firing>inactive", "P{1} pending>inactive", "P{2} pending>inactive"}, b.takeMoves())
		ended := b.takeEnded()
		require.Len(t, ended, 1, "instance 1 fires on in another rule, and pending alerts were never sent")
		require.Contains(t, ended[0], fmt.Sprint(" ", now.UnixMilli(), "/graph"))
		require.Contains(t, ended[0], `i="2"`)

		// Two intervals later history knows it, too.
		series := `{__name__="ALERTS", alertname="A", alertstate="firing", i="2"}`
		require.Contains(t, b.dump(t), series)
		require.NotContains(t, b.dump(t)[series], ":7ff0000000000002")
		pass(3)
		require.Contains(t, b.dump(t)[series], ":7ff0000000000002")

		// A rule that changes so that it is another one.
		b.apply(t, "- {name: g, rules: [{alert: A, expr: b, labels: {severity: page}}]}")
		require.Equal(t, []string{"A{1} firing>inactive", "A{3} firing>inactive"}, b.takeMoves())
		require.Len(t, b.takeEnded(), 2)
		b.apply(t, "")
		require.Empty(t, b.Groups())
	})
}

func TestApplyIsAllOrNothing(t *testing.T) {
	inBench(t, nil, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{record: a:r, expr: a}]}")
		bad := engine.Config{Groups: ruleGroups(t, "f", "groups: [{name: g, rules: [{record: b:r, expr: b}]}]")}
		bad.Groups = append(bad.Groups, bad.Groups[0], nil)
		err := b.Apply(bad)
		require.ErrorContains(t, err, `f: group "g" stands there twice`)
		require.ErrorContains(t, err, "a group is nil")
		require.Equal(t, "a:r", b.Groups()[0].Rules[0].Rule.Name)
	})
}

// What concerns all groups reaches the undisturbed ones, too.
func TestUnchangedGroupsSeeTheNewEnvironment(t *testing.T) {
	var asked time.Time
	inBench(t, func(o *engine.Options) {
		inner := o.Eval
		o.Eval = func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
			asked = at
			return inner(ctx, p, at, buf)
		}
	}, func(t *testing.T, b *bench) {
		b.answer("a", instances("1"))
		cfg := engine.Config{
			Interval: 10 * time.Second, ExternalLabels: labels.FromStrings("site", "one"), ExternalURL: site(t),
			Groups: ruleGroups(t, "f", "groups: [{name: g, rules: [{alert: A, expr: a, annotations: {site: '{{ $externalLabels.site }}'}}]}]"),
		}
		require.NoError(t, b.Apply(cfg))
		b.Start()
		pass(2)
		require.Equal(t, b.Groups()[0].LastTimestamp, asked)
		cfg.ExternalLabels, cfg.QueryOffset = labels.FromStrings("site", "two"), 7*time.Second
		cfg.Groups = ruleGroups(t, "f", "groups: [{name: g, rules: [{alert: A, expr: a, annotations: {site: '{{ $externalLabels.site }}'}}]}]")
		cfg.Groups[0].Rules[0].Line = 77
		require.NoError(t, b.Apply(cfg))
		require.Equal(t, 77, b.Groups()[0].Rules[0].Rule.Line)
		pass(1)
		g := b.Groups()[0]
		require.Equal(t, "two", g.Rules[0].Alerts[0].Annotations.Get("site"))
		require.Equal(t, g.LastTimestamp.Add(-7*time.Second), asked)
		require.Equal(t, 7*time.Second, g.QueryOffset)
	})
}

// A restart does not make an alert wait anew, not even when a reload comes before history was asked.
func TestRestoreSurvivesAReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	synctest.Test(t, func(t *testing.T) {
		b := &bench{world: w, known: answers{"a": instances("1")}}
		begin := func() {
			o := b.options()
			o.Eval, o.ForGracePeriod = b.eval, time.Minute
			b.Engine = engine.New(o)
			b.apply(t, "- {name: g, rules: [{alert: A, expr: a, for: 1h}]}")
			b.Start()
		}
		begin()
		pass(60) // 10 minutes.
		active := b.Groups()[0].Rules[0].Alerts[0].ActiveAt
		b.Stop()
		pass(6)
		begin()
		pass(1)
		require.NotEqual(t, active, b.Groups()[0].Rules[0].Alerts[0].ActiveAt)
		b.apply(t, "- {name: g, rules: [{record: r:r, expr: a}, {alert: A, expr: a, for: 1h}]}")
		pass(3)
		restored := b.Groups()[0].Rules[1].Alerts[0].ActiveAt
		require.InDelta(t, active.Add(90*time.Second).Unix(), restored.Unix(), 15, "the outage does not count")
		b.Stop()
	})
}

func TestTransitionsAreToldOnce(t *testing.T) {
	inBench(t, nil, func(t *testing.T, b *bench) {
		b.apply(t, "- {name: g, rules: [{alert: A, expr: a, for: 25s}]}")
		b.Start()
		for _, tc := range []struct {
			result promql.Vector
			want   []string
		}{
			{nil, nil},
			{instances("1"), []string{"A{1} inactive>pending"}},
			{instances("1"), nil},
			{instances("1", "2"), []string{"A{2} inactive>pending"}},
			{instances("1"), []string{"A{1} pending>firing", "A{2} pending>inactive"}},
			{instances("1"), nil},
			{nil, []string{"A{1} firing>inactive"}},
			{nil, nil},
		} {
			b.answer("a", tc.result)
			pass(1)
			require.Equal(t, tc.want, b.takeMoves())
		}
		require.Equal(t, alert.Inactive, b.Groups()[0].Rules[0].State)
	})
}
