package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// What is expected after any number of kills, for each alert:
//   - its transitions are a legal walk: each begins where the one before ended, with the same activeAt until it is over;
//   - a reason for each: it becomes pending only if its series may have been hot, fires no earlier than activeAt + for,
//     resolves only if the series may have cleared, and not before keep_firing_for is over;
//   - none is missing: whenever a group had evaluated all its rules at a time at which it is certain what the series
//     said, the alert was in the state that follows, firing ones included whose `for` was over;
//   - whoever was told of a firing or resolved alert was told what the ledger says, after the ledger did;
//   - of a firing alert people are told once more at most for each kill, and only if the message had been taken in the
//     moments before it;
//   - what fired while the process had time to tell was told, and what was told as firing was told as resolved.

const (
	// tellTime is what a process needs at most, while it is alive and tells of other alerts, to tell of one.
	tellTime = 2 * time.Second
	// doubtful is how long before a kill a message may have been taken without the process having got to note it.
	doubtful = time.Second
	// slot is by how much the time of an evaluation at a tick may differ from the tick's.
	slot = 5 * time.Millisecond
)

// judge compares the ledger, the series, the receiver and the lives of the process.
type judge struct {
	lives    []life
	ticks    map[string][]time.Time
	endsAt   time.Time
	alerts   []*suspect
	problems []problem

	transitions, firing, resolved, checked     int
	messages, told, repeated, repeatedResolved int
	latest                                     time.Duration // by how much a `for` was missed at most while the process lived
	firedOverKill                              int
	world                                      *world
}

// suspect is one alert and all that is known of it.
type suspect struct {
	*teller
	entries []ledger.Recorded // no marks
	heard   []heard
}

type problem struct {
	of   *suspect
	at   time.Time
	what string
}

func (j *judge) blame(s *suspect, at time.Time, format string, args ...any) {
	j.problems = append(j.problems, problem{s, at, fmt.Sprintf(format, args...)})
}

