package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
)

// Each of these tests plays one scenario in two ways that must come to the same.

// metamorphosis runs check for a few seeds; with TOCSIN_TEST_EVERYTHING for many.
func metamorphosis(t *testing.T, check func(t *testing.T, seed uint64)) {
	t.Parallel()
	seed, n := seedOf(t), 1
	if os.Getenv("TOCSIN_TEST_EVERYTHING") != "" {
		n = 40
	}
	for i := range uint64(n) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) { check(t, seed+i) })
		if t.Failed() {
			return
		}
	}
}

// The samples of one time may come in one batch or in several, in any order, as long as it takes less than settle and
// the rules look at one series at a time.
func TestBatchesDoNotMatter(t *testing.T) {
	metamorphosis(t, func(t *testing.T, seed uint64) {
		s := newScenario(seed, dialect{})
		want := s.play(t, performance{})
		for split := range uint64(2) {
			got := s.play(t, performance{split: seed + split + 1})
			s.compareMoves(t, s.logs(s.withoutFlaps(want), s.inSeconds), s.logs(s.withoutFlaps(got), s.inSeconds))
			s.compareTicks(t, want, got)
		}
		s.requireCompiled(t, want)
	})
}

// A restart changes nothing in the long run, and alerts that were pending go on to be.
func TestRestartDoesNotMatter(t *testing.T) {
	metamorphosis(t, func(t *testing.T, seed uint64) {
		s := newScenario(seed, dialect{sums: true, calm: 18})
		want := s.play(t, performance{})
		got := s.play(t, performance{restart: 20})
		s.compareRestart(t, want, got)
	})
}

// Where samples come right before the ticks, it does not matter whether rules follow arrivals.
func TestStrictDoesNotMatterAtTicks(t *testing.T) {
	metamorphosis(t, func(t *testing.T, seed uint64) {
		s := newScenario(seed, dialect{beforeTicks: true, sums: true})
		want := s.play(t, performance{strict: true})
		got := s.play(t, performance{})
		s.compareMoves(t, s.logs(want, s.tickAfter), s.logs(got, s.tickAfter))
		s.compareTicks(t, want, got)
		s.requireCompiled(t, got)
	})
}

// It does not matter which engine evaluates.
func TestEngineDoesNotMatter(t *testing.T) {
	metamorphosis(t, func(t *testing.T, seed uint64) {
		s := newScenario(seed, dialect{sums: true, anything: true})
		want := s.play(t, performance{strict: true, upstream: true})
		got := s.play(t, performance{strict: true})
		exactly := func(m alert.Transition) string {
			return fmt.Sprintf("%s>%s at %s active %s", m.From, m.To, m.At.Sub(dawn), m.ActiveAt.Sub(dawn))
		}
		s.compareMoves(t, s.logs(want, exactly), s.logs(got, exactly))
		s.compareRecorded(t, want, got)
		s.requireCompiled(t, got)
	})
}

// A reload that changes nothing, or that adds a group, does not matter to the other groups.
func TestReloadDoesNotMatter(t *testing.T) {
	metamorphosis(t, func(t *testing.T, seed uint64) {
		s := newScenario(seed, dialect{sums: true})
		want := s.play(t, performance{})
		_, rate, _ := strings.Cut(s.rules, "alert: Rate, expr: '")
		rate, _, _ = strings.Cut(rate, "'")
		const group = "- name: three\n  interval: 7s\n  rules:\n"
		more := map[string]string{
			"nothing":   "",
			"unrelated": group + "  - {record: 'four:z', expr: 'sum(in_z) + 1'}\n  - {alert: Four, expr: 'four:z > 2'}\n",
			// They look at what others share with them at times of their own.
			"relatives": group + "  - {alert: Four, expr: 'in_s > 2.5', for: 5s}\n  - {record: 'four:rate', expr: 'rate(in_c[47s])'}\n" +
				"  - {record: 'four:sum', expr: 'sum(in_x) / sum(in_y * 2)'}\n",
			"twin": group + "  - {alert: Four, expr: '" + rate + "', for: 5s}\n",
		}
		for _, name := range slices.Sorted(maps.Keys(more)) {
			t.Run(name, func(t *testing.T) {
				got := s.play(t, performance{reload: 20, more: more[name]})
				maps.DeleteFunc(got.moves, func(key string, _ []alert.Transition) bool { return strings.HasPrefix(key, "Four") })
				maps.DeleteFunc(got.recorded, func(series string, _ []point) bool {
					return strings.Contains(series, `"four:`) || strings.Contains(series, `"Four"`)
				})
				s.compareMoves(t, s.logs(want, s.inSeconds), s.logs(got, s.inSeconds))
				s.compareTicks(t, want, got)
			})
		}
		s.requireCompiled(t, want)
	})
}

