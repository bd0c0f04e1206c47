package explain

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
)

// whyNot says of each rule why it has no alert that the question asks for.
func (s *session) whyNot() {
	for i := range s.rules {
		if i == s.limits().Instances {
			s.cut("of %d rules of this name, %d are explained; name file and group to choose", len(s.rules), i)
			break
		}
		f := &s.rules[i]
		y := &WhyNot{Rule: s.ref(f), Labels: []string{}}
		for _, m := range s.q.Matchers {
			y.Labels = append(y.Labels, m.String())
		}
		if y.Cause = s.beforehand(f); y.Cause == nil {
			s.evaluate(y, f)
		}
		y.Text = y.Cause.Text
		y.Notes = append(y.Notes, notes(f.status.Rule)...)
		s.out.WhyNot = append(s.out.WhyNot, y)
	}
}

// waiting says of pending alerts that they do not fire yet.
func (s *session) waiting(in *Instance) *WhyNot {
	c := &Cause{Code: Waiting, Expr: in.Rule.Query}
	c.Text = "still pending: holds since " + clock(*in.ActiveAt)
	if in.FiresAt != nil {
		c.Text += fmt.Sprintf(", needs %s, fires at %s", span(in.FiresAt.Sub(*in.ActiveAt)), clock(*in.FiresAt))
		if !in.FiresAt.After(s.at) {
			c.Text += ", which the next evaluation will see"
		}
	}
	return &WhyNot{Rule: in.Rule, Labels: []string{}, Text: c.Text, Cause: c}
}

// beforehand says what can be told without looking at samples.
func (s *session) beforehand(f *found) *Cause {
	r := f.status.Rule
	for _, m := range s.q.Matchers {
		own := r.Labels.Get(m.Name)
		if m.Name == labels.AlertName {
			own = r.Name
		}
		if r.Labels.Has(m.Name) && alert.IsTemplate(own) || own == "" {
			continue
		}
		if !m.Matches(own) {
			return &Cause{Code: RuleLabel, Text: fmt.Sprintf("the rule gives its alerts the label %s=%q, so that none of them has %s", m.Name, own, m)}
		}
	}
	switch {
	case !r.Plan.Evaluable():
		return &Cause{Code: Failing, Expr: r.Plan.String(), Text: "rule's evaluation fails: its expression is a " + r.Plan.ResultType() + ", and only an instant vector or a scalar can be a rule's result"}
	case s.past:
		return nil
	case f.status.Health == engine.HealthBad:
		return &Cause{Code: Failing, Expr: r.Plan.String(), Text: "rule's evaluation fails: " + f.status.LastError}
	case f.status.LastEvaluation.IsZero():
		return &Cause{Code: NotEvaluated, Expr: r.Plan.String(), Text: "rule never evaluated yet: its group's first evaluation comes within " + span(f.group.Interval)}
	}
	return nil
}

// evaluate looks for the first sub-expression that is empty or false.
func (s *session) evaluate(y *WhyNot, f *found) {
	r, at := f.status.Rule, s.at.Add(-f.group.QueryOffset)
	y.EvaluatedAt = when(at)
	var asked []*labels.Matcher
	for _, m := range s.q.Matchers {
		switch own := r.Labels.Get(m.Name); {
		case m.Name == labels.AlertName:
		case !r.Labels.Has(m.Name):
			asked = append(asked, m)
		case alert.IsTemplate(own):
			y.Notes = append(y.Notes, fmt.Sprintf("the rule makes the label %s by a template, so that %s was not looked at", m.Name, m))
		}
	}
	on, w, root := onMatchers(asked), s.walker(), r.Plan.Parts()
	y.Expression = w.tree(root, at, on, at)
	v := w.value(root, at)
	mine := v.belonging(on)
	switch {
	case v.err != nil:
		y.Cause = &Cause{Code: Failing, Expr: root.Text, Text: "rule's evaluation fails: " + v.err.Error()}
	case len(mine) > 0:
		y.Cause = &Cause{Code: Holds, Expr: root.Text, Elements: s.shown(mine), Text: s.holds(f, braces(mine[0].Metric), worthText(&mine[0]))}
	case v.scalar != nil && on.has(labels.EmptyLabels()):
		y.Cause = &Cause{Code: Holds, Expr: root.Text, Text: s.holds(f, "the expression", number(*v.scalar))}
	default:
		y.Cause = w.cause(root, at, on)
	}
	s.presence(y, r, w, at, on)
}

// holds says that the condition holds and yet no alert is active.
func (s *session) holds(f *found, what, value string) string {
	text := fmt.Sprintf("the condition holds at %s: %s = %s", clock(s.at), what, value)
	switch {
	case s.past:
		return text + ", and no alert is known to have been active then"
	case f.group.Limit > 0:
		return text + fmt.Sprintf("; the group allows %s a rule, and the last evaluation was at %s", plural(f.group.Limit, "alert"), clock(f.status.LastEvaluation))
	}
	return text + "; the last evaluation, at " + clock(f.status.LastEvaluation) + ", has not seen it, the next one will"
}