// judge reads the ledger of the stopped process and checks everything.
func (k *killing) judge(ticks map[string][]time.Time) *judge {
	k.t.Helper()
	k.checkLedger()
	j := &judge{lives: k.lives, ticks: ticks, endsAt: k.endsAt, world: k.world}
	byName := map[string]*suspect{}
	for _, s := range k.world.series {
		one := &suspect{teller: s}
		j.alerts, byName[s.name()] = append(j.alerts, one), one
	}
	l, err := ledger.Open(ledger.Options{Dir: k.ledgerDir()})
	require.NoError(k.t, err)
	defer l.Close()
	for q := (ledger.Query{OldestFirst: true, Limit: ledger.MaxLimit}); ; {
		page, err := l.History(context.Background(), q)
		require.NoError(k.t, err)
		for _, e := range page.Entries {
			s := byName[e.Labels.Get("alertname")+"/"+e.Labels.Get("id")]
			require.NotNil(k.t, s, "the ledger knows of an alert that none of the rules has: %s", e.Labels)
			if !e.Mark() {
				s.entries = append(s.entries, e)
				j.transitions++
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	for _, h := range hear(k.hook.Requests()) {
		s := byName[h.alert]
		require.NotNil(k.t, s, "the receiver heard of %s", h.alert)
		s.heard = append(s.heard, h)
		j.messages++
	}
	for _, s := range j.alerts {
		j.walk(s)
		j.atTicks(s)
		j.heardIsTrue(s)
		j.heardOnce(s)
		j.allIsHeard(s)
	}
	return j
}

// walk checks the transitions of one alert among themselves and against what the series said.
func (j *judge) walk(s *suspect) {
	log := s.said()
	was, activeAt, at := alert.Inactive, time.Time{}, time.Time{}
	for _, e := range s.entries {
		if e.From != was {
			j.blame(s, e.At, "a transition from %s follows one to %s: at least one is missing", e.From, was)
		}
		if e.At.Before(at) {
			j.blame(s, e.At, "a transition is older than the one before it")
		}
		if e.From != alert.Inactive && !e.ActiveAt.Equal(activeAt) {
			j.blame(s, e.At, "activeAt moved from %s to %s", clock(activeAt), clock(e.ActiveAt))
		}
		switch {
		case e.From == alert.Inactive:
			if !e.ActiveAt.Equal(e.At) {
				j.blame(s, e.At, "active since %s at its first evaluation", clock(e.ActiveAt))
			}
			if e.To == alert.Firing && s.kind.hold > 0 {
				j.blame(s, e.At, "fires at once although it has a `for`")
			}
			if !possibly(log, e.At, isHot) {
				j.blame(s, e.At, "becomes %s, and the series was not hot", e.To)
			}
		case e.To == alert.Firing:
			if e.At.Sub(e.ActiveAt) < s.kind.hold {
				j.blame(s, e.At, "fires %s after it became active", e.At.Sub(e.ActiveAt))
			}
			j.noteFor(s, e)
		case e.To == alert.Pending:
			j.blame(s, e.At, "becomes pending from %s", e.From)
		default:
			j.ends(s, e)
		}
		switch {
		case e.To == alert.Firing:
			j.firing++
		case e.Resolved():
			j.resolved++
		}
		was, activeAt, at = e.To, e.ActiveAt, e.At
	}
	if was != alert.Inactive {
		j.blame(s, at, "ended as %s", was)
	}
}

// ends checks a transition to inactive.
func (j *judge) ends(s *suspect, e ledger.Recorded) {
	log, over := s.said(), isNotHot
	if e.From == alert.Firing && s.kind.clears {
		over = isCold
	}
	if !possibly(log, e.At, over) || s.kind.steady && e.At.Before(j.endsAt) {
		j.blame(s, e.At, "ends (%s) although its series never cleared", e.Reason)
	}
	if e.From != alert.Firing || s.kind.keep == 0 {
		return
	}
	for _, t := range j.ticksWithin(s, e.At.Add(slot-s.kind.keep), e.At.Add(-slot)) {
		if surely(log, t, isHot) {
			j.blame(s, e.At, "resolves before its keep_firing_for is over: the series was hot at %s", clock(t))
			return
		}
	}
}

// noteFor notes how exact a `for` was, and whether a kill lay within it.
func (j *judge) noteFor(s *suspect, e ledger.Recorded) {
	due := e.ActiveAt.Add(s.kind.hold)
	over := false
	for _, l := range j.lives {
		over = over || l.ended.After(e.ActiveAt) && l.ended.Before(e.At)
		// It lived from before the moment until after the alert fired, had seen its first evaluations, and the series was there.
		if surely(s.said(), due, isHot) && !l.ready.IsZero() && l.ready.Add(2*time.Second).Before(due) && l.ended.After(e.At) {
			j.latest = max(j.latest, e.At.Sub(due))
		}
	}
	if over {
		j.firedOverKill++
	}
}

func (j *judge) ticksWithin(s *suspect, from, to time.Time) []time.Time {
	all := j.ticks[s.kind.grouped]
	a, _ := slices.BinarySearchFunc(all, from, time.Time.Compare)
	b, _ := slices.BinarySearchFunc(all, to, time.Time.Compare)
	return all[a:max(a, b)]
}

// state is what an alert was, and since when it was active, after its last transition up to t.
func (s *suspect) state(t time.Time) (alert.State, time.Time) {
	n, _ := slices.BinarySearchFunc(s.entries, t, func(e ledger.Recorded, t time.Time) int {
		if e.At.After(t) {
			return 1
		}
		return -1
	})
	if n == 0 {
		return alert.Inactive, time.Time{}
	}
	return s.entries[n-1].To, s.entries[n-1].ActiveAt
}

// atTicks checks the state at each time at which it is known that the rule was evaluated.
func (j *judge) atTicks(s *suspect) {
	for _, t := range j.ticks[s.kind.grouped] {
		before := j.expected(s, t, t)
		if before != "" { // The evaluation may bear a time just after the tick's.
			if after := j.expected(s, t, t.Add(slot)); after != "" {
				j.blame(s, t, "%s", before)
			}
		}
		j.checked++
	}
}

// expected says what is wrong with the state as of at, given what the series said at the tick t.
func (j *judge) expected(s *suspect, t, at time.Time) string {
	log := s.said()
	state, activeAt := s.state(at)
	switch {
	case surely(log, t, isHot):
		switch {
		case state == alert.Inactive:
			return "evaluated while the series was hot, and nothing became of it"
		case state == alert.Pending && t.Sub(activeAt) >= s.kind.hold:
			return fmt.Sprintf("evaluated %s after it became active, and pending still", t.Sub(activeAt))
		}
	case !surely(log, t, isNotHot):
	case state == alert.Pending:
		return "evaluated while the series was not hot, and pending still"
	case state != alert.Firing || s.kind.clears && !surely(log, t, isCold):
	case s.kind.keep == 0:
		return "evaluated while the series was cold, and firing still"
	case j.quiet(s, t):
		return "evaluated after keep_firing_for was over, and firing still"
	}
	return ""
}

// quiet reports whether the series has been cold up to the tick t since an evaluation that is longer ago than
// keep_firing_for.
func (j *judge) quiet(s *suspect, t time.Time) bool {
	log := s.said()
	earlier := j.ticksWithin(s, t.Add(-s.kind.keep-time.Minute), t.Add(-s.kind.keep-slot))
	if len(earlier) == 0 {
		return false
	}
	from := earlier[len(earlier)-1]
	if !surely(log, from, isNotHot) {
		return false
	}
	for i := len(log) - 1; i >= 0 && log[i].at.After(from); i-- {
		if isHot(log[i].value) && !log[i].at.After(t) {
			return false
		}
	}
	return true
}

func (j *judge) summary() string {
	return fmt.Sprintf("killed %d times; %d writes, %d refused, %d unanswered; %d transitions, %d firing (%d of them with a kill within their `for`), "+
		"%d resolved; %d states at ticks checked, a `for` was exact to %s while the process lived; %d messages, %d episodes told, "+
		"%d firing repeated, %d resolved repeated; %d problems",
		len(j.lives)-1, j.world.writes.Load(), j.world.refused.Load(), j.world.unanswered.Load(), j.transitions, j.firing, j.firedOverKill,
		j.resolved, j.checked, j.latest, j.messages, j.told, j.repeated, j.repeatedResolved, len(j.problems))
}

// report fails the test with the first problems, each with what happened around it.
func (j *judge) report(t *testing.T) {
	t.Helper()
	require.NotZero(t, j.firing, "no alert ever fired: the test shows nothing")
	require.NotZero(t, j.resolved)
	if j.latest > time.Second {
		t.Errorf("a `for` was exact to %s only", j.latest)
	}
	slices.SortStableFunc(j.problems, func(a, b problem) int { return a.at.Compare(b.at) })
	for i, p := range j.problems {
		if i == 5 {
			t.Errorf("and %d more", len(j.problems)-i)
			break
		}
		t.Errorf("%s at %s: %s\n%s", p.of.name(), clock(p.at), p.what, j.timeline(p.of, p.at.Add(-20*time.Second), p.at.Add(10*time.Second)))
	}
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// timeline is all that happened to one alert between two times.
func (j *judge) timeline(s *suspect, from, to time.Time) string {
	type event struct {
		at   time.Time
		what string
	}
	var events []event
	add := func(at time.Time, format string, args ...any) {
		if !at.Before(from) && !at.After(to) {
			events = append(events, event{at, fmt.Sprintf(format, args...)})
		}
	}
	for n, l := range j.lives {
		add(l.began, "---- run %d starts", n)
		add(l.ready, "---- run %d is ready", n)
		add(l.ended, "---- run %d is killed", n)
	}
	log := s.said()
	for i, v := range log {
		taken := "taken"
		if v.acked.IsZero() {
			taken = "not known to be taken"
		}
		if i == 0 || i == len(log)-1 || v.value != log[i-1].value || v.acked.IsZero() != log[i-1].acked.IsZero() {
			add(v.at, "series says %g, %s", v.value, taken)
		}
	}
	for _, e := range s.entries {
		add(e.At, "ledger: %s -> %s (%s), active since %s, value %g", e.From, e.To, e.Reason, clock(e.ActiveAt), e.Value)
		for _, d := range e.Deliveries {
			add(d.At, "ledger: delivery of the transition at %s: attempt %d, %s, %s", clock(e.At), d.Attempt, d.Outcome, d.Answer)
		}
	}
	for _, h := range s.heard {
		add(h.at, "receiver: %s, starts %s, ends %s", h.status, clock(h.starts), clock(h.ends))
	}
	for _, t := range j.ticksWithin(s, from, to) {
		add(t, "tick of %s", s.kind.grouped)
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Or(a.at.Compare(b.at)) })
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "    %s  %s\n", clock(e.at), e.what)
	}
	return b.String()
}
