package engine_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
)

// streamRules have all that follows arrivals: one input and several, chains, `for`, sums.
const streamRules = `
- name: first
  rules:
  - {record: 'one:double', expr: 'in_a * 2'}
  - {record: 'one:sum', expr: 'sum(one:double)'}
  - {alert: Single, expr: 'in_a > 1'}
  - {alert: Holding, expr: 'in_a > 1', for: 7s}
  - {alert: Pair, expr: 'in_a > on (i) in_b'}
- name: second
  interval: 7s
  rules:
  - {alert: Sum, expr: 'one:sum > 12'}
  - {alert: Mixed, expr: 'one:double > on (i) in_b', for: 3s, labels: {value: 'v{{ $value }}'}}
  - {record: 'two:count', expr: 'count(in_b > 1)'}
  - {alert: Count, expr: 'two:count > 1'}
`

// Whatever comes, in whatever order, and whatever is reloaded: a moment later alerts and recorded series are what the
// expressions say, history has refused nothing, and every slot has its samples.
func TestStreamIsUpToDate(t *testing.T) {
	seed := seedOf(t)
	inStream(t, func(t *testing.T, b *streamBench) {
		random := rand.New(rand.NewPCG(seed, 1))
		b.load(t, streamRules)
		for step := range 150 {
			for range 1 + random.IntN(5) {
				b.arrive(t, randomInputs(random))
				time.Sleep(time.Duration(1+random.IntN(60)) * time.Millisecond)
			}
			if random.IntN(20) == 0 {
				b.evaluation.Settle = time.Duration(random.IntN(3)) * 20 * time.Millisecond
				b.reload(t, strings.Replace(streamRules, "in_a * 2", fmt.Sprintf("in_a * 2 + 0 * %d", random.IntN(2)), 1))
			}
			time.Sleep(time.Duration(1+random.IntN(2000))*time.Millisecond + 500*time.Millisecond)
			synctest.Wait()
			b.checkUpToDate(t)
			if t.Failed() {
				t.Fatalf("step %d", step)
			}
		}
		require.Zero(t, b.counter(t, "tocsin_rule_samples_discarded_total", ""))
		require.Zero(t, b.counter(t, "tocsin_rule_evaluation_panics_total", ""))
		for _, trigger := range []string{"arrival", "deadline"} {
			require.Greater(t, b.counter(t, evaluations, trigger), 20.0, trigger)
		}
		for _, end := range []string{"settled", "timed_out"} {
			require.Greater(t, b.counter(t, "tocsin_rule_stream_waits_total", end), 5.0, end)
		}
	})
}

func randomInputs(random *rand.Rand) map[string]float64 {
	values := map[string]float64{}
	for range 1 + random.IntN(3) {
		v := float64(random.IntN(4))
		if random.IntN(8) == 0 {
			v = math.Float64frombits(value.StaleNaN)
		}
		values[fmt.Sprintf(`in_%c{i="%d"}`, 'a'+rune(random.IntN(2)), random.IntN(4))] = v
	}
	return values
}

func (b *streamBench) checkUpToDate(t *testing.T) {
	t.Helper()
	now := time.Now()
	for _, g := range b.Groups() {
		for _, r := range g.Rules {
			want := map[string]float64{}
			for _, s := range b.at(t, r.Rule, now) {
				want[s.Metric.Get("i")] = s.F
			}
			got := map[string]float64{}
			if r.Rule.Kind == rule.Recording {
				p, err := compiler.Compile(r.Rule.Name)
				require.NoError(t, err)
				v, err := b.world.eval(context.Background(), p, now, nil)
				require.NoError(t, err)
				for _, s := range v {
					got[s.Metric.Get("i")] = s.F
				}
				b.checkSlot(t, g, r)
			} else {
				for i, a := range r.Alerts {
					got[a.Labels.Get("i")] = want[a.Labels.Get("i")] // Values are the ticks' business.
					if late := now.Sub(a.ActiveAt.Add(r.Rule.For)); late < 0 || late > time.Millisecond {
						require.Equal(t, late > 0, a.State == alert.Firing, "%s %d at %s: %+v", r.Rule.Name, i, now, a)
					}
				}
			}
			require.Equal(t, want, got, "%s at %s", r.Rule.Name, now)
		}
	}
}

// checkSlot looks for the samples of the last slot, where only inputs decide about them.
func (b *streamBench) checkSlot(t *testing.T, g engine.GroupStatus, r engine.RuleStatus) {
	t.Helper()
	if !strings.Contains(r.Rule.Plan.String(), "in_") {
		return
	}
	all := b.dump(t)
	for _, s := range b.at(t, r.Rule, g.LastTimestamp) {
		series := fmt.Sprintf(`{__name__="%s"}`, r.Rule.Name)
		if i := s.Metric.Get("i"); i != "" {
			series = fmt.Sprintf(`{__name__="%s", i="%s"}`, r.Rule.Name, i)
		}
		require.Contains(t, " "+all[series], fmt.Sprintf(" %d:%x ", g.LastTimestamp.UnixMilli(), math.Float64bits(s.F)), series)
	}
}

func (b *streamBench) at(t *testing.T, r *rule.Rule, at time.Time) promql.Vector {
	t.Helper()
	v, err := b.world.eval(context.Background(), r.Plan, at, nil)
	require.NoError(t, err)
	return v
}
