package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
)

// Two worlds get the same samples, rules, reloads and restarts. In one Prometheus's rule manager runs, in the other our
// engine, which may hear of every sample and is strict: every series that rules record must be equal at every moment, staleness markers included, and everything that
// is sent, but for alerts of rules that are gone.
func TestEngineIsPrometheus(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	series, sent, scripts := 0, 0, uint64(6)
	if testing.Short() {
		scripts = 2
	}
	for i := range scripts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			// A window for late samples must not open the past to rules.
			late := func(o *tsdb.Options) { o.OutOfOrderTimeWindow = int64(i%2) * time.Hour.Milliseconds() }
			p := pair{ours: newWorld(t, late), theirs: newWorld(t, late), random: rand.New(rand.NewPCG(seed, i))}
			synctest.Test(t, func(t *testing.T) {
				if i%3 == 0 {
					p.follower = newFollower(p.ours)
				}
				p.play(t)
			})
			if t.Failed() {
				t.Logf("seed %d, script %d", seed, i)
			}
			series, sent = series+len(p.ours.dump(t)), sent+p.sent
		})
	}
	t.Logf("%d series and %d sends compared", series, sent)
	require.Greater(t, series, 300, "the scripts do nothing")
	require.Greater(t, sent, 300, "the scripts do nothing")
}

type pair struct {
	ours, theirs *world
	random       *rand.Rand

	engine  *engine.Engine
	manager *rules.Manager
	// follower tells our engine, all of whose groups are strict, of every sample; nil where it has none.
	follower *follower
	loader   *textLoader
	offset   time.Duration
	// values are the present inputs; a series that is missing goes stale by lookback.
	values map[string]float64
	// began is when the present engine did, applied when it last got rules.
	began, applied time.Time
	// sent counts what was compared.
	sent int
}

func (p *pair) play(t *testing.T) {
	time.Sleep(time.Millisecond) // Inputs never share a moment with an evaluation.
	p.loader = &textLoader{t: t, files: p.randomFiles()}
	p.values = map[string]float64{}
	p.begin(t)
	for range 150 {
		p.feed(t)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.compare(t, time.Now().Add(-2*time.Minute)) // Nothing is written further back.
		if t.Failed() {
			break
		}
		switch p.random.IntN(30) {
		case 0:
			p.end()
			time.Sleep(time.Duration(p.random.IntN(6)) * time.Minute)
			p.begin(t)
		case 1, 2:
			// Here we are better on purpose: a reload before alerts are restored does not lose them, and a group that is
			// replaced and then removed before it was evaluated has its series marked stale all the same.
			if time.Since(p.began) > 3*time.Minute && time.Since(p.applied) > 25*time.Second {
				p.loader.files = p.randomFiles()
				p.apply(t)
			}
		}
	}
	p.end()
	p.compare(t, time.Unix(0, 0))
}

func (p *pair) begin(t *testing.T) {
	p.began = time.Now()
	p.offset = time.Duration(p.random.IntN(2)) * 3 * time.Second
	o := p.ours.options()
	o.ResendDelay, o.ForGracePeriod, o.OutageTolerance = 40*time.Second, 25*time.Second, 4*time.Minute
	if p.follower != nil {
		o.Stream, o.Eval, o.Appendable = p.follower, p.follower.eval, feeding{p.ours.db, p.follower}
	}
	p.engine = engine.New(o)
	p.manager = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: site(t), QueryFunc: rules.EngineQueryFunc(p.theirs.promql, p.theirs.db), NotifyFunc: rules.SendAlerts(p.theirs, site(t).String()),
		Context: context.Background(), Appendable: p.theirs.db, Queryable: p.theirs.db, Logger: nopLogger(),
		ResendDelay: o.ResendDelay, ForGracePeriod: o.ForGracePeriod, OutageTolerance: o.OutageTolerance,
		GroupLoader:            p.loader,
		DefaultRuleQueryOffset: func() time.Duration { return p.offset },
	})
	p.apply(t)
	p.engine.Start()
	go p.manager.Run()
}

func (p *pair) end() {
	p.engine.Stop()
	p.manager.Stop()
	synctest.Wait()
}

func (p *pair) apply(t *testing.T) {
	cfg := engine.Config{
		Evaluation: func(string, string) engine.Evaluation { return engine.Evaluation{Strict: true} },
		Interval:   20 * time.Second, QueryOffset: p.offset, ExternalLabels: labels.FromStrings("site", "one"), ExternalURL: site(t),
	}
	for file, text := range p.loader.files {
		cfg.Groups = append(cfg.Groups, ruleGroups(t, file, text)...)
	}
	p.applied = time.Now()
	p.ours.setQuiet(true)
	require.NoError(t, p.engine.Apply(cfg))
	p.ours.setQuiet(false)
	require.NoError(t, p.manager.Update(cfg.Interval, slices.Sorted(maps.Keys(p.loader.files)), cfg.ExternalLabels, cfg.ExternalURL.String(), nil))
}

// compare fails the test when the two worlds differ in what they recorded since then or sent.
func (p *pair) compare(t *testing.T, since time.Time) {
	t.Helper()
	theirs, ours := p.theirs.dumpSince(t, since.UnixMilli()), p.ours.dumpSince(t, since.UnixMilli())
	for _, series := range slices.Sorted(maps.Keys(theirs)) {
		if theirs[series] != ours[series] {
			t.Errorf("%s: %s\nPrometheus: %s\nours:       %s", time.Now(), series, theirs[series], ours[series])
		}
		delete(ours, series)
	}
	require.Empty(t, ours, "series that Prometheus has not")
	want := p.theirs.takeSent()
	require.Equal(t, want, p.ours.takeSent())
	p.sent += len(want)
	p.compareStatus(t)
	if t.Failed() {
		t.Logf("rules:\n%s", strings.Join(slices.Collect(maps.Values(p.loader.files)), "\n"))
	}
}

