package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// width is how many columns the text for people takes, where words allow it.
const width = 100

// page collects lines.
type page struct{ b strings.Builder }

// WriteText writes a for people. The first line is the answer.
func (a *Answer) WriteText(w io.Writer) error {
	p := &page{}
	p.b.WriteString(plain(a.Answer) + "\n") // One line, however long.
	for _, in := range a.Instances {
		p.instance(in, a.Time)
	}
	for _, y := range a.WhyNot {
		if y.Cause.Code != Waiting { // The first line says all there is.
			p.whyNot(y)
		}
	}
	if len(a.Cuts) > 0 {
		p.head("Left out")
		for _, c := range a.Cuts {
			p.line(2, 4, c)
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// line writes text, wrapped between words: the first line after first blanks, the others after rest.
func (p *page) line(first, rest int, text string) {
	indent := first
	text = plain(text)
	for {
		text = strings.TrimLeft(text, " ")
		cut := len(text)
		if utf8.RuneCountInString(text) > width-indent {
			if at := strings.LastIndex(prefix(text, width-indent), " "); at > 0 {
				cut = at
			} else if at := strings.Index(text, " "); at > 0 {
				cut = at // A word that is longer than a line has one of its own.
			}
		}
		p.b.WriteString(strings.Repeat(" ", indent) + strings.TrimRight(text[:cut], " ") + "\n")
		text = text[cut:]
		if strings.TrimSpace(text) == "" {
			return
		}
		indent = rest
	}
}

// prefix returns the first n runes of text, and one more, so that a blank behind them is seen.
func prefix(text string, n int) string {
	for i := range text {
		if n < 0 {
			return text[:i]
		}
		n--
	}
	return text
}

func (p *page) head(text string) { p.b.WriteString("\n" + plain(text) + "\n") }

// plain keeps what others wrote from breaking lines or controlling the terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, text)
}

// item writes a labelled line.
func (p *page) item(name, text string) { p.line(2, 16, fmt.Sprintf("%-14s", name)+text) }

func (p *page) rule(r *RuleRef) {
	at := r.File
	if r.Line > 0 {
		at += fmt.Sprintf(":%d", r.Line)
	}
	p.item("rule", fmt.Sprintf("%s in group %s, %s", r.Name, r.Group, at))
	version := r.ID
	if r.LoadedAt != nil {
		version += ", in a file loaded at " + clock(*r.LoadedAt)
	}
	p.item("version", version)
	if r.Condition != "" {
		p.item("condition", strings.Join(strings.Fields(r.Condition), " "))
	}
	p.item("expression", r.Query)
	if r.ForSeconds > 0 {
		p.item("for", span(seconds(r.ForSeconds)))
	}
	if r.KeepFiringForSeconds > 0 {
		p.item("keeps firing", "for "+span(seconds(r.KeepFiringForSeconds)))
	}
	if r.Clear != "" {
		p.item("clears when", r.Clear)
	}
	if r.OnMissing != "" {
		p.item("on_missing", r.OnMissing)
	}
	if r.LastEvaluation != nil {
		p.item("evaluated", fmt.Sprintf("last at %s, in %s", clock(*r.LastEvaluation), span(seconds(r.EvaluationSeconds))))
	}
	if r.LastError != "" {
		p.item("fails", r.LastError)
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (p *page) instance(in *Instance, now time.Time) {
	p.head("Alert " + in.Labels.String())
	p.rule(&in.Rule)
	state := in.State
	if in.ReasonText != "" {
		state += ": " + in.ReasonText
	}
	p.item("state", state)
	for _, t := range []struct {
		name string
		at   *time.Time
	}{{"active since", in.ActiveAt}, {"fired at", in.FiredAt}, {"fires at", in.FiresAt}, {"resolved at", in.ResolvedAt}} {
		if t.at != nil {
			p.item(t.name, clock(*t.at)+away(now, *t.at))
		}
	}
	p.values(in)
	if in.LatencySeconds > 0 {
		p.item("latency", span(seconds(in.LatencySeconds))+" from the sample's arrival, or the tick, to the end of the evaluation that made it fire")
	}
	in.Annotations.Range(func(l labels.Label) { p.item(l.Name, strings.Join(strings.Fields(l.Value), " ")) })
	for _, n := range in.Notes {
		p.line(2, 4, "! "+n)
	}
	if in.Expression != nil {
		p.head("Why, at " + clock(*in.EvaluatedAt))
		p.node(in.Expression, 2)
	}
	if in.Clear != nil {
		p.head("What would clear it")
		p.node(in.Clear, 2)
	}
	p.told(in.Told)
	p.transitions(in.Transitions)
}

// away says how far a time is from now.
func away(now, t time.Time) string {
	if d := t.Sub(now); d > 0 {
		return ", in " + span(d)
	}
	return ", " + span(now.Sub(t)) + " ago"
}

func (p *page) values(in *Instance) {
	var words []string
	if in.FiredValue != "" {
		words = append(words, in.FiredValue+" when it fired")
	}
	switch {
	case in.State != "inactive":
		words = append(words, in.Value+" at the last evaluation that returned it")
	case in.Clearing != "":
		words = append(words, in.Clearing+" in the end")
	}
	if len(words) > 0 {
		p.item("value", strings.Join(words, ", "))
	}
	for _, t := range in.Thresholds {
		verdict := "holds"
		if !t.Holds {
			verdict = "is false"
		}
		p.item("threshold", fmt.Sprintf("%s %s %s %s", t.Value, t.Op, t.Threshold, verdict))
	}
}

func (p *page) whyNot(y *WhyNot) {
	title := "Why not"
	if y.EvaluatedAt != nil {
		title += ", at " + clock(*y.EvaluatedAt)
	}
	p.head(title)
	p.rule(&y.Rule)
	p.cause(y.Cause, 2)
	for _, n := range y.Notes {
		p.line(2, 4, "! "+n)
	}
	if y.Expression != nil {
		p.head("What each part is worth")
		p.node(y.Expression, 2)
	}
}

func (p *page) cause(c *Cause, indent int) {
	p.line(indent, indent+4, fmt.Sprintf("✗ %s (%s)", c.Text, c.Code))
	for _, f := range c.Further {
		if f.Text != "" && !strings.Contains(c.Text, f.Text) || len(c.Further) > 1 {
			p.cause(f, min(indent+2, 20))
		}
	}
}

// node writes a sub-expression with its values, and what is below it.
func (p *page) node(n *Node, indent int) {
	indent = min(indent, 40)
	text := n.Expr
	switch {
	case n.Scalar != "":
		text += "  = " + n.Scalar
	case n.Error != "":
		text += "  fails: " + n.Error
	case n.Kind == "range selector" || n.Kind == "subquery":
	case n.Total == 0:
		text += "  is empty"
	case n.Belonging == 0:
		text += fmt.Sprintf("  has %s, none of them for this alert", plural(n.Total, "element"))
	case n.Belonging < n.Total:
		text += fmt.Sprintf("  %d of %s", n.Belonging, plural(n.Total, "element"))
	}
	if n.At != nil {
		text += "  at " + clock(*n.At)
	}
	p.line(indent, indent+4, text)
	for _, w := range n.Warnings {
		p.line(indent+2, indent+6, "! "+w)
	}
	if !(n.Kind == "selector" && n.Window != nil && len(n.Window.Series) > 0) { // The samples show it.
		for _, e := range n.Elements {
			p.line(indent+2, indent+6, fmt.Sprintf("= %s%s", e.Value+e.Histogram, of(e.Labels)))
		}
		if n.Belonging > len(n.Elements) && len(n.Elements) > 0 {
			p.line(indent+2, indent+6, fmt.Sprintf("  and %d more", n.Belonging-len(n.Elements)))
		}
	}
	if n.Window != nil {
		p.window(n.Window, indent+2)
	}
	for _, c := range n.Children {
		p.node(c, indent+2)
	}
}

func of(ls labels.Labels) string {
	if ls.IsEmpty() {
		return ""
	}
	return "  " + braces(ls)
}

func (p *page) window(w *Window, indent int) {
	if len(w.Series) == 0 {
		p.line(indent, indent+4, fmt.Sprintf("no samples after %s up to %s", clock(w.From), clock(w.To)))
		return
	}
	for _, s := range w.Series {
		count := plural(s.SampleCount, "sample")
		if n := len(s.Samples); n < s.SampleCount {
			count += fmt.Sprintf(", the last %d", n)
		}
		p.line(indent, indent+4, fmt.Sprintf("· %s  %s up to %s:", braces(s.Labels), count, clock(w.To)))
		var texts []string
		for _, v := range slices.Backward(s.Samples) { // The newest is what counts.
			value := v.Value + v.Histogram
			if v.Stale {
				value = "(ended)"
			}
			texts = append(texts, fmt.Sprintf("%s at −%s", value, span(w.To.Sub(v.At))))
		}
		p.line(indent+4, indent+4, strings.Join(texts, ", "))
	}
	if w.SeriesCount > len(w.Series) {
		p.line(indent, indent+4, fmt.Sprintf("· and %d more series", w.SeriesCount-len(w.Series)))
	}
}

func (p *page) transitions(ts []Transition) {
	if len(ts) == 0 {
		return
	}
	p.head("What became of it, newest first")
	for _, t := range ts {
		line := fmt.Sprintf("%s  %s → %s  value %s", clock(t.At), t.From, t.To, t.Value)
		if t.From == t.To {
			line = fmt.Sprintf("%s  %s  value %s", clock(t.At), t.To, t.Value)
		}
		if t.Threshold != "" {
			line += " (" + t.Threshold + ")"
		}
		if t.Reason != "" {
			line += "  " + t.Reason
		}
		if t.Latency > 0 {
			line += "  evaluated in " + span(seconds(t.Latency))
		}
		p.line(2, 6, line)
		for _, d := range t.Deliveries {
			text := fmt.Sprintf("%s  %s to %s of receiver %s, attempt %d, %s", clock(d.At), d.Outcome, d.Integration, d.Receiver, d.Attempt, span(seconds(d.Latency)))
			if d.Answer != "" {
				text += ": " + d.Answer
			}
			p.line(6, 10, text)
		}
	}
}
