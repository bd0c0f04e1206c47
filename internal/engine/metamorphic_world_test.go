package engine_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// frameEvery is how often samples come.
const frameEvery = 10 * time.Second

// dawn is when a synctest bubble begins.
var dawn = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// dialect says what a scenario consists of.
type dialect struct {
	// beforeTicks lets samples come a few milliseconds before the ticks of the only group, and makes all durations
	// multiples of its interval.
	beforeTicks bool
	// sums adds rules over several series, anything those whose result depends on the very moment.
	sums, anything bool
	// calm is how many intervals at the end nothing changes.
	calm int
}

// scenario is rules, and samples for them.
type scenario struct {
	dialect
	rules string
	// frames are the samples, and at when they come since dawn; each carries that time, whenever it arrives.
	frames   [][]reading
	at       []time.Duration
	lookback time.Duration
	groups   map[string]time.Duration // intervals by name
}

type reading struct {
	labels labels.Labels
	v      float64
}

func newScenario(seed uint64, d dialect) *scenario {
	random := rand.New(rand.NewPCG(seed, 7))
	// Conditions change when samples come and when they leave the lookback, 0 and 1 seconds after full tens; a `for` or
	// keep_firing_for that began then ends in none of these seconds. What comes at the same time has no order.
	s := &scenario{dialect: d, lookback: 41 * time.Second, groups: map[string]time.Duration{"one": 10 * time.Second, "two": 15 * time.Second}}
	if d.beforeTicks {
		// The older samples leave the lookback and the windows after the new ones came and before the tick.
		s.lookback = 40 * time.Second
		s.groups = map[string]time.Duration{groupInMidSecond(): frameEvery}
	}
	s.rules = s.randomRules(random)
	s.schedule(random, 45+d.calm)
	s.frames = s.randomFrames(random, len(s.at))
	return s
}

// groupInMidSecond returns a name for a group whose ticks are far from full seconds.
func groupInMidSecond() string {
	for i := 0; ; i++ {
		name := fmt.Sprint("one", i)
		if in := engine.NewSchedule("f", name, frameEvery).Offset % time.Second; in > 300*time.Millisecond && in < 900*time.Millisecond {
			return name
		}
	}
}

// schedule decides when samples come.
func (s *scenario) schedule(random *rand.Rand, frames int) {
	if s.beforeTicks {
		for name, interval := range s.groups {
			tick := engine.NewSchedule("f", name, interval).First(dawn).Sub(dawn)
			for i := range frames {
				// Each is a little earlier than the one before: a `for` that began with that one ends after it.
				s.at = append(s.at, (tick+time.Duration(i)*interval).Truncate(time.Millisecond)-time.Duration(10+i)*time.Millisecond)
			}
		}
		return
	}
	for phase := time.Duration(0); ; {
		phase = time.Duration(random.IntN(1000)) * 10 * time.Millisecond
		if s.apart(phase) {
			for i := range frames {
				s.at = append(s.at, phase+time.Duration(i+1)*frameEvery)
			}
			return
		}
	}
}

// apart reports whether what happens some whole seconds and up to a quarter of one after the phase is never near a tick,
// nor in two seconds of the clock.
func (s *scenario) apart(phase time.Duration) bool {
	for name, interval := range s.groups {
		behind := (engine.NewSchedule("f", name, interval).Offset - phase + time.Minute) % time.Second
		if behind < 250*time.Millisecond || behind > 950*time.Millisecond {
			return false
		}
	}
	return phase%time.Second < 700*time.Millisecond
}

// second returns in which second an event is. All that follows from the samples of one time is in the same, and so is no
// tick.
func (s *scenario) second(at time.Time) int64 {
	return int64((at.Sub(dawn) - s.at[0] + time.Hour) / time.Second)
}

