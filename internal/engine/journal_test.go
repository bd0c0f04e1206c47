package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// Every transition is recorded, in order, with what led to it.
func TestTransitionsAreRecorded(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5, for: 30s, labels: {severity: page}, annotations: {summary: 'it is {{ $value }}'}}]}]`, func(l *lives) {
		l.series[`x{i="1"}`] = 9
		l.start()
		l.run(minute)
		l.series[`x{i="1"}`] = 3
		l.run(minute)
		all := l.history()
		require.Len(l.t, all, 3)
		id := l.engine.Groups()[0].Rules[0].Rule.ID
		for i, e := range all {
			require.Equal(l.t, "f.yml/g/A "+id, e.File+"/"+e.Group+"/"+e.Rule+" "+e.RuleID)
			require.Equal(l.t, "x > 5", e.Expr)
			require.Equal(l.t, "5", strings.TrimLeft(e.Threshold, "> "))
			require.Equal(l.t, `{alertname="A", i="1", severity="page"}`, e.Labels.String())
			require.Equal(l.t, `{summary="it is 9"}`, e.Annotations.String())
			require.Equal(l.t, 9.0, e.Value)
			require.GreaterOrEqual(l.t, e.Latency, time.Duration(0))
			require.Less(l.t, e.Latency, second)
			require.Equal(l.t, transcript(&l.transitions[i]), transcript(&e.Transition))
		}
		require.Equal(l.t, []alert.State{alert.Pending, alert.Firing, alert.Inactive}, []alert.State{all[0].To, all[1].To, all[2].To})
		require.Equal(l.t, alert.Reading{Value: 3, Known: true}, all[2].Clearing)
	})
}

// history returns all that the ledger has, the oldest first.
func (l *lives) history() (all []ledger.Recorded) {
	l.t.Helper()
	for q := (ledger.Query{OldestFirst: true, Limit: ledger.MaxLimit}); ; {
		p, err := l.ledger.History(context.Background(), q)
		require.NoError(l.t, err)
		all = append(all, p.Entries...)
		if q.After = p.Next; p.Next == "" {
			return all
		}
	}
}

// transcript is all that a transition says.
func transcript(tr *alert.Transition) string {
	return fmt.Sprint(tr.File, "/", tr.Group, "/", tr.Rule, " ", tr.RuleID, " ", tr.From, ">", tr.To, tr.Labels, tr.Annotations, tr.Value,
		tr.ActiveAt.UTC().Format(time.RFC3339Nano), tr.At.UTC().Format(time.RFC3339Nano), tr.Reason, tr.Clearing, tr.Duration, tr.Flapping)
}

// Where nothing changes, nothing is recorded.
func TestNothingIsRecordedWithoutChange(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}, {alert: B, expr: x > 4, for: 1h}, {alert: C, expr: x > 3, keep_firing_for: 1h}, {alert: D, expr: absent(z)}]}]`, func(l *lives) {
		reg := prometheus.NewRegistry()
		l.registry = reg
		l.series["x"], l.series["y"] = 9, 1
		l.start()
		l.run(minute)
		l.series["x"] = 3.5
		l.run(minute)
		commits := func() float64 {
			n, err := testutil.GatherAndCount(reg, "tocsin_ledger_commits_total")
			require.NoError(l.t, err)
			require.Equal(l.t, 1, n)
			families, err := reg.Gather()
			require.NoError(l.t, err)
			for _, f := range families {
				if f.GetName() == "tocsin_ledger_commits_total" {
					return f.Metric[0].GetCounter().GetValue()
				}
			}
			return 0
		}
		before := commits()
		require.Greater(l.t, before, 2.0)
		for i := range 40 {
			l.series["x"] = 3.5 + float64(i%2)/10 // The same alerts with other values.
			l.run(10 * second)
		}
		require.Equal(l.t, before, commits())
		l.check()
	})
}

