package alert_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d: run again with TOCSIN_TEST_SEED=%d", seed, seed)
	return seed
}

// evidence is what an engine would find out about the series and pass on.
func evidence(world map[string]reading, p alert.Params) []alert.Input {
	var in []alert.Input
	for _, name := range slices.Sorted(keys(world)) {
		r, i := world[name], alert.Input{Labels: labels.FromStrings("i", name)}
		if r.holds() {
			in = append(in, alert.Input{Labels: i.Labels, Annotations: annotations, Value: r.v})
		}
		if p.Hysteresis && r.clears() {
			in = append(in, alert.Input{Labels: i.Labels, Value: r.v, Says: alert.Clears})
		}
		if p.Presence && r.there {
			in = append(in, alert.Input{Labels: i.Labels, Value: r.v, Says: alert.Exists})
		}
	}
	return in
}

func randomRule(r *rand.Rand) alert.Params {
	p := alert.Params{
		For:           time.Duration(max(0, r.IntN(5)-2)) * 20 * time.Second,
		KeepFiringFor: time.Duration(max(0, r.IntN(5)-2)) * 25 * time.Second,
		Hysteresis:    r.IntN(2) == 0,
		Presence:      r.IntN(4) > 0,
		OnMissing:     alert.OnMissing(r.IntN(4)),
	}
	if r.IntN(2) == 0 {
		p.Flap = alert.FlapParams{Transitions: 1 + r.IntN(4), Within: time.Duration(1+r.IntN(40)) * time.Minute / 2}
	}
	if r.IntN(6) == 0 {
		p.Limit = 1 + r.IntN(3)
	}
	return p
}

// moment is one step of a random story.
type moment struct {
	at      time.Time
	world   map[string]reading
	params  alert.Params
	restart bool
}

func randomStory(r *rand.Rand, n int) []moment {
	var out []moment
	p, now := randomRule(r), time.Unix(1_700_000_000, 0).UTC()
	world := map[string]reading{}
	for range n {
		for i := range 4 {
			if name := string(rune('a' + i)); r.IntN(3) == 0 || !world[name].there && r.IntN(2) == 0 {
				value := [...]float64{95, 91, 80, 75, 60, 10, math.NaN()}[r.IntN(7)]
				world[name] = reading{there: r.IntN(4) > 0, v: value}
			}
		}
		if r.IntN(20) == 0 {
			p = randomRule(r)
		}
		p.Settling = r.IntN(10) == 0
		m := moment{at: now, params: p, world: map[string]reading{}, restart: r.IntN(8) == 0}
		for k, v := range world {
			m.world[k] = v
		}
		out = append(out, m)
		switch r.IntN(15) {
		case 0:
			now = now.Add(time.Duration(r.IntN(25)) * time.Minute)
		case 1:
			now = now.Add(-time.Duration(r.IntN(90)) * time.Second)
		default:
			now = now.Add(time.Duration(5+r.IntN(20)) * time.Second)
		}
	}
	return out
}

// TestStepIsTheModel plays random stories of series, rules that change and restarts to Step and to the reference model.
func TestStepIsTheModel(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	seen := map[string]int{}
	for i := range uint64(600) {
		playStory(t, randomStory(rand.New(rand.NewPCG(seed, i)), 80), seen)
		if t.Failed() {
			t.Fatalf("story %d", i)
		}
	}
	for r := alert.Condition; r <= alert.DataBack; r++ {
		if r != alert.RuleGone {
			require.Greater(t, seen[r.String()], 20, "the stories hardly ever come to %q", r)
		}
	}
	require.Greater(t, seen["flapping ended"], 20)
}

// FuzzExtended plays stories that the fuzzer writes.
func FuzzExtended(f *testing.F) {
	f.Add([]byte("\x04\x02\x00\x01\x0f\x0f\x0f\x00\x0f\x00\x00\x0f"))
	f.Add([]byte("\x10\x10\x03\x02\xff\x07\x81\x00\x42\x99\x17\x00\x00\xf0\x01\x02\x03\x04\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			t.Skip("long stories find nothing that short ones do not")
		}
		playStory(t, randomStory(rand.New(&byteSource{data: data}), len(data)/2), map[string]int{})
	})
}

