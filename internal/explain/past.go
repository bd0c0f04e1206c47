package explain

import (
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// lifeline is the transitions of one alert, newest first.
type lifeline struct {
	key     string
	entries []ledger.Recorded
}

// fromLedger finds the alerts that were active at the time of the question and, where none was, the one that was last.
func (s *session) fromLedger() error {
	q := ledger.Query{File: s.q.File, Group: s.q.Group, Rule: s.q.Name, Matchers: s.q.Matchers, Until: s.at, Limit: ledger.MaxLimit}
	page, err := s.x.o.History(s.ctx, q)
	if err != nil {
		s.cut("the ledger could not be read: %v", err)
		return nil
	}
	if page.Next != "" {
		s.cut("the last %d transitions of the rule were looked at for alerts of the past", len(page.Entries))
	}
	var lines []*lifeline
	at := map[string]*lifeline{}
	for _, e := range page.Entries {
		key := fmt.Sprintf("%q %q %s", e.File, e.Group, e.Labels)
		if at[key] == nil {
			at[key] = &lifeline{key: key}
			lines = append(lines, at[key])
		}
		at[key].entries = append(at[key].entries, e)
	}
	if s.past {
		left := 0
		for _, l := range lines {
			switch {
			case l.entries[0].To == alert.Inactive:
			case len(s.out.Instances) >= s.limits().Instances:
				left++
			default:
				s.out.Instances = append(s.out.Instances, s.pastInstance(l))
			}
		}
		if left > 0 {
			s.cut("%d alerts are explained, %d more were active; name labels to choose", len(s.out.Instances), left)
		}
	}
	if len(s.out.Instances) > 0 || s.q.WhyNot || len(lines) == 0 {
		return nil
	}
	best := lines[0]
	for _, l := range lines { // Newest first: the first that ever fired.
		if firedEntry(l.entries, time.Time{}) != nil {
			best = l
			break
		}
	}
	s.out.Instances = append(s.out.Instances, s.pastInstance(best))
	if n := len(lines) - 1; n > 0 {
		s.cut("the alert that was active last is explained, %d more were active before; name labels to choose", n)
	}
	return nil
}

// pastInstance explains an alert by its transitions.
func (s *session) pastInstance(l *lifeline) *Instance {
	newest := &l.entries[0]
	in := &Instance{
		Labels: newest.Labels, Annotations: newest.Annotations, State: newest.To.String(), Reason: newest.Reason.String(),
		ReasonText: newest.Reason.Text(), ActiveAt: when(newest.ActiveAt), Value: number(newest.Value), Flapping: newest.Flapping,
		Thresholds: []Threshold{}, Transitions: []Transition{},
		Rule: RuleRef{File: newest.File, Group: newest.Group, Name: newest.Rule, ID: newest.RuleID, Query: newest.Expr},
	}
	f := s.ruleOf(newest)
	if f != nil {
		in.Rule = s.ref(f)
	}
	in.Rule.ID = newest.RuleID
	// What made it fire or, where it never did, what made it pending.
	decided := newest
	if newest.To == alert.Inactive {
		in.ResolvedAt = when(newest.At)
		if newest.Clearing.Known {
			in.Clearing = number(newest.Clearing.Value)
		}
	} else if f != nil && !s.past {
		in.Notes = append(in.Notes, "the ledger has it as "+in.State+", and the rule does not have it active")
	}
	if fired := firedEntry(l.entries, time.Time{}); fired != nil && (newest.To != alert.Pending) {
		decided = fired
		in.FiredAt, in.FiredValue, in.ActiveAt = when(fired.At), number(fired.Value), when(fired.ActiveAt)
		in.LatencySeconds, in.Rule.ID = fired.Latency.Seconds(), fired.RuleID
	} else {
		for i := range l.entries {
			if l.entries[i].To == alert.Pending {
				decided = &l.entries[i]
				break
			}
		}
	}
	if newest.To == alert.Pending && f != nil {
		in.FiresAt = when(newest.ActiveAt.Add(f.status.Rule.For))
	}
	in.Rule.Query = decided.Expr
	s.record(in, l.entries)
	var offset time.Duration
	if f == nil {
		s.show(in, s.version(in, nil, &decided.Entry), nil, decided.At)
		return in
	}
	offset = f.group.QueryOffset
	s.show(in, s.version(in, f.status.Rule, &decided.Entry), f.status.Rule, decided.At.Add(-offset))
	return in
}

// ruleOf finds the rule of a transition, of whatever version; nil where it is gone.
func (s *session) ruleOf(e *ledger.Recorded) *found {
	var best *found
	for i := range s.rules {
		f := &s.rules[i]
		if f.group.File == e.File && f.group.Name == e.Group && (best == nil || f.status.Rule.ID == e.RuleID) {
			best = f
		}
	}
	return best
}
