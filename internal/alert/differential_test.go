package alert_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// script is one history of one rule: what its expression returned when, and how the rule changed. Both
// implementations play it.
type script struct {
	params      alert.Params
	resendDelay time.Duration
	interval    time.Duration
	steps       []step
}

type step struct {
	at time.Time
	// result is the expression's; fails says that it had an error instead.
	result promql.Vector
	fails  bool
	// change replaces the rule before the step.
	change *alert.Params
}

// observed is all that the outside sees of a step.
type observed struct {
	Err     string
	Alerts  []string
	Samples []string
	Sent    []string
}

// The rule's labels hide "hidden" from its samples: two that differ only there are duplicates.
var (
	ruleName    = "Alert"
	ruleLabels  = labels.FromStrings("severity", "page", "hidden", "constant")
	annotations = labels.FromStrings("note", "constant")
)

func TestStepIsPrometheus(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for i := range uint64(150) {
		compare(t, randomScript(rand.New(rand.NewPCG(seed, i)), 60))
		if t.Failed() {
			t.Fatalf("seed %d, script %d", seed, i)
		}
	}
}

// FuzzStep plays scripts that the fuzzer writes against Prometheus.
func FuzzStep(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x04\x02\x00\x01\x0f\x0f\x0f\x00\x0f\x00\x00\x0f"))
	f.Add([]byte("\x10\x10\x03\x02\xff\x07\x81\x00\x42\x99\x17\x00\x00\xf0\x01\x02\x03\x04\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			t.Skip("long scripts find nothing that short ones do not")
		}
		compare(t, randomScript(rand.New(&byteSource{data: data}), len(data)/2))
	})
}

func compare(t *testing.T, s script) {
	t.Helper()
	ours, theirs := playOurs(s), playPrometheus(t, s)
	for i := range s.steps {
		if !assertEqual(t, theirs[i], ours[i]) {
			t.Fatalf("step %d of %d at %s, params %+v, interval %s, resend %s", i, len(s.steps), s.steps[i].at, s.params, s.interval, s.resendDelay)
		}
	}
}

func assertEqual(t *testing.T, want, got observed) bool {
	t.Helper()
	if slices.Equal(want.Alerts, got.Alerts) && slices.Equal(want.Samples, got.Samples) && slices.Equal(want.Sent, got.Sent) && want.Err == got.Err {
		return true
	}
	t.Errorf("Prometheus:\n%+v\nours:\n%+v", want, got)
	return false
}

func randomScript(r *rand.Rand, n int) script {
	s := script{
		params:      randomParams(r),
		resendDelay: time.Duration(r.IntN(4)) * 30 * time.Second,
		interval:    time.Duration(1+r.IntN(4)) * 15 * time.Second,
	}
	now := time.Unix(1_700_000_000, 0).UTC()
	for range n {
		st := step{at: now, fails: r.IntN(20) == 0}
		for series := range 6 {
			if r.IntN(3) == 0 {
				continue
			}
			st.result = append(st.result, promql.Sample{
				Metric: labels.FromStrings(model.MetricNameLabel, "m", "series", fmt.Sprint(series/2)+map[int]string{0: "", 1: "b"}[series%2]),
				F:      float64(r.IntN(5)),
			})
		}
		if r.IntN(25) == 0 && len(st.result) > 0 { // A duplicate once the rule's labels are applied.
			twin := st.result[0]
			twin.Metric = labels.NewBuilder(twin.Metric).Set("hidden", "differs").Labels()
			st.result = append(st.result, twin)
		}
		if r.IntN(3) == 0 {
			st.result = nil
		}
		if r.IntN(15) == 0 {
			p := randomParams(r)
			st.change = &p
		}
		s.steps = append(s.steps, st)
		switch r.IntN(12) {
		case 0: // A gap, at times longer than the retention.
			now = now.Add(time.Duration(r.IntN(25)) * time.Minute)
		case 1: // The clock is set back.
			now = now.Add(-time.Duration(r.IntN(90)) * time.Second)
		default:
			now = now.Add(s.interval)
		}
	}
	return s
}

func randomParams(r *rand.Rand) alert.Params {
	return alert.Params{
		For:           time.Duration(r.IntN(5)) * 30 * time.Second,
		KeepFiringFor: time.Duration(max(0, r.IntN(6)-2)) * 30 * time.Second,
		Limit:         max(0, r.IntN(8)-2),
	}
}

func playOurs(s script) []observed {
	var seen []observed
	now, next := &alert.Set{}, &alert.Set{}
	params := s.params
	states := map[string]alert.State{}
	for _, st := range s.steps {
		if st.change != nil {
			params = *st.change
		}
		var o observed
		if st.fails {
			o.Err = "query failed"
		} else {
			changes, err := alert.Step(next, now, inputs(st.result), params, st.at, nil)
			if err != nil {
				o.Err = err.Error()
			} else {
				for _, smpl := range next.AppendSamples(nil, ruleName, ruleLabels) {
					o.Samples = append(o.Samples, fmt.Sprint(smpl.Labels, st.at.UnixMilli(), smpl.Value))
				}
				for _, out := range next.AppendDue(nil, alert.SendParams{ResendDelay: s.resendDelay, Interval: s.interval}, st.at) {
					o.Sent = append(o.Sent, fmt.Sprint(out.Labels, out.Annotations, stamp(out.StartsAt), stamp(out.EndsAt)))
				}
			}
			checkTransitions(states, changes, next)
			now, next = next, now
		}
		for i := range now.Len() {
			a := now.At(i)
			o.Alerts = append(o.Alerts, describe(a.State.String(), a.Labels, a.Annotations, a.Value,
				a.ActiveAt, a.FiredAt, a.ResolvedAt, a.LastSentAt, a.ValidUntil, a.KeepFiringSince))
		}
		seen = append(seen, o.sorted())
	}
	return seen
}