// randomRules writes rules. A comparison never has its threshold where a value may come near it.
func (s *scenario) randomRules(random *rand.Rand) string {
	span := []int{7, 13, 23, 34}
	window := "47s"
	if s.beforeTicks {
		span, window = []int{10, 20, 30}, "50s"
	}
	hold := func(what string) string { return fmt.Sprintf(", %s: %ds", what, span[random.IntN(len(span))]) }
	above := func() string { return fmt.Sprintf("> %d.5", 1+random.IntN(3)) }
	first := []string{
		"record: 'one:twice', expr: 'in_s * 2'",
		"record: 'two:shifted', expr: 'one:twice - 1'",
		"alert: Plain, expr: 'in_s " + above() + "'" + hold("for") + hold("keep_firing_for"),
		"alert: Now, expr: 'in_s " + above() + "'",
		"alert: Rate, expr: 'rate(in_c[" + window + "]) > 0." + fmt.Sprint(3+random.IntN(7)) + "'",
		"alert: Ratio, expr: 'in_x / on (i) in_y > 1." + fmt.Sprint(1+random.IntN(9)) + "7'" + hold("for"),
		"alert: Unless, expr: 'in_x " + above() + " unless on (i) in_y " + above() + "'" + hold("for"),
	}
	second := []string{
		"alert: Chain, expr: 'two:shifted " + above() + "'" + hold("for"),
		"alert: Late, expr: 'one:twice " + above() + "'",
		"alert: Gone, expr: 'absent(in_z{i=\"0\"})'" + hold("for"),
		"alert: Kept, expr: 'in_y " + above() + "'" + hold("keep_firing_for"),
	}
	if s.sums {
		first = append(first, "record: 'three:sum', expr: 'sum by (z) (in_x)'")
		second = append(second,
			"alert: Sum, expr: 'three:sum > "+fmt.Sprint(5+random.IntN(8))+".5'"+hold("for"),
			"alert: Count, expr: 'count by (z) (in_x "+above()+") > 1.5'"+hold("for")+hold("keep_firing_for"),
			"alert: Both, expr: 'in_x "+above()+" and on (i) in_y "+above()+"'",
			"alert: Mixed, expr: 'in_x * 3 > on (z) group_left () three:sum'"+hold("for"))
	}
	if s.calm > 0 {
		first = append(first, "alert: Long, expr: 'in_x > 0.5', for: 57s")
	}
	if s.anything {
		first = append(first, anythingRules...)
	}
	if s.beforeTicks { // In one group.
		first, second = append(first, second...), nil
	}
	var text strings.Builder
	text.WriteString("groups:\n")
	for i, rules := range [][]string{first, second} {
		for name, interval := range s.groups {
			if len(rules) > 0 && (s.beforeTicks || (name == "two") == (i == 1)) {
				fmt.Fprintf(&text, "- name: %s\n  interval: %s\n  rules:\n  - {%s}\n", name, interval, strings.Join(rules, "}\n  - {"))
			}
		}
	}
	return text.String()
}

// anythingRules are those whose results depend on when they are evaluated.
var anythingRules = []string{
	"record: 'any:rate', expr: 'rate(in_c[47s])'",
	"record: 'any:increase', expr: 'sum by (z) (increase(in_c[2m]))'",
	"record: 'any:deriv', expr: 'deriv(in_s[55s])'",
	"record: 'any:ahead', expr: 'predict_linear(in_s[1m], 60)'",
	"record: 'any:mean', expr: 'avg_over_time(in_x[1m]) / on (i) max_over_time(in_y[45s])'",
	"record: 'any:spread', expr: 'stddev by (z) (in_x) + quantile(0.7, in_y)'",
	"record: 'any:before', expr: 'in_s - in_s offset 20s'",
	"record: 'any:age', expr: 'time() - timestamp(in_x)'",
	"record: 'any:renamed', expr: 'label_replace(in_y, \"j\", \"x$1\", \"i\", \"(.*)\")', labels: {from: rule}",
	"record: 'any:either', expr: 'in_x > 2 or in_y < 3 or vector(7)'",
	"record: 'any:alerts', expr: 'count by (alertname, alertstate) (ALERTS)'",
	"record: 'any:clamped', expr: 'clamp(any:rate, 0.5, 2) ^ 2 % 3'",
	"record: 'any:top', expr: 'max by (z) (any:mean) - min by (z) (any:mean)'",
	"record: 'any:scalar', expr: 'in_s * scalar(in_z{i=\"0\"})'",
	"alert: Steep, expr: 'any:deriv > 0.03', for: 13s, labels: {level: 'v{{ $value | printf \"%.2f\" }}'}",
	"alert: Many, expr: 'any:alerts{alertstate=\"firing\"} > 1', keep_firing_for: 7s",
	"alert: Fast, expr: 'irate(in_c[1m]) > 4 or changes(in_x[1m]) > 2', for: 7s",
}