func playStory(t *testing.T, story []moment, seen map[string]int) {
	send := alert.SendParams{ResendDelay: time.Minute, Interval: 15 * time.Second}
	m := &reference{send: send, all: map[string]*referenceAlert{}}
	now, next := &alert.Set{}, &alert.Set{}
	copyOf := map[string]alert.Alert{} // what a durable store would hold
	for i, s := range story {
		if s.restart {
			now, next = restarted(t, now, copyOf), &alert.Set{}
		}
		m.params = s.params
		wantErr := m.step(s.world, s.at)
		in := evidence(s.world, s.params)
		requireLapsed(t, now, in)
		changes, err := alert.Step(next, now, in, s.params, s.at, nil)
		if wantErr != nil {
			require.EqualError(t, err, wantErr.Error(), "step %d", i)
		} else {
			require.NoError(t, err)
		}
		var due []alert.Outgoing
		if err == nil {
			due = next.AppendDue(nil, send, s.at)
		}
		follow(copyOf, next, now)
		now, next = next, now
		told, sent := lines(changes, due, seen)
		require.Equal(t, m.told, told, "step %d of %+v at %s", i, s.params, s.at)
		require.Equal(t, m.sent, sent, "step %d of %+v at %s", i, s.params, s.at)
		require.Equal(t, m.alerts(), setLines(now), "step %d of %+v at %s", i, s.params, s.at)
	}
}

// restarted returns the set of a process that found the stored copy. That it goes on as it would have is seen by what
// comes after.
func restarted(t *testing.T, s *alert.Set, stored map[string]alert.Alert) *alert.Set {
	var all []alert.Alert
	for _, a := range s.Snapshot(nil) { // The order is the set's; what is stored has none.
		kept, ok := stored[a.Labels.Get("i")]
		require.True(t, ok)
		kept.Value, kept.Annotations = a.Value, a.Annotations // Not followed: they are new at every evaluation.
		// Whether it was told is followed, when it was last repeated is not.
		require.Equal(t, a.LastSentAt.IsZero(), kept.LastSentAt.IsZero())
		require.Equal(t, a.ResolvedAt.After(a.LastSentAt), kept.ResolvedAt.After(kept.LastSentAt))
		require.Equal(t, a.MissingSince.After(a.LastSentAt), kept.MissingSince.After(kept.LastSentAt))
		kept.LastSentAt, kept.ValidUntil = a.LastSentAt, a.ValidUntil
		all = append(all, kept)
	}
	require.Len(t, stored, len(all))
	text, err := json.Marshal(all)
	require.NoError(t, err)
	var read []alert.Alert
	require.NoError(t, json.Unmarshal(text, &read))
	out := &alert.Set{}
	require.NoError(t, out.Resume(read))
	require.Equal(t, all, out.Snapshot(nil))
	return out
}

// follow keeps a copy by what Compare says.
func follow(stored map[string]alert.Alert, next, prev *alert.Set) {
	changed, gone := alert.Compare(next, prev, nil, nil)
	for _, ls := range gone {
		delete(stored, ls.Get("i"))
	}
	for _, a := range changed {
		stored[a.Labels.Get("i")] = a
	}
}

// requireLapsed holds Lapsed to what the model is about to see: an active alert that does not hold.
func requireLapsed(t *testing.T, s *alert.Set, in []alert.Input) {
	holds := map[string]bool{}
	for _, i := range in {
		if i.Says == alert.Holds {
			holds[i.Labels.Get("i")] = true
		}
	}
	want := false
	for _, a := range s.AppendActive(nil) {
		want = want || !holds[a.Labels.Get("i")]
	}
	require.Equal(t, want, s.Lapsed(in, alert.Pending))
}

func show(r alert.Reading) string {
	if !r.Known {
		return ""
	}
	return fmt.Sprint(r.Value)
}

func lines(changes []alert.Transition, due []alert.Outgoing, seen map[string]int) (told, sent []string) {
	for _, c := range changes {
		seen[c.Reason.String()]++
		if c.Mark() && c.To == alert.Inactive && c.Reason == alert.Calm {
			seen["flapping ended"]++
		}
		told = append(told, fmt.Sprint(c.Labels.Get("i"), ": ", c.From, ">", c.To, " ", c.Reason, " [", show(c.Clearing), "] ", c.Duration, " ", c.Flapping))
	}
	for _, o := range due {
		name := o.Labels.Get("i")
		switch {
		case o.Flapping:
			sent = append(sent, fmt.Sprint(name, " flapping since ", stamp(o.StartsAt), " until ", stamp(o.EndsAt)))
		case o.Reason >= alert.Cleared:
			sent = append(sent, fmt.Sprint(name, " ended ", stamp(o.EndsAt), " [", show(o.Clearing), "] ", o.Duration))
		default:
			sent = append(sent, fmt.Sprint(name, " firing since ", stamp(o.StartsAt), " until ", stamp(o.EndsAt), " ", o.NoData))
		}
	}
	slices.Sort(told)
	slices.Sort(sent)
	return told, sent
}