// checkTransitions applies changes to states and panics when the result is not what set says: every change of state
// must be told once.
func checkTransitions(states map[string]alert.State, changes []alert.Transition, set *alert.Set) {
	for _, c := range changes {
		key := c.Labels.String()
		if c.From == c.To || states[key] != c.From {
			panic(fmt.Sprintf("transition %+v, but the alert was %s", c, states[key]))
		}
		states[key] = c.To
	}
	actual := map[string]alert.State{}
	for i := range set.Len() {
		actual[set.At(i).Labels.String()] = set.At(i).State
	}
	for key, state := range states {
		if actual[key] != state {
			panic(fmt.Sprintf("%s is %s, transitions say %s", key, actual[key], state))
		}
	}
	for key, state := range actual {
		if states[key] != state {
			panic(fmt.Sprintf("%s is %s, transitions say %s", key, state, states[key]))
		}
	}
}

func inputs(result promql.Vector) []alert.Input {
	var in []alert.Input
	for _, smpl := range result {
		lb := labels.NewBuilder(smpl.Metric).Del(model.MetricNameLabel)
		ruleLabels.Range(func(l labels.Label) { lb.Set(l.Name, l.Value) })
		in = append(in, alert.Input{Labels: lb.Set(labels.AlertName, ruleName).Labels(), Annotations: annotations, Value: smpl.F})
	}
	return in
}

func playPrometheus(t *testing.T, s script) []observed {
	var (
		seen    []observed
		current step
		o       observed
		app     = &appender{}
	)
	opts := &rules.ManagerOptions{
		Context:     context.Background(),
		Appendable:  appendable{app},
		ResendDelay: s.resendDelay,
		QueryFunc: func(context.Context, string, time.Time) (promql.Vector, error) {
			if current.fails {
				return nil, errors.New("query failed")
			}
			return slices.Clone(current.result), nil
		},
		NotifyFunc: func(_ context.Context, _ string, alerts ...*rules.Alert) {
			for _, a := range alerts {
				ends := a.ValidUntil
				if !a.ResolvedAt.IsZero() {
					ends = a.ResolvedAt
				}
				o.Sent = append(o.Sent, fmt.Sprint(a.Labels, a.Annotations, stamp(a.FiredAt), stamp(ends)))
			}
		},
		Metrics: rules.NewGroupMetrics(nil),
	}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr("m")
	require.NoError(t, err)
	load := func(p alert.Params) *rules.Group {
		ar := rules.NewAlertingRule(ruleName, expr, p.For, p.KeepFiringFor, ruleLabels, annotations, labels.EmptyLabels(), "", true, nopLogger())
		return rules.NewGroup(rules.GroupOptions{Name: "g", File: "f", Interval: s.interval, Limit: p.Limit, Rules: []rules.Rule{ar}, Opts: opts})
	}
	group := load(s.params)
	for _, st := range s.steps {
		if st.change != nil {
			successor := load(*st.change)
			successor.CopyState(group)
			group = successor
		}
		current, o, app.samples = st, observed{}, nil
		group.Eval(context.Background(), st.at)
		ar := group.Rules()[0].(*rules.AlertingRule)
		if err := ar.LastError(); err != nil {
			o.Err = err.Error()
		}
		o.Samples = app.samples
		ar.ForEachActiveAlert(func(a *rules.Alert) {
			o.Alerts = append(o.Alerts, describe(a.State.String(), a.Labels, a.Annotations, a.Value,
				a.ActiveAt, a.FiredAt, a.ResolvedAt, a.LastSentAt, a.ValidUntil, a.KeepFiringSince))
		})
		seen = append(seen, o.sorted())
	}
	return seen
}

func describe(state string, ls, annotations labels.Labels, value float64, times ...time.Time) string {
	text := fmt.Sprint(state, ls, annotations, value)
	for _, at := range times {
		text += " " + stamp(at)
	}
	return text
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.UTC().Format(time.TimeOnly)
}

func (o observed) sorted() observed {
	slices.Sort(o.Alerts)
	slices.Sort(o.Samples)
	slices.Sort(o.Sent)
	return o
}

// appender notes samples, stale markers apart: those are not Step's matter. It accepts every one of them.
type appender struct {
	storage.Appender
	samples []string
}

type appendable struct{ *appender }

func (a appendable) Appender(context.Context) storage.Appender { return a.appender }

func (*appender) SetOptions(*storage.AppendOptions) {}
func (*appender) Commit() error                     { return nil }
func (*appender) Rollback() error                   { return nil }

func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, at int64, v float64) (storage.SeriesRef, error) {
	if !value.IsStaleNaN(v) {
		a.samples = append(a.samples, fmt.Sprint(ls, at, v))
	}
	return 0, nil
}

func (*appender) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, errors.New("not expected here")
}

func (*appender) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, errors.New("not expected here")
}

// byteSource draws from data and, when that is used up, gives zeros and then counts, so that every draw ends.
type byteSource struct {
	data []byte
	n    uint64
}

func (b *byteSource) Uint64() uint64 {
	if len(b.data) == 0 {
		b.n += math.MaxUint64 / 251
		return b.n
	}
	v := uint64(b.data[0]) * 0x0101010101010101
	b.data = b.data[1:]
	return v
}