// presence says whether the series are there, of rules for which that makes a difference.
func (s *session) presence(y *WhyNot, r *rule.Rule, w *walker, at time.Time, on focus) {
	if r.Present == nil {
		return
	}
	v := w.value(r.Present.Parts(), at)
	if v.err != nil {
		return
	}
	switch mine := v.belonging(on); {
	case len(mine) == 0:
		y.Notes = append(y.Notes, "its series is missing; an alert that was active when it disappeared would "+missingText(r.OnMissing))
	default:
		y.Notes = append(y.Notes, fmt.Sprintf("its series is there: %s = %s", braces(mine[0].Metric), worthText(&mine[0])))
	}
}

func missingText(m alert.OnMissing) string {
	switch m {
	case alert.MissingHolds:
		return "stay what it was (on_missing: hold)"
	case alert.MissingFires:
		return "go on, as if its condition held (on_missing: fire)"
	case alert.MissingIsNoData:
		return "stay what it was, marked as without data (on_missing: nodata)"
	}
	return "resolve"
}

// notes say what else decides the rule's alerts.
func notes(r *rule.Rule) []string {
	var out []string
	if r.Clear != nil {
		out = append(out, "hysteresis: once it fires, it resolves only when this holds: "+r.Clear.String())
	}
	if r.Flap.Transitions > 0 {
		out = append(out, fmt.Sprintf("flapping: it is muted after more than %d changes within %s", r.Flap.Transitions, span(r.Flap.Within)))
	}
	if t := r.Thresholds; t != nil {
		out = append(out, fmt.Sprintf("thresholds: a table of %d rows, %s %s for what no row matches", len(t.Rows), t.Op, number(t.Default)))
	}
	return out
}

// answer is the answer in one sentence.
func (s *session) answer() string {
	if len(s.out.Instances) == 0 {
		if len(s.out.WhyNot) == 0 {
			return s.q.Name + ": nothing is known"
		}
		y := s.out.WhyNot[0]
		return fmt.Sprintf("%s %s: %s.", s.subject(), s.doesNot(), y.Text) + more(len(s.out.WhyNot)-1, "more rule of this name", "more rules of this name")
	}
	in := s.out.Instances[0]
	name := s.q.Name + shortLabels(in.Labels)
	tail := more(len(s.out.Instances)-1, "more alert is active", "more alerts are active")
	switch {
	case s.recalled && in.State != alert.Inactive.String():
		text := fmt.Sprintf("%s is not active, and the ledger has it as %s since %s", name, in.State, clock(*in.ActiveAt))
		if len(s.out.WhyNot) > 0 {
			text += ". Now: " + s.out.WhyNot[0].Text
		}
		return text + "."
	case in.State == alert.Firing.String():
		return fmt.Sprintf("%s %s%s.", name, s.fires(in), in.because()) + tail
	case in.State == alert.Pending.String():
		text := fmt.Sprintf("%s is pending, not firing: its condition holds since %s%s", name, clock(*in.ActiveAt), in.because())
		if in.FiresAt != nil {
			text += fmt.Sprintf("; it needs %s and fires at %s if it goes on", span(in.FiresAt.Sub(*in.ActiveAt)), clock(*in.FiresAt))
		}
		return text + "." + tail
	}
	text := name + " is not active"
	if s.past {
		text = name + " was not active at " + clock(s.at)
	}
	switch {
	case in.FiredAt != nil && in.ResolvedAt != nil:
		text += fmt.Sprintf("; it last fired from %s to %s (%s)%s", clock(*in.FiredAt), clock(*in.ResolvedAt), span(in.ResolvedAt.Sub(*in.FiredAt)), in.because())
	case in.ActiveAt != nil:
		text += "; it was pending from " + clock(*in.ActiveAt) + " and did not fire"
	}
	if len(s.out.WhyNot) > 0 {
		text += ". Now: " + s.out.WhyNot[0].Text
	}
	return text + "."
}

func (s *session) fires(in *Instance) string {
	switch {
	case s.past && in.FiredAt == nil:
		return "was firing at " + clock(s.at)
	case s.past:
		return "was firing at " + clock(s.at) + ", since " + clock(*in.FiredAt)
	case in.FiredAt == nil:
		return "is firing"
	}
	return fmt.Sprintf("is firing since %s (%s)", clock(*in.FiredAt), span(s.at.Sub(*in.FiredAt)))
}

func (s *session) doesNot() string {
	if s.past {
		return "was not firing at " + clock(s.at)
	}
	return "is not firing"
}

// subject names what was asked about.
func (s *session) subject() string {
	if len(s.q.Matchers) == 0 {
		return s.q.Name
	}
	return s.q.Name + matcherList(s.q.Matchers)
}

// shortLabels are an alert's labels without its name.
func shortLabels(ls labels.Labels) string {
	rest := labels.NewBuilder(ls).Del(labels.AlertName).Labels()
	if rest.IsEmpty() {
		return ""
	}
	return rest.String()
}

// because is the comparison that made an alert active.
func (in *Instance) because() string {
	for _, t := range in.Thresholds {
		if t.Holds {
			return fmt.Sprintf(": %s %s %s", t.Value, t.Op, t.Threshold)
		}
	}
	if in.FiredValue != "" {
		return ": its value was " + in.FiredValue
	}
	return ": its value is " + in.Value
}

func more(n int, one, many string) string {
	switch {
	case n <= 0:
		return ""
	case n == 1:
		return " 1 " + one + "."
	}
	return fmt.Sprintf(" %d %s.", n, many)
}