// A rule follows arrivals at its own pace also where another one of the same expression, in another group, sees at its
// ticks that the window has moved on.
func TestTwinDoesNotMatter(t *testing.T) {
	t.Parallel()
	const group = "- name: %s\n  interval: %s\n  rules: [{alert: %s, expr: 'rate(in_c[47s]) > 0.5'}]\n"
	s := &scenario{
		lookback: 41 * time.Second, groups: map[string]time.Duration{"one": 10 * time.Second},
		rules: "groups:\n" + fmt.Sprintf(group, "one", "10s", "Rate"),
	}
	tick := engine.NewSchedule("f", "one", 10*time.Second).Offset.Truncate(time.Millisecond)
	for k := range 20 { // Samples come 7 s after the ticks of one; each series goes up once.
		s.at = append(s.at, tick+time.Duration(k)*frameEvery+7*time.Second)
		var frame []reading
		for i := range 7 {
			ls := labels.FromStrings(model.MetricNameLabel, "in_c", "i", fmt.Sprint(i))
			frame = append(frame, reading{ls, float64(60 * min(max(k-4-i, 0), 1))})
		}
		s.frames = append(s.frames, frame)
	}
	want := s.play(t, performance{})
	got := s.play(t, performance{reload: 2, more: fmt.Sprintf(group, "three", "7s", "Four")})
	maps.DeleteFunc(got.moves, func(key string, _ []alert.Transition) bool { return strings.HasPrefix(key, "Four") })
	require.Equal(t, s.logs(want, s.inSeconds), s.logs(got, s.inSeconds))
}

// outcome is what a performance did.
type outcome struct {
	// moves are the transitions by alert, in order.
	moves map[string][]alert.Transition
	// recorded are the samples of what rules recorded, by series.
	recorded map[string][]point
	// compiled counts the evaluations by the compiled engine, left those that it left to the other.
	compiled, left int
	restarted      time.Time
}

type point struct {
	t int64
	v float64
}

// logs writes down what happened to each alert.
func (s *scenario) logs(o *outcome, line func(alert.Transition) string) map[string][]string {
	out := map[string][]string{}
	for key, moves := range o.moves {
		for _, m := range moves {
			out[key] = append(out[key], line(m))
		}
	}
	return out
}

func (s *scenario) inSeconds(m alert.Transition) string {
	return fmt.Sprintf("%s>%s at %ds", m.From, m.To, s.second(m.At)-3600)
}

// tickAfter gives a move the time of the tick that sees it, too.
func (s *scenario) tickAfter(m alert.Transition) string {
	for name, interval := range s.groups {
		tick := engine.NewSchedule("f", name, interval).First(m.At.Add(-time.Nanosecond))
		return fmt.Sprintf("%s>%s at %s", m.From, m.To, tick.Sub(dawn))
	}
	panic("BUG: a scenario without groups")
}

// withoutFlaps takes away what alerts on rates did and undid within the second in which samples came: windows move on for
// all series that are kept near one whose sample comes, so that those that wait for a later batch are seen without their
// newest sample, which is not wrong.
func (s *scenario) withoutFlaps(o *outcome) *outcome {
	out := &outcome{moves: maps.Clone(o.moves)}
	for key, moves := range o.moves {
		if !strings.HasPrefix(key, "Rate") {
			continue
		}
		var kept []alert.Transition
		for _, m := range moves {
			if last := len(kept) - 1; last >= 0 && s.second(kept[last].At) == s.second(m.At) && kept[last].From == m.To {
				kept = kept[:last]
			} else {
				kept = append(kept, m)
			}
		}
		out.moves[key] = kept
	}
	return out
}

// compareMoves compares logs alert by alert.
func (s *scenario) compareMoves(t *testing.T, want, got map[string][]string) {
	t.Helper()
	moves, differ := 0, 0
	for _, key := range keysOf(want, got) {
		moves += len(want[key])
		if slices.Equal(want[key], got[key]) {
			continue
		}
		if differ++; differ <= 3 {
			t.Errorf("%s\n  one: %s\nother: %s\n%s", key, strings.Join(want[key], ", "), strings.Join(got[key], ", "), s.story(key))
		}
	}
	if differ > 0 {
		t.Fatalf("%d of %d alerts differ. Rules:\n%s", differ, len(keysOf(want, got)), s.rules)
	}
	require.Greater(t, moves, 60, "nothing happened")
	t.Logf("%d moves of %d alerts", moves, len(want))
}