// traffic is a series and how it goes on.
type traffic struct {
	name    string
	i, away int
	value   float64
	// fades says that it may end without a marker.
	fades bool
	// missed says that its last sample did not come.
	missed bool
}

func (s *scenario) randomFrames(random *rand.Rand, n int) [][]reading {
	var all []*traffic
	for name, count := range map[string]int{"in_c": 6, "in_s": 8, "in_x": 7, "in_y": 7, "in_z": 1} {
		for i := range count {
			// Before ticks a series that fades between the arrival and the tick would show in one of them only, where it
			// stands beside others.
			all = append(all, &traffic{name: name, i: i, fades: !s.beforeTicks || name != "in_x" && name != "in_y"})
		}
	}
	slices.SortFunc(all, func(a, b *traffic) int {
		return strings.Compare(a.name, b.name)*100 + a.i - b.i
	})
	frames := make([][]reading, n)
	for k := range frames {
		for _, x := range all {
			ls := labels.FromStrings(model.MetricNameLabel, x.name, "i", fmt.Sprint(x.i), "z", fmt.Sprint(x.i%2))
			if v, ok := s.next(random, x, k >= n-s.calm); ok {
				frames[k] = append(frames[k], reading{ls, v})
			}
		}
	}
	return frames
}

// next returns x's next sample; false for none.
func (s *scenario) next(random *rand.Rand, x *traffic, calm bool) (float64, bool) {
	stale := math.Float64frombits(value.StaleNaN)
	if x.away > 0 {
		x.away--
		return 0, false
	}
	if calm {
		return x.value, true
	}
	dice := random.IntN(100)
	if s.beforeTicks && x.name == "in_c" && dice < 10 {
		// A rate needs two samples. No two follow each other at the distance of a window, which sees both of them from the
		// arrival until the tick only: one sample is missing, or many are.
		if x.missed = !x.missed; x.missed {
			return 0, false
		}
		x.away = 7
		return 0, false
	}
	x.missed = false
	switch {
	case dice < 4:
		x.away = random.IntN(8)
		return stale, true
	case dice < 10:
		return 0, false
	case dice < 12 && x.fades:
		x.away = 7 + random.IntN(3)
		return 0, false
	case dice < 14 && x.name != "in_z":
		x.i += 100 // From the next time on.
		if x.fades {
			return x.value, true
		}
		return stale, true
	}
	switch {
	case x.name == "in_c":
		if random.IntN(4) == 0 {
			x.value += float64(60 * (1 + random.IntN(3)))
		} else if random.IntN(30) == 0 {
			x.value = 0
		}
	case random.IntN(3) == 0:
		x.value = float64(random.IntN(6))
		if s.anything {
			x.value += random.Float64()
		}
	}
	return x.value, true
}

// performance is a way to play a scenario.
type performance struct {
	// strict lets all groups be; upstream leaves everything to Prometheus's engine.
	strict, upstream bool
	// split, if not 0, is the seed by which the samples of one time come in several batches.
	split uint64
	// restart and reload say after which frame the engine is made anew, or gets its rules with more of them; 0: never.
	restart, reload int
	more            string
}

// stage is where a scenario is played.
type stage struct {
	*scenario
	performance
	w      *world
	chain  compiled
	engine *engine.Engine
	out    *outcome
	t      *testing.T
	loaded map[*plan.Plan]bool
}