// everything is rules of all kinds, over series v that are over 90, under 70, in between or gone. Conditions change when
// samples come and when they leave the lookback, 0 and 2 seconds after multiples of 5; what began then ends in none of these
// seconds. What comes at the same time has no order.
var everything = map[string]string{
	"f.yml": `
groups:
- name: g
  rules:
  - {alert: Plain, expr: v > 90, for: 21s, keep_firing_for: 26s}
  - {alert: Now, expr: v > 90, labels: {high: '{{ if gt $value 93.0 }}yes{{ else }}no{{ end }}'}}
  - {alert: Hysteresis, expr: v > 90}
  - {alert: Hold, expr: v > 90, for: 16s}
  - {alert: Fire, expr: v > 90, for: 36s}
- name: limited
  limit: 3
  interval: 15s
  rules:
  - {alert: Few, expr: v > 90, for: 9s}
  - {alert: Total, expr: sum(v) > 250}
`,
	"f.tocsin.yml": `
groups:
- name: g
  rules:
  - {alert: Hysteresis, clear: v < 70}
  - {alert: Hold, on_missing: hold}
  - {alert: Fire, on_missing: fire, clear: v < 70}
`,
	"other.yml": `
groups:
- name: k
  rules:
  - {alert: NoData, expr: v > 90, for: 6s}
  - {alert: Flap, expr: v > 90}
  - {alert: Now, expr: v > 92}
`,
	"other.tocsin.yml": `
groups:
- name: k
  rules:
  - {alert: NoData, on_missing: nodata, clear: v < 70}
  - {alert: Flap, flap: {transitions: 2, within: 4m4s}}
`,
}

// edits are what people do to rules.
var edits = [][2]string{
	{"for: 21s", "for: 41s"},
	{"name: limited", "name: other"},
	{"  - {alert: Now, expr: v > 90, labels: {high: '{{ if gt $value 93.0 }}yes{{ else }}no{{ end }}'}}\n", ""},
	{"{alert: Now, expr: v > 92}", "{alert: Now, expr: v > 90, labels: {high: '{{ if gt $value 93.0 }}yes{{ else }}no{{ end }}'}}"},
	{"limit: 3", "limit: 2"},
	{"flap: {transitions: 2", "flap: {transitions: 3"},
	{"on_missing: fire, ", ""},
	{"clear: v < 70", "clear: v < 80"},
	{"name: k\n", "name: g\n"},
}

// Whatever happens, the ledger has all instances as the engine has them, and every transition.
func TestLedgerFollows(t *testing.T) {
	seed := seedOf(t)
	for i := range storiesOf(4) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			live(t, "groups: []", func(l *lives) {
				l.tellRandomStory(rand.New(rand.NewPCG(seed+i, 3)), 80)
			})
		})
	}
}

// storiesOf is how many random stories are told: few, or with TOCSIN_TEST_EVERYTHING many.
func storiesOf(few uint64) uint64 {
	if os.Getenv("TOCSIN_TEST_EVERYTHING") != "" {
		return 20 * few
	}
	return few
}

func (l *lives) tellRandomStory(r *rand.Rand, chapters int) {
	l.t.Helper()
	l.rules = maps.Clone(everything)
	l.start()
	for range chapters {
		what := r.IntN(20)
		switch {
		case what < 2:
			downs := []time.Duration{0, 3 * second, 30 * second, 4 * minute, 20 * minute}
			if r.IntN(2) == 0 {
				l.rules = editedRules(r)
			}
			l.restart(downs[r.IntN(len(downs))])
		case what < 4:
			l.rules = editedRules(r)
			l.apply()
		default:
			l.randomSeries(r)
		}
		l.run(time.Duration(1+r.IntN(5)) * 5 * second)
		l.check()
	}
	var told, recorded []string
	for i := range l.transitions {
		told = append(told, transcript(&l.transitions[i]))
	}
	history := l.history()
	for i := range history {
		recorded = append(recorded, transcript(&history[i].Transition))
	}
	slices.Sort(told) // Groups are evaluated side by side.
	slices.Sort(recorded)
	require.Equal(l.t, told, recorded)
	require.Greater(l.t, len(told), 50)
}

func editedRules(r *rand.Rand) map[string]string {
	rules := maps.Clone(everything)
	for _, e := range edits {
		if r.IntN(4) > 0 {
			continue
		}
		for name, text := range rules {
			rules[name] = strings.ReplaceAll(text, e[0], e[1])
		}
	}
	return rules
}

func (l *lives) randomSeries(r *rand.Rand) {
	for i := range 4 {
		name := fmt.Sprintf(`v{i="%d"}`, i)
		switch r.IntN(5) {
		case 0:
			delete(l.series, name)
		case 1, 2:
			l.series[name] = []float64{95, 91, 80, 75, 60, 10}[r.IntN(6)]
		}
	}
}