func (p *pair) compareStatus(t *testing.T) {
	t.Helper()
	ours := p.engine.Groups()
	for i, g := range p.manager.RuleGroups() {
		require.Equal(t, g.File()+g.Name(), ours[i].File+ours[i].Name)
		require.Equal(t, g.GetLastEvaluation().UnixNano(), ours[i].LastEvaluation.UnixNano())
		for j, r := range g.Rules() {
			status := ours[i].Rules[j]
			require.Equal(t, r.Name(), status.Rule.Name)
			if ar, ok := r.(*rules.AlertingRule); ok {
				require.Len(t, status.Alerts, len(ar.ActiveAlerts()), "%s", r.Name())
			}
			if r.Health() != rules.HealthUnknown { // After a reload ours remembers.
				require.Equal(t, string(r.Health()), status.Health, "%s", r.Name())
			}
			if err := r.LastError(); err != nil {
				require.Equal(t, err.Error(), status.LastError)
			}
		}
	}
}

// feed moves the inputs at random and writes them into both worlds.
func (p *pair) feed(t *testing.T) {
	for i := range 5 {
		for _, name := range []string{"in_a", "in_b", "in_h"} {
			series := fmt.Sprintf(`%s{i="%d"}`, name, i)
			switch p.random.IntN(12) {
			case 0:
				p.values[series] = float64(p.random.IntN(4))
			case 1:
				delete(p.values, series)
			}
		}
	}
	p.ours.write(t, p.values)
	if p.follower != nil {
		p.follower.feedNow(t, p.values)
	}
	p.theirs.write(t, p.values)
}

// randomFiles writes rule files of which some groups, rules and settings differ from time to time.
func (p *pair) randomFiles() map[string]string {
	files := map[string]string{}
	for f := range 2 {
		var text strings.Builder
		text.WriteString("groups:\n")
		for g := range 3 {
			if p.random.IntN(6) > 0 {
				p.writeGroup(&text, fmt.Sprintf("f%dg%d", f, g))
			}
		}
		files[fmt.Sprintf("file%d.yml", f)] = text.String()
	}
	return files
}

func (p *pair) writeGroup(text *strings.Builder, name string) {
	fmt.Fprintf(text, "- name: %s\n", name)
	if d := p.random.IntN(4); d > 0 {
		fmt.Fprintf(text, "  interval: %ds\n", 5+5*d)
	}
	if p.random.IntN(3) == 0 {
		fmt.Fprintf(text, "  query_offset: %ds\n", p.random.IntN(10))
	}
	if p.random.IntN(4) == 0 {
		fmt.Fprintf(text, "  limit: %d\n", 2+p.random.IntN(4))
	}
	if p.random.IntN(4) == 0 {
		text.WriteString("  labels: {team: blue}\n")
	}
	text.WriteString("  rules:\n")
	pool := p.pool(name)
	p.random.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	for _, r := range pool[:2+p.random.IntN(len(pool)-2)] {
		text.WriteString(r)
	}
}

// pool returns one group's candidates. Names carry the group's, because a rule that moves to another group is a matter
// in which we differ on purpose.
func (p *pair) pool(group string) []string {
	hold := func() string {
		return fmt.Sprintf("for: %ds, keep_firing_for: %ds", []int{0, 10, 30, 60}[p.random.IntN(4)], []int{0, 0, 30}[p.random.IntN(3)])
	}
	return []string{
		"  - {record: '" + group + ":sum', expr: 'sum(in_a)'}\n",
		"  - {record: '" + group + ":each', expr: 'in_a * 2 > 1', labels: {from: rule}}\n",
		"  - {record: '" + group + ":twice', expr: '{__name__=~\"in_.\"}'}\n", // Duplicates at times.
		"  - {record: '" + group + ":histogram', expr: 'in_h'}\n",
		"  - {alert: " + group + "Histogram, expr: 'in_h', " + hold() + ", annotations: {value: '{{ $value }}'}}\n",
		"  - {record: '" + group + ":alerts', expr: 'count by (alertname, alertstate) (ALERTS)'}\n",
		"  - {record: '" + group + ":scalar', expr: 'scalar(in_b{i=\"1\"})'}\n",
		"  - {record: '" + group + ":fails', expr: 'in_a * on () in_b'}\n",
		"  - {alert: " + group + "Plain, expr: 'in_a > 1', " + hold() + "}\n",
		"  - {alert: " + group + "Plain, expr: 'in_b > 2', " + hold() + ", labels: {severity: page}}\n",
		"  - {alert: " + group + "Templated, expr: 'in_a > 0', " + hold() + ", labels: {level: 'v{{ $value }}'," +
			" gone: '{{ $labels.none }}'}, annotations: {text: '{{ $labels.i }} at {{ $externalLabels.site }}{{ $externalURL }}'}}\n",
		"  - {alert: " + group + "Queries, expr: 'in_b', " + hold() + ", annotations: {total: '{{ with query \"sum(in_a)\" }}" +
			"{{ . | first | value }}{{ end }}', broken: '{{ (query \"none\") | first }}', bad: '{{ query \"(\" }}'}}\n",
		"  - {alert: " + group + "OnRecorded, expr: '{__name__=~\"" + group + ":(sum|each)\"} > 2', " + hold() + "}\n",
		"  - {alert: " + group + "Twins, expr: 'in_a or in_b', " + hold() + ", labels: {i: same}}\n",
	}
}