func (s *scenario) play(t *testing.T, p performance) *outcome {
	t.Helper()
	w := newWorld(t)
	w.promql = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1e6, Timeout: time.Hour, LookbackDelta: s.lookback, Parser: parser.NewParser(parser.Options{}),
	})
	t.Cleanup(func() { _ = w.promql.Close() })
	st := &stage{scenario: s, performance: p, w: w, out: &outcome{moves: map[string][]alert.Transition{}}}
	synctest.Test(t, func(t *testing.T) {
		st.t = t
		require.True(t, time.Now().Equal(dawn))
		st.begin()
		defer func() { st.engine.Stop() }()
		for k, frame := range s.frames {
			time.Sleep(time.Until(dawn.Add(s.at[k])))
			st.write(k, frame)
			if k > 0 && k == p.restart {
				time.Sleep(2 * time.Second)
				st.engine.Stop()
				synctest.Wait()
				st.out.restarted = time.Now()
				st.begin()
			}
			if k > 0 && k == p.reload {
				time.Sleep(2 * time.Second)
				synctest.Wait()
				st.apply(s.rules + p.more)
			}
		}
		time.Sleep(frameEvery / 2)
		synctest.Wait()
	})
	for _, m := range w.moves {
		key := m.Rule + m.Labels.MatchLabels(false, "alertname").String()
		st.out.moves[key] = append(st.out.moves[key], m)
	}
	st.out.recorded = w.read(t)
	return st.out
}

// begin does what a process does when it starts.
func (st *stage) begin() {
	st.chain = compiled{AppendableV2: st.w.db, core: exec.New(exec.Options{Lookback: st.lookback})}
	o := st.w.options()
	o.ForGracePeriod = -1
	if !st.upstream {
		o.Stream, o.Eval, o.Appendable = st.chain.core, st.eval, st.chain
	}
	st.engine = engine.New(o)
	st.apply(st.rules)
	st.engine.Start()
}

func (st *stage) apply(text string) {
	st.t.Helper()
	groups := ruleGroups(st.t, "f", text)
	var plans []*plan.Plan
	for _, g := range groups {
		for _, r := range g.Rules {
			plans = append(plans, engine.PlansOf(r)...)
		}
	}
	st.w.mu.Lock()
	st.loaded = map[*plan.Plan]bool{}
	for _, p := range plans {
		st.loaded[p] = true
	}
	st.w.mu.Unlock()
	if !st.upstream {
		require.NoError(st.t, st.chain.core.Load(context.Background(), plans, st.w.db, time.Now().UnixMilli()))
	}
	require.NoError(st.t, st.engine.Apply(engine.Config{
		Groups:     groups,
		Evaluation: func(string, string) engine.Evaluation { return engine.Evaluation{Strict: st.strict} },
	}))
}

func (st *stage) eval(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	v, err := st.chain.core.Eval(ctx, p, at.UnixMilli(), buf)
	st.w.mu.Lock()
	st.out.compiled++
	if exec.AsBail(err) != nil && st.loaded[p] {
		st.out.left++
	}
	st.w.mu.Unlock()
	if exec.AsBail(err) == nil {
		return v, err
	}
	return st.w.eval(ctx, p, at, buf)
}

// write brings the samples of a frame, which has come, into history: in one batch or in several.
func (st *stage) write(k int, frame []reading) {
	ts := dawn.Add(st.at[k]).UnixMilli()
	if st.split == 0 || k == 0 { // A metric that has no series yet is not waited for.
		st.commit(ts, frame)
		return
	}
	random := rand.New(rand.NewPCG(st.split, uint64(k)))
	for _, batch := range splitFrame(random, frame) {
		time.Sleep(time.Duration(random.IntN(8)) * time.Millisecond)
		st.commit(ts, batch)
	}
}

// splitFrame makes up to five batches. What stands beside another metric stays together: a rule cannot wait for series
// of which it does not know whether they come.
func splitFrame(random *rand.Rand, frame []reading) [][]reading {
	batches := make([][]reading, 5)
	whole := map[string]int{"in_x": random.IntN(5), "in_y": random.IntN(5)}
	for _, i := range random.Perm(len(frame)) {
		to, ok := whole[frame[i].labels.Get(model.MetricNameLabel)]
		if !ok {
			to = random.IntN(5)
		}
		batches[to] = append(batches[to], frame[i])
	}
	return slices.DeleteFunc(batches, func(b []reading) bool { return len(b) == 0 })
}

func (st *stage) commit(ts int64, batch []reading) {
	st.t.Helper()
	var to storage.AppendableV2 = st.chain
	if st.upstream {
		to = st.w.db
	}
	app := to.AppenderV2(context.Background())
	for _, r := range batch {
		_, err := app.Append(0, r.labels, 0, ts, r.v, nil, nil, storage.AOptions{})
		require.NoError(st.t, err)
	}
	require.NoError(st.t, app.Commit())
}
