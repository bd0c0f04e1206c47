package chain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/sim"
)

// totals say what was checked.
type totals struct{ Moves, Told, Kills, Repeated, Prompt int }

// check compares what came of the story with the model, and with what is promised of delivery.
func (s *story) check(t *testing.T, sum *totals) {
	t.Helper()
	synctest.Wait()
	end := time.Now()
	history := s.history(t)
	for _, r := range modelRules {
		r.staleness = lookback
		for i := range series {
			name := alertName{r.name, fmt.Sprint(i)}
			moves := history[name]
			sum.Moves += len(moves)
			if err := r.explain(s.lives, s.samples[name.series], moves, end); err != nil {
				var lines []string
				for i := range moves {
					lines = append(lines, line(&moves[i]))
				}
				t.Fatalf("%v: %v\nrecorded:\n%s", name, err, strings.Join(lines, "\n"))
			}
			for _, receiver := range receivers {
				s.checkTold(t, receiver, name, moves, end, sum)
			}
		}
	}
	sum.Kills += len(s.lives) - 1
	for _, receiver := range receivers {
		s.checkOrder(t, receiver)
		s.checkRepetitions(t, receiver, sum)
	}
	waiting, err := s.p.ledger.Waiting()
	require.NoError(t, err)
	require.Empty(t, waiting, "something is still to be delivered")
	dead, err := s.p.ledger.Dead()
	require.NoError(t, err)
	require.Empty(t, dead)
}

// episode is one time that an alert fired; over is zero while it does.
type episode struct{ fired, over time.Time }

func episodes(moves []alert.Transition) (out []episode) {
	for _, m := range moves {
		switch {
		case m.To == alert.Firing && m.From != alert.Firing:
			out = append(out, episode{fired: m.At})
		case m.From == alert.Firing && m.To != alert.Firing:
			out[len(out)-1].over = m.At
		}
	}
	return out
}

// flushTime is how long it takes at most until a change is told to a receiver that works: the group's interval.
const flushTime = groupInterval + time.Second

// runs reports whether the process ran long enough between two times to tell of a change.
func (s *story) runs(from, to, end time.Time) bool {
	for i, life := range s.lives {
		ended := end
		if i < len(s.lives)-1 {
			ended = life.ended
		}
		began := life.began
		if began.Before(from) {
			began = from
		}
		if ended.After(to) {
			ended = to
		}
		if ended.Sub(began) > flushTime {
			return true
		}
	}
	return false
}

// backoff is how long it takes at most until a receiver that failed is asked again, or a disk that was full is written to.
const backoff = 25 * time.Second

// kept reports whether what there is to tell a receiver from one time to another is kept for later, or can be told at once.
// While the disk is full it is not: as in Alertmanager, a receiver that fails then never hears of what is over when it works
// again.
func (s *story) kept(receiver string, from, to time.Time) bool {
	if !overlaps(s.full, from, to) {
		return true
	}
	for at := from; at.Before(to.Add(-flushTime)); at = at.Add(time.Second) {
		if !overlaps(s.faulty[receiver], at, at.Add(flushTime)) {
			return true
		}
	}
	return false
}

// overlaps reports whether there was trouble between two times, or so shortly before that it may still be felt.
func overlaps(trouble []span, from, to time.Time) bool {
	return slices.ContainsFunc(trouble, func(f span) bool {
		return f.began.Before(to) && (f.ended.IsZero() || f.ended.Add(backoff).After(from))
	})
}

// checkTold looks whether a receiver was told of all episodes of an alert that lasted long enough: that it fired and that
// it ended; promptly, where both worked all the time.
func (s *story) checkTold(t *testing.T, receiver string, name alertName, moves []alert.Transition, end time.Time, sum *totals) {
	t.Helper()
	all := episodes(moves)
	known := false // Whether it may still be known as firing from the episode before: then nobody is told of the next.
	for i, e := range all {
		over, next := e.over, end
		if over.IsZero() {
			over = end
		}
		if i+1 < len(all) {
			next = all[i+1].fired
		}
		if !s.runs(e.fired, over, end) || !s.kept(receiver, e.fired, over) {
			known = true
			continue // It was over before anybody could be told.
		}
		if !known {
			s.requireTold(t, receiver, name, e, "firing", e.fired, sum)
		}
		if known = e.over.IsZero() || !s.runs(e.over, next, end) || !s.kept(receiver, e.over, next); !known {
			s.requireTold(t, receiver, name, e, "resolved", e.over, sum)
		}
	}
}

