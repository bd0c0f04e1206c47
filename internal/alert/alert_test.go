package alert_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

func nopLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

var start = time.Unix(1_700_000_000, 0).UTC()

func input(instance string, v float64) alert.Input {
	return alert.Input{Labels: labels.FromStrings("alertname", "A", "instance", instance), Value: v}
}

// machine keeps the two sets for a test.
type machine struct {
	now, next alert.Set
	params    alert.Params
}

func (m *machine) step(t *testing.T, at time.Duration, in ...alert.Input) []string {
	t.Helper()
	changes, err := alert.Step(&m.next, &m.now, in, m.params, start.Add(at), nil)
	require.NoError(t, err)
	m.now, m.next = m.next, m.now
	return names(changes)
}

func names(changes []alert.Transition) []string {
	var out []string
	for _, c := range changes {
		out = append(out, fmt.Sprintf("%s: %s>%s", c.Labels.Get("instance"), c.From, c.To))
	}
	return out
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{For: time.Minute, KeepFiringFor: 2 * time.Minute}}
	for _, tc := range []struct {
		at   time.Duration
		in   []alert.Input
		want []string
	}{
		{0, []alert.Input{input("a", 1)}, []string{"a: inactive>pending"}},
		{30 * time.Second, []alert.Input{input("b", 1), input("a", 1)}, []string{"b: inactive>pending"}},
		{60 * time.Second, []alert.Input{input("a", 1)}, []string{"a: pending>firing", "b: pending>inactive"}},
		{61 * time.Second, nil, nil}, // Held by KeepFiringFor.
		{180 * time.Second, nil, nil},
		{181 * time.Second, nil, []string{"a: firing>inactive"}},
		{200 * time.Second, []alert.Input{input("a", 1)}, []string{"a: inactive>pending"}},
	} {
		require.Equal(t, tc.want, m.step(t, tc.at, tc.in...), "at %s", tc.at)
	}
	m.params.For = 0
	require.Equal(t, []string{"a: pending>firing", "c: inactive>firing"}, m.step(t, 201*time.Second, input("c", 1), input("a", 1)))
	m.params.For = time.Hour
	require.Equal(t, []string{"a: firing>pending", "c: firing>pending"}, m.step(t, 202*time.Second, input("c", 1), input("a", 1)))
}

func TestResolvedIsRemembered(t *testing.T) {
	t.Parallel()
	m := machine{}
	m.step(t, 0, input("a", 1))
	m.step(t, time.Minute)
	m.step(t, time.Minute+alert.ResolvedRetention)
	require.Equal(t, 1, m.now.Len())
	require.Empty(t, m.now.AppendActive(nil))
	m.step(t, time.Minute+alert.ResolvedRetention+1)
	require.Zero(t, m.now.Len())
}

func TestErrorsLeaveADefinedState(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{Limit: 2}}
	m.step(t, 0, input("a", 1), input("b", 2))

	changes, err := alert.Step(&m.next, &m.now, []alert.Input{input("a", 7), input("a", 8)}, m.params, start.Add(time.Minute), nil)
	require.ErrorIs(t, err, alert.ErrDuplicateLabelSet)
	require.Empty(t, changes)
	require.Equal(t, 2, m.next.Len())
	require.Equal(t, m.now.At(0), m.next.At(0), "a half-done step must not show")

	earlier := []alert.Transition{{Rule: "kept"}}
	changes, err = alert.Step(&m.next, &m.now, []alert.Input{input("a", 1), input("b", 1), input("c", 1)}, m.params, start.Add(time.Minute), earlier)
	var limit *alert.LimitError
	require.ErrorAs(t, err, &limit)
	require.Equal(t, alert.LimitError{Limit: 2, Active: 3}, *limit)
	require.Equal(t, "kept", changes[0].Rule)
	require.Equal(t, []string{"a: firing>inactive", "b: firing>inactive"}, names(changes[1:]))
	require.Zero(t, m.next.Len())
	require.Equal(t, 2, m.now.Len(), "the previous state is only read")
}

func TestNeedsSending(t *testing.T) {
	t.Parallel()
	p := alert.SendParams{ResendDelay: time.Minute, Interval: 15 * time.Second}
	for name, tc := range map[string]struct {
		alert alert.Alert
		want  bool
	}{
		"pending":                {alert.Alert{State: alert.Pending}, false},
		"never sent":             {alert.Alert{State: alert.Firing}, true},
		"sent just now":          {alert.Alert{State: alert.Firing, LastSentAt: start.Add(-time.Second)}, false},
		"exactly the delay ago":  {alert.Alert{State: alert.Firing, LastSentAt: start.Add(-time.Minute)}, false},
		"longer ago":             {alert.Alert{State: alert.Firing, LastSentAt: start.Add(-time.Minute - 1)}, true},
		"resolved since":         {alert.Alert{LastSentAt: start.Add(-time.Second), ResolvedAt: start}, true},
		"resolved and sent":      {alert.Alert{LastSentAt: start, ResolvedAt: start}, false},
		"resolved, repeat again": {alert.Alert{LastSentAt: start.Add(-time.Hour), ResolvedAt: start.Add(-2 * time.Hour)}, true},
	} {
		require.Equal(t, tc.want, alert.NeedsSending(&tc.alert, p, start), name)
	}
	require.Equal(t, start.Add(4*time.Minute), alert.ValidUntil(p, start))
	p.Interval = time.Hour
	require.Equal(t, start.Add(4*time.Hour), alert.ValidUntil(p, start))
}

