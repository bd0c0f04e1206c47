package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
)

const evaluations = "tocsin_rule_stream_evaluations_total"

func TestArrivalFires(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > 1}]}")
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1})
		require.Empty(t, b.takeMoves())
		require.Zero(t, b.counter(t, evaluations, ""), "nothing changed, and nobody was woken")

		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Equal(t, []string{"A{1} inactive>firing"}, b.takeMoves())
		require.Len(t, b.takeSent(), 1)
		now := time.Now()
		active := b.Groups()[0].Rules[0].Alerts[0].ActiveAt
		require.Equal(t, now.UnixMilli(), active.UnixMilli())
		require.Equal(t, fmt.Sprintf("%d:3ff0000000000000 ", now.UnixMilli()),
			b.dump(t)[`{__name__="ALERTS", alertname="A", alertstate="firing", i="1"}`])

		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 0, `in_a{i="2"}`: 3})
		require.Equal(t, []string{"A{1} firing>inactive", "A{2} inactive>firing"}, b.takeMoves())
		require.Contains(t, b.dump(t)[`{__name__="ALERTS", alertname="A", alertstate="firing", i="1"}`],
			fmt.Sprintf("%d:7ff0000000000002 ", time.Now().UnixMilli()), "marked stale at once")
		require.Equal(t, 2.0, b.counter(t, evaluations, "arrival"))
		pass(3)
		require.Empty(t, b.takeMoves())
	})
}

func TestForEndsWhenItIsDue(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > 1, for: 22s, keep_firing_for: 13s}]}")
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Equal(t, []string{"A{1} inactive>pending"}, b.takeMoves())
		time.Sleep(22*time.Second - time.Millisecond)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"A{1} pending>firing"}, b.takeMoves())

		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 0})
		require.Empty(t, b.takeMoves())
		time.Sleep(13*time.Second - time.Millisecond)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"A{1} firing>inactive"}, b.takeMoves())
		require.Equal(t, 2.0, b.counter(t, evaluations, "deadline"))

		// One that begins at a tick, and whose condition ends before the deadline.
		b.write(t, map[string]float64{`in_a{i="2"}`: 5})
		pass(1)
		require.Equal(t, []string{"A{2} inactive>pending"}, b.takeMoves())
		pass(1)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="2"}`: 0})
		require.Equal(t, []string{"A{2} pending>inactive"}, b.takeMoves())
		pass(3)
		require.Empty(t, b.takeMoves())
		require.Equal(t, 2.0, b.counter(t, evaluations, "deadline"))
	})
}

// A rule that the general engine evaluates has its deadlines all the same.
func TestDeadlinesOfRulesThatFollowNothing(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: 'in_a @ start() > 1', for: 22s}]}")
		rule := b.Groups()[0].Rules[0]
		require.Contains(t, rule.TicksOnly, "general engine")
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Empty(t, b.takeMoves())
		pass(1)
		require.Equal(t, []string{"A{1} inactive>pending"}, b.takeMoves())
		at := b.Groups()[0].Rules[0].Alerts[0].ActiveAt
		time.Sleep(time.Until(at.Add(22*time.Second + time.Millisecond)))
		synctest.Wait()
		require.Equal(t, []string{"A{1} pending>firing"}, b.takeMoves())
	})
}

func TestSettle(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > on (i) in_b}, {alert: B, expr: in_a > 1}]}")
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1, `in_b{i="1"}`: 1})
		b.between(t)

		// The other input comes: nobody sees the moment in between.
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 5})
		require.Equal(t, []string{"B{1} inactive>firing"}, b.takeMoves(), "one input waits for nobody")
		time.Sleep(20 * time.Millisecond)
		b.arrive(t, map[string]float64{`in_b{i="1"}`: 5})
		require.Empty(t, b.takeMoves())
		require.Equal(t, 1.0, b.counter(t, "tocsin_rule_stream_waits_total", "settled"))

		// It does not come, and another sample of the first one does not put that off.
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 6})
		time.Sleep(30 * time.Millisecond)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 7})
		time.Sleep(19 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"A{1} inactive>firing"}, b.takeMoves())
		require.Equal(t, 1.0, b.counter(t, "tocsin_rule_stream_waits_total", "timed_out"))

		// Both in one batch.
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 7, `in_b{i="1"}`: 7})
		require.Equal(t, []string{"A{1} firing>inactive"}, b.takeMoves())
	})
}

// A deadline that falls into a wait is not decided on half of the inputs.
func TestDeadlineWaitsForInputs(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > on (i) in_b, for: 6s}]}")
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1, `in_b{i="1"}`: 1})
		pass(1)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 3, `in_b{i="1"}`: 1})
		require.Equal(t, []string{"A{1} inactive>pending"}, b.takeMoves())
		time.Sleep(6*time.Second - 10*time.Millisecond)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1}) // in_b follows with 0
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		b.arrive(t, map[string]float64{`in_b{i="1"}`: 0})
		require.Equal(t, []string{"A{1} pending>firing"}, b.takeMoves())
	})
}

func TestNoArrivalsBeforeTheFirstIntervalIsOver(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.reload(t, "- {name: g, rules: [{alert: A, expr: in_a > 1}]}")
		b.Start()
		for b.Groups()[0].LastTimestamp.IsZero() {
			b.arrive(t, map[string]float64{`in_a{i="1"}`: 0})
			time.Sleep(500 * time.Millisecond)
		}
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		require.Empty(t, b.takeMoves(), "one tick is not enough")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"A{1} inactive>firing"}, b.takeMoves())
		require.Zero(t, b.counter(t, evaluations, ""))
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 0})
		require.Equal(t, []string{"A{1} firing>inactive"}, b.takeMoves())
	})
}

func TestStrictGroupsOnlyTick(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.evaluation.Strict = true
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > 1, for: 12s}]}")
		require.True(t, b.Groups()[0].Evaluation.Strict)
		require.Equal(t, "its group is strict", b.Groups()[0].Rules[0].TicksOnly)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Empty(t, b.takeMoves())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"A{1} inactive>pending"}, b.takeMoves())
		time.Sleep(19 * time.Second)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"A{1} pending>firing"}, b.takeMoves())

		// It need not be, any more: the group goes on and follows at once.
		before := b.Groups()[0]
		b.evaluation = engine.Evaluation{Settle: time.Second}
		b.reload(t, "- {name: g, rules: [{alert: A, expr: in_a > 1, for: 12s}]}")
		require.Equal(t, before.LastEvaluation, b.Groups()[0].LastEvaluation)
		require.Equal(t, b.evaluation, b.Groups()[0].Evaluation)
		require.Empty(t, b.Groups()[0].Rules[0].TicksOnly)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 0, `in_a{i="2"}`: 2})
		require.Equal(t, []string{"A{1} firing>inactive", "A{2} inactive>pending"}, b.takeMoves())

		// And back: what was on the wheel is off it.
		b.evaluation = engine.Evaluation{Strict: true}
		b.reload(t, "- {name: g, rules: [{alert: A, expr: in_a > 1, for: 12s}]}")
		pass(1)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		require.Empty(t, b.takeMoves())
		pass(1)
		require.Equal(t, []string{"A{2} pending>firing"}, b.takeMoves())
	})
}

func TestQueryOffsetKeepsToTicks(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, query_offset: 2s, rules: [{alert: A, expr: in_a > 1}]}")
		require.Equal(t, "its group has a query offset", b.Groups()[0].Rules[0].TicksOnly)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Empty(t, b.takeMoves())
	})
}

func TestChainRunsDown(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, `
- name: g
  rules:
  - {record: 'b:sum', expr: 'sum(a:double)'}
  - {record: 'nobody:reads', expr: 'in_a'}
  - {alert: A, expr: 'b:sum > 3'}
  - {record: 'a:double', expr: '2 * in_a'}