func (s *story) requireTold(t *testing.T, receiver string, name alertName, e episode, status string, since time.Time, sum *totals) {
	t.Helper()
	for _, r := range s.hooks[receiver].Requests() {
		if r.Status/100 != 2 {
			continue
		}
		for _, a := range r.Message.Alerts {
			if (alertName{a.Labels["alertname"], a.Labels["i"]}) != name || a.Status != status || a.StartsAt.Sub(e.fired).Abs() > time.Second {
				continue
			}
			sum.Told++
			if s.calm(receiver, since, since.Add(flushTime)) {
				sum.Prompt++
				require.Less(t, r.Received.Sub(since), flushTime, "%s was told late that %v was %s at %s", receiver, name, status, since.UTC().Format(stampFormat))
			}
			return
		}
	}
	t.Fatalf("%s was not told that %v, firing since %s, is %s at %s. What it was told:\n%s", receiver, name,
		e.fired.UTC().Format(stampFormat), status, since.UTC().Format(stampFormat), s.requests(receiver, name.rule))
}

// requests lists what a receiver was asked to take of a rule.
func (s *story) requests(receiver, rule string) string {
	var text strings.Builder
	for _, r := range s.hooks[receiver].Requests() {
		if r.Message.GroupLabels["alertname"] != rule {
			continue
		}
		fmt.Fprintf(&text, "%s %d:", r.Received.UTC().Format(stampFormat), r.Status)
		for _, a := range r.Message.Alerts {
			fmt.Fprintf(&text, " %s %s since %s", a.Labels["i"], a.Status, a.StartsAt.UTC().Format(stampFormat))
		}
		text.WriteString("\n")
	}
	return text.String()
}

// calm reports whether nothing was wrong with a receiver and the process between two times, and for a while before: a
// receiver that failed is asked again after a while.
func (s *story) calm(receiver string, from, to time.Time) bool {
	if overlaps(s.faulty[receiver], from, to) {
		return false
	}
	for _, l := range s.lives[1:] {
		if l.began.Before(to) && l.began.Add(backoff).After(from) {
			return false
		}
	}
	for _, l := range s.lives[:len(s.lives)-1] {
		if !l.ended.Before(from) && !l.ended.After(to) {
			return false
		}
	}
	return true
}

// checkOrder looks whether what a receiver was told of an alert never went back in time.
func (s *story) checkOrder(t *testing.T, receiver string) {
	t.Helper()
	last := map[alertName]sim.WebhookAlert{}
	for _, r := range s.accepted(receiver) {
		for _, a := range r.Message.Alerts {
			name := alertName{a.Labels["alertname"], a.Labels["i"]}
			was, ok := last[name]
			last[name] = a
			back := ok && (a.StartsAt.Before(was.StartsAt) || a.StartsAt.Equal(was.StartsAt) && was.Status == "resolved" && a.Status == "firing")
			require.False(t, back, "%s was told at %s that %v is %s since %s, and before that it was %s since %s", receiver,
				r.Received.UTC().Format(stampFormat), name, a.Status, a.StartsAt.UTC().Format(stampFormat), was.Status, was.StartsAt.UTC().Format(stampFormat))
		}
	}
}

func (s *story) accepted(receiver string) (out []sim.WebhookRequest) {
	for _, r := range s.hooks[receiver].Requests() {
		if r.Status/100 == 2 {
			out = append(out, r)
		}
	}
	return out
}

// checkRepetitions counts what a receiver was told twice in a row: once a crash at most, for each group.
func (s *story) checkRepetitions(t *testing.T, receiver string, sum *totals) {
	t.Helper()
	last := map[string]string{}
	repeated := map[string]int{}
	for _, r := range s.accepted(receiver) {
		news := newsOf(r.Message)
		if last[r.Message.GroupKey] == news {
			repeated[r.Message.GroupKey]++
			sum.Repeated++
		}
		last[r.Message.GroupKey] = news
	}
	for group, n := range repeated {
		require.LessOrEqual(t, n, len(s.lives)-1, "%s was told the same again and again of %s", receiver, group)
	}
}

func newsOf(m sim.WebhookMessage) string {
	var all []string
	for _, a := range m.Alerts {
		all = append(all, fmt.Sprint(a.Fingerprint, a.Status, a.StartsAt.UnixMilli()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
