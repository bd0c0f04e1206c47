package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// instances finds the alerts that the question is about: those that are active and, where none is, one of the past.
func (s *session) instances() error {
	known := s.x.o.History != nil
	if !s.past || !known {
		s.activeNow()
	}
	if len(s.out.Instances) > 0 || !known {
		return nil
	}
	s.recalled = !s.past
	return s.fromLedger()
}

// activeNow takes the alerts that the rules have, as long as they were active at the time of the question.
func (s *session) activeNow() {
	left := 0
	for i := range s.rules {
		f := &s.rules[i]
		for j := range f.status.Alerts {
			a := &f.status.Alerts[j]
			if a.State == alert.Inactive || !s.matches(a.Labels) || a.ActiveAt.After(s.at) {
				continue
			}
			if len(s.out.Instances) >= s.limits().Instances {
				left++
				continue
			}
			s.out.Instances = append(s.out.Instances, s.active(f, a))
		}
	}
	if left > 0 {
		s.cut("%d alerts are explained, %d more are active; name labels to choose", len(s.out.Instances), left)
	}
}

func (s *session) matches(ls labels.Labels) bool {
	for _, m := range s.q.Matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// anyActive reports whether some instance is firing or pending. Now, only the rules know.
func (s *session) anyActive() bool {
	return !s.recalled && slices.ContainsFunc(s.out.Instances, func(in *Instance) bool { return in.State != alert.Inactive.String() })
}

// active explains an alert that a rule has.
func (s *session) active(f *found, a *alert.Alert) *Instance {
	r := f.status.Rule
	in := &Instance{
		Rule: s.ref(f), Labels: a.Labels, Annotations: a.Annotations, State: a.State.String(), Basis: a.Basis.String(),
		Reason: a.Reason.String(), ReasonText: a.Reason.Text(), ActiveAt: when(a.ActiveAt), FiredAt: when(a.FiredAt),
		KeepFiringSince: when(a.KeepFiringSince), MissingSince: when(a.MissingSince), Value: number(a.Value),
		Flapping: a.Flapping(), NoData: a.NoData(), Thresholds: []Threshold{}, Transitions: []Transition{},
	}
	if text := basisText(a); text != "" {
		in.Notes = append(in.Notes, text)
	}
	if in.Flapping {
		in.Notes = append(in.Notes, fmt.Sprintf("it has been flapping%s, and its repeats are muted until it is calm", since(a.Flap.Since)))
	}
	if f.status.LastError != "" {
		in.Notes = append(in.Notes, "the rule's evaluation fails at present, and the alert stays what it was: "+f.status.LastError)
	}
	at := a.FiredAt
	if a.State == alert.Pending {
		in.FiresAt = when(a.ActiveAt.Add(r.For))
		at = s.at
		if last := f.status.LastEvaluation; !last.IsZero() && last.Before(at) {
			at = last
		}
	}
	if at.IsZero() {
		at = a.ActiveAt
	}
	p := r.Plan
	entries := s.transitions(f.group.File, f.group.Name, a.Labels)
	if fired := firedEntry(entries, a.FiredAt); a.State == alert.Firing && fired != nil {
		in.FiredValue, in.LatencySeconds = number(fired.Value), fired.Latency.Seconds()
		p = s.version(in, r, &fired.Entry)
	}
	s.record(in, entries)
	s.show(in, p, r, at.Add(-f.group.QueryOffset))
	if r.Clear != nil && p == r.Plan {
		t := s.at.Add(-f.group.QueryOffset)
		w := s.walker()
		in.Clear = w.tree(r.Clear.Parts(), t, w.belonging(r.Clear.Parts(), t, a.Labels, r), in.evaluatedAt())
	}
	return in
}

func (in *Instance) evaluatedAt() time.Time {
	if in.EvaluatedAt == nil {
		return time.Time{}
	}
	return *in.EvaluatedAt
}

// transitions are the ledger's about an alert, newest first.
func (s *session) transitions(file, group string, ls labels.Labels) []ledger.Recorded {
	if s.x.o.History == nil {
		return nil
	}
	q := ledger.Query{File: file, Group: group, Rule: s.q.Name, Until: s.at, Limit: ledger.DefaultLimit}
	ls.Range(func(l labels.Label) { q.Matchers = append(q.Matchers, equals(l.Name, l.Value)) })
	page, err := s.x.o.History(s.ctx, q)
	if err != nil {
		s.cut("the ledger could not be read: %v", err)
		return nil
	}
	return slices.DeleteFunc(page.Entries, func(e ledger.Recorded) bool { return !labels.Equal(e.Labels, ls) })
}

// firedEntry is the newest transition to firing; at, where it is known, is when that was.
func firedEntry(entries []ledger.Recorded, at time.Time) *ledger.Recorded {
	for i := range entries {
		e := &entries[i]
		if e.To == alert.Firing && e.From != alert.Firing && (at.IsZero() || e.At.UnixMilli() == at.UnixMilli()) {
			return e
		}
	}
	return nil
}

// version returns the plan that a transition was made by, and notes where the rule has changed since. r may be nil.
func (s *session) version(in *Instance, r *rule.Rule, e *ledger.Entry) *plan.Plan {
	if r != nil && (e.RuleID == r.ID || e.Expr == "") {
		return r.Plan
	}
	p, err := s.x.o.Compiler.Compile(e.Expr)
	switch {
	case e.Expr == "" || err != nil:
		in.Notes = append(in.Notes, "the expression of that time is not known")
		return nil
	case r == nil:
		in.Notes = append(in.Notes, "there is no such rule any more; what is shown is version "+e.RuleID+" of it")
	default:
		in.Notes = append(in.Notes, fmt.Sprintf("the rule has changed since: it was version %s then, with %s, and is version %s now", e.RuleID, e.Expr, r.ID))
	}
	return p
}

// record gives in the ledger's transitions.
func (s *session) record(in *Instance, entries []ledger.Recorded) {
	n := min(len(entries), s.limits().Transitions)
	if n < len(entries) {
		s.cut("the last %d transitions of an alert are shown; /api/v1/history has them all", n)
	}
	for i := range entries[:n] {
		e := &entries[i]
		t := Transition{
			At: e.At.UTC(), From: e.From.String(), To: e.To.String(), Reason: e.Reason.String(), Value: number(e.Value),
			Threshold: e.Threshold, RuleID: e.RuleID, Latency: e.Latency.Seconds(), Deliveries: []Delivery{},
		}
		for _, d := range e.Deliveries {
			t.Deliveries = append(t.Deliveries, Delivery{
				At: d.At.UTC(), Receiver: d.Receiver, Integration: fmt.Sprintf("%s[%d]", d.Integration, d.Index), Attempt: d.Attempt,
				Outcome: string(d.Outcome), Answer: d.Answer, Latency: d.Latency.Seconds(), GroupKey: d.GroupKey,
			})
		}
		in.Transitions = append(in.Transitions, t)
	}
}

// show evaluates the expression for an alert. r may be nil.
func (s *session) show(in *Instance, p *plan.Plan, r *rule.Rule, at time.Time) {
	if p == nil {
		return
	}
	in.EvaluatedAt = when(at)
	w, root := s.walker(), p.Parts()
	f := w.belonging(root, at, in.Labels, r)
	in.Expression = w.tree(root, at, f, at)
	in.Thresholds = w.thresholds(root, at, f)
	if r != nil && r.Thresholds != nil && p == r.Plan {
		in.Notes = append(in.Notes, fmt.Sprintf("its threshold comes from a table: %s %s", r.Thresholds.Op, number(r.Thresholds.Of(in.Labels))))
	}
	if n := in.Expression; n.Belonging == 0 && n.Scalar == "" && n.Error == "" {
		in.Notes = append(in.Notes, fmt.Sprintf("evaluated again for %s, the expression does not return this alert: samples came later, "+
			"were out of order or are deleted by now, or the alert goes on for another reason", clock(at)))
	}
}

// belonging is the focus on the elements of the whole expression that make an alert. The rule's labels, which take the
// place of theirs, are not looked at; where the rule is not known or was another, neither are other labels of the alert.
func (w *walker) belonging(root *plan.Part, at time.Time, ls labels.Labels, r *rule.Rule) focus {
	own := []string{labels.AlertName}
	if r != nil {
		r.Labels.Range(func(l labels.Label) { own = append(own, l.Name) })
	}
	f := onLabels(ls).without(own...)
	v := w.value(root, at)
	if len(v.belonging(f)) > 0 {
		return f
	}
	for _, e := range v.elements {
		other := onLabels(e.Metric)
		if within(other, ls) {
			return other
		}
	}
	return f
}

// within reports whether an alert's labels have all that f wants.
func within(f focus, ls labels.Labels) bool {
	f.closed = false
	return f.has(ls)
}

// tell asks the notification pipeline about each instance.
func (s *session) tell() {
	if s.x.o.Told == nil {
		return
	}
	for _, in := range s.out.Instances {
		told, err := s.x.o.Told(s.ctx, in.Labels)
		if err != nil {
			in.Notes = append(in.Notes, "who is told is not known: "+err.Error())
			continue
		}
		in.Told = told
	}
}
