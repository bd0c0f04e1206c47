package alert_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// told returns the changes of one step of m as "from>to reason".
func (m *machine) told(t *testing.T, at time.Duration, in ...alert.Input) []string {
	t.Helper()
	changes, err := alert.Step(&m.next, &m.now, in, m.params, start.Add(at), nil)
	require.NoError(t, err)
	m.now, m.next = m.next, m.now
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s>%s %s", c.From, c.To, c.Reason))
	}
	return out
}

func says(s alert.Says, v float64) alert.Input {
	i := input("a", v)
	i.Says = s
	return i
}

func TestHysteresis(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{For: time.Minute, KeepFiringFor: time.Minute, Hysteresis: true, Presence: true}}
	over, between := []alert.Input{input("a", 95), says(alert.Exists, 95)}, says(alert.Exists, 80)
	clear := []alert.Input{says(alert.Clears, 60), says(alert.Exists, 60)}
	require.Equal(t, []string{"inactive>pending condition"}, m.told(t, 0, over...))
	require.Equal(t, []string{"pending>inactive cleared"}, m.told(t, time.Second, between), "`clear` is for what fires")
	m.told(t, 0, over...)
	require.Equal(t, []string{"pending>firing for_elapsed"}, m.told(t, time.Minute, over...))
	require.Empty(t, m.told(t, time.Hour, between))
	require.Equal(t, alert.OnHysteresis, m.now.At(0).Basis)
	require.Empty(t, m.told(t, time.Hour+1, clear...))
	require.Equal(t, alert.OnKeepFiring, m.now.At(0).Basis)
	require.Empty(t, m.told(t, time.Hour+2, between), "not clear any more: keep_firing_for begins again")
	require.Empty(t, m.told(t, 2*time.Hour, clear...))
	require.Equal(t, []string{"firing>inactive keep_firing_ended"}, m.told(t, 2*time.Hour+time.Minute, clear...))
	require.Equal(t, alert.Reading{Value: 60, Known: true}, m.now.At(0).Clearing)
	m.params.KeepFiringFor, m.params.For = 0, 0
	m.told(t, 3*time.Hour, over...)
	require.Empty(t, m.told(t, 3*time.Hour, append(over, clear...)...), "while the condition holds, `clear` does not matter")
	require.Equal(t, []string{"firing>inactive hysteresis_cleared"}, m.told(t, 4*time.Hour, clear...))
	m.told(t, 5*time.Hour, over...)
	require.Equal(t, []string{"firing>inactive series_missing"}, m.told(t, 6*time.Hour), "what is gone can never clear")
	require.False(t, m.now.At(0).Clearing.Known)
}

func TestOnMissing(t *testing.T) {
	t.Parallel()
	over, under := []alert.Input{input("a", 95), says(alert.Exists, 95)}, says(alert.Exists, 80)
	for on, want := range map[alert.OnMissing][4][]string{
		alert.MissingResolves: {{"pending>inactive series_missing"}, nil, {"firing>inactive series_missing"}, nil},
		alert.MissingHolds:    {nil, nil, nil, {"firing>inactive cleared"}},
		alert.MissingFires:    {nil, {"pending>firing for_elapsed"}, nil, {"firing>inactive cleared"}},
		alert.MissingIsNoData: {{"pending>pending nodata"}, nil, {"firing>firing nodata"}, {"firing>inactive cleared"}},
	} {
		m := machine{params: alert.Params{For: time.Minute, Presence: true, OnMissing: on}}
		m.told(t, 0, over...)
		require.Equal(t, want[0], m.told(t, 30*time.Second), on)
		require.Equal(t, want[1], m.told(t, 2*time.Minute), on)
		m = machine{params: m.params}
		m.told(t, 0, over...)
		m.told(t, time.Minute, over...)
		require.Equal(t, want[2], m.told(t, 2*time.Minute), on)
		require.Equal(t, on == alert.MissingIsNoData, m.now.State() == alert.Firing && func() bool { a := m.now.At(0); return a.NoData() }())
		require.Equal(t, want[3], m.told(t, 3*time.Minute, under), on)
		parsed, err := alert.ParseOnMissing(on.String())
		require.NoError(t, err)
		require.Equal(t, on, parsed)
	}
	_, err := alert.ParseOnMissing("keep")
	require.ErrorContains(t, err, "none of resolve, hold, fire and nodata")
}