`)
		only := []string{}
		for _, r := range b.Groups()[0].Rules {
			only = append(only, r.TicksOnly)
		}
		require.Equal(t, []string{"", "no rule that follows arrivals reads what it records", "", ""}, only)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1})
		pass(2)
		b.between(t)
		before := b.dump(t)[`{__name__="nobody:reads", i="1"}`]
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"A{} inactive>firing"}, b.takeMoves())
		require.True(t, strings.HasSuffix(b.dump(t)[`{__name__="a:double", i="1"}`], ":4010000000000000 "))
		require.Equal(t, before, b.dump(t)[`{__name__="nobody:reads", i="1"}`])
	})
}

// A burst is recorded at its beginning and at its end, and only what changed.
func TestBurstsAreCoalesced(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{record: 'a:sum', expr: 'sum by (i) (in_a)'}, {alert: A, expr: 'a:sum > 1e9'}]}")
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1, `in_a{i="2"}`: 1})
		pass(2)
		b.between(t)
		one, two := `{__name__="a:sum", i="1"}`, `{__name__="a:sum", i="2"}`
		before, other := b.dump(t)[one], b.dump(t)[two]
		start := time.Now().UnixMilli()
		for i := range 40 {
			b.arrive(t, map[string]float64{`in_a{i="1"}`: float64(2 + i)})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, fmt.Sprintf("%d:4000000000000000 %d:4044800000000000 ", start, start+50), strings.TrimPrefix(b.dump(t)[one], before))
		require.Equal(t, other, b.dump(t)[two], "what stayed is left to the ticks")
		require.Equal(t, 38.0, b.counter(t, "tocsin_rule_stream_coalesced_total", ""))

		// A series that goes is marked stale.
		pass(40)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 7})
		pass(1)
		require.True(t, strings.HasSuffix(b.dump(t)[two], ":7ff0000000000002 "))
	})
}

func TestCyclesAreNamed(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, `
- name: g
  rules:
  - {record: 'a:r', expr: 'in_a + on (i) b:r or in_a'}
  - {record: 'b:r', expr: 'a:r + 1'}
  - {alert: A, expr: 'b:r > 100'}
  - {alert: Many, expr: 'count(ALERTS{alertname!="Many"}) > 100'}
  - {alert: Self, expr: 'count(ALERTS{alertname="Self"}) > 100'}