func setLines(s *alert.Set) []string {
	var out []string
	for i := range s.Len() {
		a := s.At(i)
		out = append(out, fmt.Sprint(a.Labels.Get("i"), " ", a.State, " ", a.Basis, " ", a.Value,
			stamp(a.ActiveAt), stamp(a.FiredAt), stamp(a.ResolvedAt), stamp(a.LastSentAt), stamp(a.MissingSince), " ", a.Flapping(), a.Flap != nil && a.Flap.Kept))
	}
	slices.Sort(out)
	return out
}

// What is over because the rule is gone is what people may have heard of, and nothing else.
func TestRetire(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	end := at.Add(time.Minute)
	of := func(name string, a alert.Alert) alert.Alert {
		a.Labels, a.ActiveAt = labels.FromStrings("i", name), at
		return a
	}
	flap := &alert.Flap{Changes: []time.Time{at}, Since: at.Add(time.Second)}
	var s alert.Set
	require.NoError(t, s.Resume([]alert.Alert{
		of("pending", alert.Alert{State: alert.Pending}),
		of("firing", alert.Alert{State: alert.Firing, FiredAt: at, Basis: alert.OnNoData, MissingSince: at, LastSentAt: at}),
		of("resolved", alert.Alert{FiredAt: at, ResolvedAt: at, Reason: alert.Cleared, LastSentAt: at}),
		of("flapping and pending", alert.Alert{State: alert.Pending, Flap: flap, LastSentAt: at}),
		of("flapping and over", alert.Alert{FiredAt: at, ResolvedAt: at, Flap: flap, LastSentAt: at}),
		of("kept", alert.Alert{ResolvedAt: at, Flap: &alert.Flap{Changes: []time.Time{at}, Kept: true}}),
	}))
	var before alert.Set
	before.CopyFrom(&s)
	s.Retire(end)
	var got []string
	for _, a := range s.Snapshot(nil) {
		require.Equal(t, alert.Inactive, a.State)
		got = append(got, fmt.Sprint(a.Labels.Get("i"), " ", a.Reason, " ", a.FiredAt.Sub(at), " ", a.ResolvedAt.Sub(at), a.Flap == nil, a.MissingSince.IsZero(), a.Basis))
	}
	require.Equal(t, []string{
		"firing rule_gone 0s 1m0s true true condition",
		"resolved cleared 0s 0s true true condition",
		"flapping and pending rule_gone 1s 1m0s true true condition",
		"flapping and over rule_gone 1s 1m0s true true condition",
	}, got)
	require.NoError(t, new(alert.Set).Resume(s.Snapshot(nil)), "a ledger may keep it")

	told := before.AppendEnded(nil, end)
	again := s.AppendDue(nil, alert.SendParams{ResendDelay: -1000 * time.Hour}, end)
	again = slices.DeleteFunc(again, func(o alert.Outgoing) bool { return o.Reason == alert.Cleared })
	require.Equal(t, told, again, "what is told after a crash is what was told before it")
}

// A process that was down for long remembers for as long as any other what it has told of.
func TestRemember(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0).UTC()
	over := alert.Alert{Labels: labels.FromStrings("i", "1"), ActiveAt: at, FiredAt: at, ResolvedAt: at, LastSentAt: at}
	var was, next alert.Set
	require.NoError(t, was.Resume([]alert.Alert{over}))
	back := at.Add(time.Hour)
	p := alert.Params{Remember: back.Add(alert.ResolvedRetention)}
	for _, after := range []time.Duration{0, alert.ResolvedRetention - 1} {
		_, err := alert.Step(&next, &was, nil, p, back.Add(after), nil)
		require.NoError(t, err)
		require.Equal(t, 1, next.Len())
	}
	_, err := alert.Step(&next, &was, nil, p, p.Remember, nil)
	require.NoError(t, err)
	require.Zero(t, next.Len())
}