// What a pending alert missed counts once its series is back: nobody knows better.
func TestHeldPendingCountsOn(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{For: time.Minute, Presence: true, OnMissing: alert.MissingHolds}}
	m.told(t, 0, input("a", 95))
	require.Empty(t, m.told(t, time.Hour))
	require.Equal(t, []string{"pending>firing for_elapsed"}, m.told(t, 2*time.Hour, input("a", 95)))
}

func TestNoDataIsToldAtOnce(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{Presence: true, OnMissing: alert.MissingIsNoData}}
	send := alert.SendParams{ResendDelay: time.Minute}
	m.told(t, 0, input("a", 95))
	require.Len(t, m.now.AppendDue(nil, send, start), 1)
	m.told(t, time.Second)
	due := m.now.AppendDue(nil, send, start.Add(time.Second))
	require.Len(t, due, 1)
	require.True(t, due[0].NoData)
	require.True(t, due[0].EndsAt.After(start.Add(time.Second)))
	m.told(t, 2*time.Second)
	require.Empty(t, m.now.AppendDue(nil, send, start.Add(2*time.Second)))
	require.Equal(t, []string{"firing>firing data_back"}, m.told(t, 3*time.Second, input("a", 95)))
	a := m.now.At(0)
	require.False(t, a.NoData())
	require.Zero(t, a.MissingSince)
}

func TestSettlingEndsNothingThatIsNotBack(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{KeepFiringFor: time.Minute}}
	m.told(t, 0, input("a", 95))
	m.told(t, time.Second)
	var fresh machine
	require.NoError(t, fresh.now.Resume(m.now.Snapshot(nil)))
	fresh.params = m.params
	fresh.params.Settling = true
	require.Empty(t, fresh.told(t, time.Hour), "keep_firing_for is over, and yet the series may be about to hold again")
	fresh.params.Settling = false
	require.Equal(t, []string{"firing>inactive keep_firing_ended"}, fresh.told(t, time.Hour+1))

	fresh.params = alert.Params{Settling: true, Presence: true}
	fresh.told(t, 2*time.Hour, input("a", 95))
	require.Equal(t, []string{"firing>inactive cleared"}, fresh.told(t, 3*time.Hour, says(alert.Exists, 1)), "it is back, and clear")
}

func TestFlapping(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{Flap: alert.FlapParams{Transitions: 3, Within: 10 * time.Minute}}}
	send := alert.SendParams{ResendDelay: 2 * time.Minute}
	var sent []string
	tick := func(at time.Duration, in ...alert.Input) []string {
		told := m.told(t, at, in...)
		for _, o := range m.now.AppendDue(nil, send, start.Add(at)) {
			word := "firing"
			if !o.EndsAt.After(start.Add(at)) {
				word = "ended after " + o.Duration.String()
			}
			if o.Flapping {
				word = "flapping"
			}
			sent = append(sent, fmt.Sprint(at, " ", word))
		}
		return told
	}
	tick(0, input("a", 1))
	tick(time.Minute)
	tick(2*time.Minute, input("a", 1))
	require.Equal(t, []string{"firing>inactive cleared"}, tick(3*time.Minute))
	require.Equal(t, []string{"inactive>firing condition"}, tick(11*time.Minute, input("a", 1)), "0 and 1 minutes are ten minutes ago")
	require.Equal(t, []string{"firing>inactive cleared"}, tick(12*time.Minute))
	require.Equal(t, []string{"inactive>firing condition", "firing>firing flapping"}, tick(12*time.Minute+50*time.Second, input("a", 1)))
	for i := range 20 {
		at := 13*time.Minute + time.Duration(i)*10*time.Second
		if i%2 == 0 {
			require.Equal(t, []string{"firing>inactive cleared"}, tick(at))
		} else {
			require.Equal(t, []string{"inactive>firing condition"}, tick(at, input("a", 1)))
		}
	}
	m.told(t, 17*time.Minute)
	at, ok := m.now.Deadline(m.params)
	require.True(t, ok)
	require.Equal(t, start.Add(27*time.Minute), at)
	require.Empty(t, tick(27*time.Minute-1))
	require.Equal(t, []string{"inactive>inactive calm"}, tick(27*time.Minute))
	require.Equal(t, []string{
		"0s firing", "1m0s ended after 1m0s", "2m0s firing", "3m0s ended after 1m0s", "11m0s firing", "12m0s ended after 1m0s",
		"12m50s flapping", "15m0s flapping", "26m59.999999999s flapping", "27m0s ended after 14m10s",
	}, sent)
}