func keysOf[V any](a, b map[string]V) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// story tells of the samples that an alert's labels lead to.
func (s *scenario) story(key string) string {
	var text strings.Builder
	for k, frame := range s.frames {
		fmt.Fprintf(&text, "%s (second %d):", s.at[k], s.second(dawn.Add(s.at[k]))-3600)
		for _, r := range frame {
			if i := fmt.Sprintf("i=%q", r.labels.Get("i")); strings.Contains(key, i) || !strings.Contains(key, "i=") {
				v := fmt.Sprint(r.v)
				if value.IsStaleNaN(r.v) {
					v = "stale"
				}
				fmt.Fprintf(&text, " %s/%s=%s", r.labels.Get(model.MetricNameLabel), r.labels.Get("i"), v)
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// warm is when all groups have had their third tick. The second one restores states, and only what is evaluated then, be
// it on an arrival that changes nothing, records ALERTS.
const warm = 45 * time.Second

// compareTicks compares what recorded series are at the ticks. ALERTS_FOR_STATE has the second since when an alert is
// active: that may be a little earlier where arrivals are followed, and later for an alert on a rate: see withoutFlaps.
func (s *scenario) compareTicks(t *testing.T, want, got *outcome) {
	t.Helper()
	compared := 0
	for _, series := range keysOf(want.recorded, got.recorded) {
		since := strings.Contains(series, "ALERTS_FOR_STATE")
		if since && strings.Contains(series, `"Rate"`) {
			continue
		}
		for name, interval := range s.groups {
			for tick := engine.NewSchedule("f", name, interval).First(dawn.Add(warm)); tick.Before(dawn.Add(s.at[len(s.at)-1])); tick = tick.Add(interval) {
				a, aok := s.visible(want.recorded[series], tick.UnixMilli())
				b, bok := s.visible(got.recorded[series], tick.UnixMilli())
				if aok != bok || !closeTo(a, b) && !(since && math.Abs(a-b) <= 1) {
					t.Errorf("%s at %s: %v (%t), other %v (%t)\n%s", series, tick.Sub(dawn), a, aok, b, bok, s.story(series))
					t.Fatalf("rules:\n%s", s.rules)
				}
				if aok {
					compared++
				}
			}
		}
	}
	require.Greater(t, compared, 500, "nothing was recorded")
}

// visible returns the value that an instant selector sees.
func (s *scenario) visible(points []point, at int64) (float64, bool) {
	i, found := slices.BinarySearchFunc(points, at, func(p point, at int64) int { return int(p.t - at) })
	if !found {
		i--
	}
	if i < 0 || points[i].t <= at-s.lookback.Milliseconds() || value.IsStaleNaN(points[i].v) {
		return 0, false
	}
	return points[i].v, true
}

// compareRecorded compares all that was recorded, staleness markers included.
func (s *scenario) compareRecorded(t *testing.T, want, got *outcome) {
	t.Helper()
	for _, series := range keysOf(want.recorded, got.recorded) {
		a, b := want.recorded[series], got.recorded[series]
		same := func(a, b point) bool {
			return a.t == b.t && value.IsStaleNaN(a.v) == value.IsStaleNaN(b.v) && closeTo(a.v, b.v)
		}
		if !slices.EqualFunc(a, b, same) {
			t.Fatalf("%s\n  one: %v\nother: %v\n%s", series, a, b, s.rules)
		}
	}
	require.Greater(t, len(want.recorded), 100)
}

func closeTo(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

// requireCompiled makes sure that the compiled engine took part.
func (s *scenario) requireCompiled(t *testing.T, o *outcome) {
	t.Helper()
	require.Greater(t, o.compiled, 300)
	require.Less(t, o.left, o.compiled/20, "evaluations that were left to the general engine")
}

// read returns all that rules recorded.
func (w *world) read(t *testing.T) map[string][]point {
	t.Helper()
	q, err := w.db.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	out := map[string][]point{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchNotRegexp, model.MetricNameLabel, "in_.*"))
	for set.Next() {
		var points []point
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			at, v := it.At()
			points = append(points, point{at, v})
		}
		require.NoError(t, it.Err())
		out[set.At().Labels().String()] = points
	}
	require.NoError(t, set.Err())
	return out
}