`)
		var only []string
		for _, r := range b.Groups()[0].Rules {
			only = append(only, r.TicksOnly)
		}
		const prefix = "it reads, directly or through others, what it records: "
		require.Equal(t, []string{prefix + "a:r, b:r", prefix + "a:r, b:r", "", "", prefix + "Self"}, only)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 1})
		require.NotContains(t, b.dump(t), `{__name__="a:r", i="1"}`)
		pass(2)
		require.Contains(t, b.dump(t), `{__name__="a:r", i="1"}`)
	})
}

func TestReloadKeepsFollowing(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		const kept = "- {name: g, rules: [{alert: A, expr: in_a > 1, for: 7s}]}\n"
		b.load(t, kept+"- {name: h, rules: [{alert: B, expr: in_a > 1}]}")
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Equal(t, []string{"A{1} inactive>pending", "B{1} inactive>firing"}, sorted(b.takeMoves()))
		b.reload(t, kept+"- {name: h, rules: [{alert: B, expr: in_a > 1}, {alert: C, expr: in_a > 1}]}\n- {name: new, rules: [{alert: N, expr: in_a > 1}]}")
		synctest.Wait()
		require.Equal(t, []string{"C{1} inactive>firing"}, b.takeMoves(), "a changed group is as old as what it replaces")
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="2"}`: 2})
		require.Equal(t, []string{"A{2} inactive>pending", "B{2} inactive>firing", "C{2} inactive>firing"}, sorted(b.takeMoves()))
		pass(3)
		require.Equal(t, []string{"A{1} pending>firing", "A{2} pending>firing", "N{1} inactive>firing", "N{2} inactive>firing"}, sorted(b.takeMoves()))
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="3"}`: 2})
		require.Len(t, b.takeMoves(), 4)
		b.reload(t, "")
		b.takeMoves()
		b.arrive(t, map[string]float64{`in_a{i="4"}`: 2})
		require.Empty(t, b.takeMoves())
	})
}

func TestBailsAreEvaluatedInFullButNotOften(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > 1}]}")
		b.follower.mu.Lock()
		b.follower.bails["in_a > 1"] = true
		b.follower.mu.Unlock()
		b.between(t)
		var moves []string
		start := time.Now()
		for i := range 20 {
			b.arrive(t, map[string]float64{`in_a{i="1"}`: float64(2 * (1 - i%2))})
			for _, m := range b.takeMoves() {
				moves = append(moves, fmt.Sprint(m, time.Since(start)))
			}
			time.Sleep(90 * time.Millisecond)
			synctest.Wait()
		}
		require.Equal(t, []string{"A{1} inactive>firing0s", "A{1} firing>inactive90ms", "A{1} inactive>firing1.17s"}, moves)
		require.Equal(t, 3.0, b.counter(t, "tocsin_rule_stream_bails_total", "window"))
	})
}

// Values in labels make alerts of their own, on arrival, too.
func TestLabelsWithValuesFollow(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, `- {name: g, rules: [{alert: A, expr: in_a > 1, labels: {i: 'v{{ $value }}'}, annotations: {x: '{{ $value }}'}}, {alert: B, expr: in_a > 1, annotations: {x: '{{ $value }}'}}]}`)
		b.between(t)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 2})
		require.Equal(t, []string{"A{v2} inactive>firing", "B{1} inactive>firing"}, sorted(b.takeMoves()))
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 3})
		require.Equal(t, []string{"A{v2} firing>inactive", "A{v3} inactive>firing"}, sorted(b.takeMoves()))
		time.Sleep(time.Second)
		b.arrive(t, map[string]float64{`in_a{i="1"}`: 4, `in_a{i="2"}`: 4})
		alerts := b.Groups()[0].Rules[1].Alerts
		require.Equal(t, "2", alerts[0].Annotations.Get("x"), "the texts of what fires already are the ticks' business")
		require.Equal(t, "4", alerts[1].Annotations.Get("x"))
		pass(1)
		require.Equal(t, "4", b.Groups()[0].Rules[1].Alerts[0].Annotations.Get("x"))
	})
}

// A rule that takes long leaves room for others.
func TestCostlyRulesRest(t *testing.T) {
	inStream(t, func(t *testing.T, b *streamBench) {
		b.load(t, "- {name: g, rules: [{alert: A, expr: in_a > 1}]}")
		b.between(t)
		b.follower.mu.Lock()
		b.follower.slow = 100 * time.Millisecond
		b.follower.mu.Unlock()
		for i := range 20 {
			b.arrive(t, map[string]float64{`in_a{i="1"}`: float64(2 * (1 - i%2))})
			time.Sleep(50 * time.Millisecond)
		}
		require.InDelta(t, 5, b.counter(t, evaluations, "arrival"), 1)
	})
}