// An alert that flaps is remembered beyond its retention, and nobody is told of it then.
func TestFlapHistoryOutlivesTheAlert(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{Flap: alert.FlapParams{Transitions: 4, Within: 2 * time.Hour}}}
	send := alert.SendParams{ResendDelay: time.Minute}
	for i := range 3 {
		at := time.Duration(i) * 40 * time.Minute
		told := m.told(t, at, input("a", 1))
		if i == 2 {
			require.Equal(t, []string{"inactive>firing condition", "firing>firing flapping"}, told)
			break
		}
		m.told(t, at+time.Minute)
		m.now.AppendDue(nil, send, start.Add(at+time.Minute))
		m.told(t, at+30*time.Minute)
		require.Equal(t, 1, m.now.Len())
		require.Empty(t, m.now.AppendDue(nil, send, start.Add(at+30*time.Minute)))
	}
	m = machine{params: alert.Params{Flap: alert.FlapParams{Transitions: 1000, Within: 1000 * time.Hour}}}
	for i := range 1000 {
		if i%2 == 0 {
			m.told(t, time.Duration(i)*time.Second, input("a", 1))
		} else {
			m.told(t, time.Duration(i)*time.Second)
		}
	}
	require.Len(t, m.now.At(0).Flap.Changes, alert.MaxFlapTransitions+1, "memory is bounded")
}

func TestEndedFlappingAlertsAreToldOf(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{Flap: alert.FlapParams{Transitions: 1, Within: time.Hour}}}
	m.told(t, 0, input("a", 1))
	m.told(t, 1)
	m.told(t, 2, input("a", 1))
	m.now.AppendDue(nil, alert.SendParams{}, start.Add(2))
	m.told(t, 3)
	require.Equal(t, alert.Inactive, m.now.State())
	ended := m.now.AppendEnded(nil, start.Add(10))
	require.Len(t, ended, 1)
	require.Equal(t, start.Add(2), ended[0].StartsAt)
	require.Equal(t, start.Add(10), ended[0].EndsAt)
	require.Equal(t, alert.RuleGone, ended[0].Reason)
	require.False(t, ended[0].Flapping)
}

// The value of the expression without its comparison is told rather than that of `clear`, where it is known.
func TestClearingValue(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   []alert.Input
		want alert.Reading
	}{
		{nil, alert.Reading{}},
		{[]alert.Input{says(alert.Exists, 5), says(alert.Clears, 6)}, alert.Reading{Value: 5, Known: true}},
		{[]alert.Input{says(alert.Clears, 6), says(alert.Exists, 5)}, alert.Reading{Value: 5, Known: true}},
		{[]alert.Input{says(alert.Clears, 6), says(alert.Exists, math.NaN())}, alert.Reading{Value: 6, Known: true}},
		{[]alert.Input{says(alert.Exists, math.NaN()), says(alert.Clears, 6)}, alert.Reading{Value: 6, Known: true}},
		{[]alert.Input{says(alert.Exists, math.NaN())}, alert.Reading{}},
	} {
		m := machine{}
		m.step(t, 0, input("a", 95))
		changes, err := alert.Step(&m.next, &m.now, tc.in, m.params, start.Add(time.Minute), nil)
		require.NoError(t, err)
		require.Equal(t, tc.want, changes[0].Clearing)
		require.Equal(t, time.Minute, changes[0].Duration)
		out := m.next.AppendDue(nil, alert.SendParams{}, start.Add(time.Minute))
		require.Equal(t, tc.want, out[0].Clearing)
		require.Equal(t, time.Minute, out[0].Duration)
	}
}

func TestResumeRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	a := labels.FromStrings("i", "a")
	good := alert.Alert{State: alert.Firing, Labels: a, FiredAt: start}
	for name, bad := range map[string][]alert.Alert{
		"state 7 is none":                        {{State: 7, Labels: a}},
		"basis 9 is none":                        {{State: alert.Firing, FiredAt: start, Basis: 9, Labels: a}},
		"reason 200 is none":                     {{State: alert.Firing, FiredAt: start, Reason: 200, Labels: a}},
		"it is inactive and the time of its end": {{Labels: a}},
		"it is pending and the time of its end":  {{State: alert.Pending, Labels: a, ResolvedAt: start}},
		"no time says since when":                {{State: alert.Firing, Labels: a}},
		"it is flapping without any change":      {{State: alert.Firing, FiredAt: start, Labels: a, Flap: &alert.Flap{Since: start}}},
		"and kept for flap detection alone":      {{State: alert.Firing, FiredAt: start, Labels: a, Flap: &alert.Flap{Kept: true}}},
		`alert {i="a"}: it stands there twice`:   {good, good},
	} {
		s := &alert.Set{}
		require.NoError(t, s.Resume([]alert.Alert{good}))
		require.ErrorContains(t, s.Resume(bad), name)
		require.Zero(t, s.Len())
	}
}

func TestReasonsHaveWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for r := alert.NoReason; r <= alert.DataBack; r++ {
		require.False(t, seen[r.String()])
		seen[r.String()] = true
		again, ok := alert.ParseReason(r.String())
		require.True(t, ok)
		require.Equal(t, r, again)
		require.Equal(t, r == alert.NoReason, r.Text() == "")
		require.NotContains(t, r.Word(), "_")
	}
	_, ok := alert.ParseReason("mood")
	require.False(t, ok)
	for b := alert.OnCondition; b <= alert.OnNoData; b++ {
		require.NotEmpty(t, b.String())
	}
}

// With the evidence as it is, nothing changes before the deadline, and something does at it.
func TestDeadlineOfExtendedRules(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	deadlines := 0
	for n := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, n))
		now, next := &alert.Set{}, &alert.Set{}
		for _, s := range randomStory(random, 40) {
			s.params.Limit = 0
			in := evidence(s.world, s.params)
			step := func(from *alert.Set, at time.Time) []alert.Transition {
				changes, err := alert.Step(next, from, in, s.params, at, nil)
				require.NoError(t, err)
				return changes
			}
			changes := step(now, s.at)
			now, next = next, now
			if slices.ContainsFunc(changes, func(c alert.Transition) bool { return c.Reason == alert.ForGrew }) {
				continue // As in Prometheus, what keep_firing_for held is pending now, and ends at the next step.
			}
			if at, ok := now.Deadline(s.params); !ok {
				require.Empty(t, step(now, s.at.Add(1000*time.Hour)))
			} else if at.After(s.at) {
				deadlines++
				require.Empty(t, step(now, at.Add(-1)), "story %d", n)
				require.NotEmpty(t, step(now, at), "story %d", n)
			}
		}
	}
	require.Greater(t, deadlines, 1000)
}

// As TestNoChangeAllocatesNothing, with everything switched on and alerts on every basis.
func TestNoChangeOfExtendedRulesAllocatesNothing(t *testing.T) {
	p := alert.Params{Hysteresis: true, Presence: true, OnMissing: alert.MissingIsNoData, Flap: alert.FlapParams{Transitions: 3, Within: 1000 * time.Hour}}
	var all, some []alert.Input
	for i := range 100 {
		in := input(fmt.Sprint(i), 1)
		all = append(all, in)
		switch i % 4 {
		case 0:
			some = append(some, in)
		case 1:
			in.Says = alert.Exists
			some = append(some, in)
		}
	}
	m := machine{params: p}
	at := start
	for i := range 10 { // Most flap by then.
		at = at.Add(time.Second)
		in := all
		if i%2 == 1 {
			in = nil
			for _, one := range all {
				one.Says = alert.Clears
				in = append(in, one)
			}
		}
		m.step(t, at.Sub(start), in...)
	}
	m.step(t, at.Sub(start)+1, all...)
	require.True(t, func() bool { a := m.now.At(0); return a.Flapping() }())
	var (
		changes []alert.Transition
		samples []alert.Sample
		due     []alert.Outgoing
		altered []alert.Alert
		gone    []labels.Labels
	)
	once := func() {
		at = at.Add(time.Second)
		if m.now.Lapsed(some, alert.Pending) {
			changes, _ = alert.Step(&m.next, &m.now, some, m.params, at, changes[:0])
		}
		samples = m.next.AppendSamples(samples[:0], "A", labels.EmptyLabels())
		due = m.next.AppendDue(due[:0], alert.SendParams{ResendDelay: time.Hour}, at)
		altered, gone = alert.Compare(&m.next, &m.now, altered[:0], gone[:0])
		m.now, m.next = m.next, m.now
	}
	for range 3 {
		once()
	}
	require.Zero(t, testing.AllocsPerRun(100, once))
	require.Empty(t, changes)
	require.Empty(t, altered)
	require.Empty(t, gone)
	require.Len(t, samples, 200)
}
