package plan

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// words says in PromQL's words what n does, and with what apart from its inputs.
func (n *Node) words() (op, detail string) {
	switch n.Op {
	case Number:
		return strconv.FormatFloat(n.Number, 'g', -1, 64), ""
	case Time:
		return "time()", ""
	case Instant:
		if n.Select.Timestamp {
			return "timestamp", n.Select.promQL()
		}
		return "select", n.Select.promQL()
	case Window:
		return n.Func, n.Select.promQL()
	case Subwindow:
		return n.Func, n.Subquery.promQL()
	case Map:
		if n.Func == "neg" {
			return "-", ""
		}
		return n.Func, ""
	case ScalarOf:
		return "scalar", ""
	case VectorOf:
		return "vector", ""
	case Arithmetic, Match, Set:
		return n.Binary.Op.String(), n.Binary.modifiers(n.Op != Arithmetic)
	case Aggregate:
		return n.Aggregate.words()
	case HistogramQuantile:
		return "histogram_quantile", ""
	case Absent:
		if n.Labels.IsEmpty() {
			return "absent", ""
		}
		return "absent", n.Labels.String()
	case Relabel:
		return n.Func, n.Relabel.words()
	case Sort:
		return n.Func, strings.Join(n.Strings, ", ")
	}
	panic("BUG: unknown operation")
}

// promQL returns s as a selector.
func (s *Select) promQL() string {
	vector := &parser.VectorSelector{LabelMatchers: s.Matchers, OriginalOffset: milliseconds(s.Offset)}
	if name := s.Name(); model.LegacyValidation.IsValidMetricName(name) {
		vector.Name = name // the printer would not quote another
	}
	if s.Range == 0 {
		return vector.String()
	}
	return (&parser.MatrixSelector{VectorSelector: vector, Range: milliseconds(s.Range)}).String()
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func (s *Subquery) promQL() string {
	text := "(" + s.Text + ")[" + duration(s.Range) + ":"
	if s.Step > 0 {
		text += duration(s.Step)
	}
	text += "]"
	switch {
	case s.Offset > 0:
		text += " offset " + duration(s.Offset)
	case s.Offset < 0:
		text += " offset -" + duration(-s.Offset)
	}
	return text
}

func duration(ms int64) string { return model.Duration(milliseconds(ms)).String() }

// modifiers are bool and, between two vectors, what decides the matches.
func (b *Binary) modifiers(vectors bool) string {
	var words []string
	if b.Bool {
		words = append(words, "bool")
	}
	if !vectors {
		return strings.Join(words, " ")
	}
	switch {
	case b.On:
		words = append(words, "on "+list(b.Labels))
	case len(b.Labels) > 0:
		words = append(words, "ignoring "+list(b.Labels))
	}
	switch b.Card {
	case ManyToOne:
		words = append(words, "group_left "+list(b.Include))
	case OneToMany:
		words = append(words, "group_right "+list(b.Include))
	}
	return strings.Join(words, " ")
}

// list returns labels as PromQL lists them.
func list(labels []string) string { return "(" + strings.Join(labels, ", ") + ")" }

func (a *Aggregation) words() (op, detail string) {
	op = [...]string{
		"sum", "avg", "count", "min", "max", "group", "stddev", "stdvar", "quantile", "topk", "bottomk", "count_values",
	}[a.Op]
	if a.Op == CountValues {
		op += " " + strconv.Quote(a.Label)
	}
	switch {
	case a.Without:
		return op, "without " + list(a.Labels)
	case len(a.Labels) > 0:
		return op, "by " + list(a.Labels)
	}
	return op, ""
}

// words are the arguments after the vector.
func (r *Relabeling) words() string {
	if r.Join {
		return quoted(append([]string{r.Dst, r.Separator}, r.Src...))
	}
	return quoted([]string{r.Dst, r.Replacement, r.Src[0], r.Regex})
}

// Text says in a line, close to PromQL, what n computes; for people.
func (n *Node) Text() string {
	var b strings.Builder
	n.text(&b, false)
	return b.String()
}

func (n *Node) text(b *strings.Builder, inner bool) {
	op, detail := n.words()
	switch n.Op {
	case Arithmetic, Match, Set:
		if inner {
			b.WriteByte('(')
		}
		n.In[0].text(b, true)
		b.WriteString(" " + op + " ")
		if detail != "" {
			b.WriteString(detail + " ")
		}
		n.In[1].text(b, true)
		if inner {
			b.WriteByte(')')
		}
		return
	case Instant:
		if !n.Select.Timestamp {
			b.WriteString(detail)
			return
		}
	case Number, Time:
		b.WriteString(op)
		return
	}
	parts := make([]string, 0, len(n.In)+1)
	for _, in := range n.In {
		parts = append(parts, in.Text())
	}
	if detail != "" && n.Op != Aggregate {
		parts = append(parts, detail)
	} else if detail != "" {
		op += " " + detail
	}
	b.WriteString(op + "(" + strings.Join(parts, ", ") + ")")
}