func TestEndedAlertsAreSentOnce(t *testing.T) {
	t.Parallel()
	m := machine{params: alert.Params{For: time.Minute}}
	m.step(t, 0, input("fires", 1))
	m.step(t, time.Minute, input("fires", 1), input("pends", 1))
	require.Empty(t, m.now.AppendEnded(nil, start), "nobody was told yet")
	require.Len(t, m.now.AppendDue(nil, alert.SendParams{}, start.Add(time.Minute)), 1)
	end := start.Add(2 * time.Minute)
	ended := m.now.AppendEnded(nil, end)
	require.Len(t, ended, 1)
	require.Equal(t, end, ended[0].EndsAt)
	require.Equal(t, start.Add(time.Minute), ended[0].StartsAt)
	require.Equal(t, []string{"fires: firing>inactive", "pends: pending>inactive"}, names(m.now.AppendDropped(nil, end)))
	require.Equal(t, alert.Firing, m.now.State(), "the set itself stays as it is")
}

func TestRestoredActiveAt(t *testing.T) {
	t.Parallel()
	const hold, grace = time.Hour, 10 * time.Minute
	active := start
	for name, tc := range map[string]struct {
		down, now, want time.Duration
	}{
		"was firing":                 {61 * time.Minute, 90 * time.Minute, 0},
		"fired just then":            {60 * time.Minute, 90 * time.Minute, 0},
		"nearly through":             {55 * time.Minute, 90 * time.Minute, 90*time.Minute + grace - hold},
		"long to go: outage is free": {20 * time.Minute, 50 * time.Minute, 30 * time.Minute},
		"exactly the grace to go":    {50 * time.Minute, 60 * time.Minute, 10 * time.Minute},
	} {
		r := alert.Remembered{At: active.Add(tc.down), ActiveAt: active}
		require.Equal(t, active.Add(tc.want), alert.RestoredActiveAt(r, hold, grace, start.Add(tc.now)), name)
	}
}

func TestEmptyExpansionRecordsTheTemplate(t *testing.T) {
	t.Parallel()
	m := machine{}
	m.step(t, 0, input("a", 1))
	ruleLabels := labels.FromStrings("team", "{{ $labels.team }}", "severity", "page")
	samples := m.now.AppendSamples(nil, "A", ruleLabels)
	require.Len(t, samples, 2)
	require.Equal(t, `{__name__="ALERTS", alertname="A", alertstate="firing", instance="a", severity="page", team="{{ $labels.team }}"}`, samples[0].Labels.String())
	require.Equal(t, 1.0, samples[0].Value)
	require.Equal(t, alert.ForStateMetricName, samples[1].Labels.Get(model.MetricNameLabel))
	require.Equal(t, float64(start.Unix()), samples[1].Value)

	var matchers []string
	for _, m := range alert.ForStateMatchers("A", ruleLabels) {
		matchers = append(matchers, m.String())
	}
	require.Equal(t, []string{`__name__="ALERTS_FOR_STATE"`, `alertname="A"`, `severity="page"`}, matchers)
}

// What does not change costs no memory: sets, samples and transitions live in the caller's buffers.
func TestNoChangeAllocatesNothing(t *testing.T) {
	var in []alert.Input
	for i := range 100 {
		in = append(in, input(fmt.Sprint(i), 1))
	}
	var m machine
	m.step(t, 0, in...)
	m.step(t, 1, in...)
	var samples []alert.Sample
	var changes []alert.Transition
	at := start
	once := func() {
		at = at.Add(time.Second)
		changes, _ = alert.Step(&m.next, &m.now, in, m.params, at, changes[:0])
		samples = m.next.AppendSamples(samples[:0], "A", labels.EmptyLabels())
		m.now, m.next = m.next, m.now
	}
	for range 3 {
		once()
	}
	require.Zero(t, testing.AllocsPerRun(100, once))
	require.Empty(t, changes)
	require.Len(t, samples, 200)
}

func BenchmarkStepNoChange(b *testing.B) {
	var in []alert.Input
	for i := range 1000 {
		in = append(in, input(fmt.Sprint(i), 1))
	}
	var now, next alert.Set
	var changes []alert.Transition
	at := start
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Second)
		changes, _ = alert.Step(&next, &now, in, alert.Params{}, at, changes[:0])
		now, next = next, now
	}
}
