package rule

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/tocsin/tocsin/internal/plan"
)

// maxPromQL bounds what a condition may become, in bytes.
const maxPromQL = 64 << 10

// ownSeries are what alerts themselves write to history. A rule over every series leaves them out, or it would fire on
// its own alerts; one that names them has them.
const ownSeries = "ALERTS|ALERTS_FOR_STATE"

// The labels in which a rule over several metrics keeps a series' name, and the label of that name that it may have had.
const (
	nameLabel  = "metric"
	movedLabel = "exported_metric"
)

// lowered is a condition as PromQL.
type lowered struct {
	promql string
	// metric is the one metric that the rule is about, "" where it may be several: then results bear nameLabel.
	metric string
	// missing tells that it is the condition of that name.
	missing bool
}

// table finds the comparison that a table of thresholds takes the place of. The one with infinity that keeps NaN out is
// not what the author wrote.
func (l lowered) table(n *plan.Node) (*tabled, error) {
	switch {
	case l.missing:
		return nil, errors.New("thresholds do not go with the condition missing")
	case l.metric == "":
		return nil, errors.New("thresholds are for a rule about one metric: say which in metric")
	}
	t, err := outermost(n)
	if err != nil {
		return nil, errors.New("thresholds are for a condition that compares value with one number, and may test labels, such as value > 80")
	}
	inner, ierr := outermost(t.compared)
	switch {
	case ierr != nil:
		return t, nil
	case inner.op == plan.NotEqual && t.op == plan.LessEqual && math.IsInf(t.number, 1):
		inner.suffix = " <= +Inf"
		return inner, nil
	}
	return nil, errors.New("thresholds are for a condition with one comparison; which of these would they be for?")
}

// lowerCondition turns a condition over the series of a metric ("" for all) into PromQL whose result is exactly the
// series for which the condition is true, with their values. Errors are *conditionError.
func lowerCondition(text, metric string, c *plan.Compiler) (lowered, error) {
	return lowerNamed(text, metric, false, c)
}

// lowerNamed is lowerCondition; with named, results keep their metric's name in a label even where it can be but one.
func lowerNamed(text, metric string, named bool, c *plan.Compiler) (lowered, error) {
	n, cerr := parseCondition(text)
	if cerr != nil {
		return lowered{}, cerr
	}
	fail := func(pos int, msg, hint string) (lowered, error) {
		return lowered{}, &conditionError{text: text, pos: pos, msg: msg, hint: hint}
	}
	as, at := alternatives(n, false)
	if at != nil {
		return fail(at.pos, fmt.Sprintf("with this, the condition falls into more than %d alternatives", maxAlternatives), "write it as several rules")
	}
	var settled []alternative
	for _, a := range as {
		if len(a) == 0 {
			return fail(0, "is always true, whatever the series", "test value, metric or a label")
		}
		if a, ok := a.settle(metric); ok {
			settled = append(settled, a)
		}
	}
	if len(settled) == 0 {
		return fail(0, "can never be true", "do two of its tests, or the rule's metric, contradict each other?")
	}
	out := lowered{metric: settled[0].name()}
	for _, a := range settled {
		if a.name() != out.metric || named {
			out.metric = ""
		}
	}
	var parts []string
	for _, a := range settled {
		if part := a.promql(out.metric == "", c); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	out.promql = strings.Join(parts, " or ")
	if len(out.promql) > maxPromQL {
		return fail(0, fmt.Sprintf("becomes %d bytes of PromQL; %d are allowed", len(out.promql), maxPromQL), "write it as several rules")
	}
	return out, nil
}

// promql writes the alternative as: the series, filtered by the comparisons of the plain value, and those for which the
// comparisons of computed values hold. With named, results keep their metric's name in a label, since alerts and set
// operations pass over the name itself.
func (a alternative) promql(named bool, c *plan.Compiler) string {
	selector := a.selector(c)
	wrap := func(e string) string {
		if !named {
			return e
		}
		return fmt.Sprintf(`label_replace(label_replace(%s, %q, "$1", %q, "(.+)"), %q, "$1", "__name__", "(.+)")`,
			e, movedLabel, nameLabel, nameLabel)
	}
	chain, notNaN := selector, true
	filter := func(op, bound string) {
		if chain != selector {
			chain = "(" + chain + ")"
		}
		chain += " " + op + " " + bound
	}
	var computed []string
	for _, t := range a {
		switch {
		case t.matcher != nil:
		case t.left.op == "value" && t.right.op == "number":
			filter(t.op, formatNumber(t.right.number))
			notNaN = notNaN && t.op == "!="
		default:
			computed = append(computed, t.computed(wrap(selector))...)
		}
	}
	if notNaN && chain != selector { // != alone lets NaN through
		filter("<=", "+Inf")
	}
	return strings.Join(append([]string{wrap(chain)}, computed...), " and ")
}

// computed returns the filters, to be joined by `and`, that a comparison of computed values becomes. base is the series.
func (t test) computed(base string) []string {
	left, right := arithmetic(t.left, base, 0), arithmetic(t.right, base, 0)
	if t.op != "!=" {
		return []string{fmt.Sprintf("(%s %s %s)", left, t.op, right)}
	}
	out := []string{fmt.Sprintf("((%s != %s) <= +Inf)", left, right)}
	if t.right.op != "number" {
		out = append(out, fmt.Sprintf("(%s <= +Inf)", right))
	}
	return out
}

// selector writes the alternative's label tests.
func (a alternative) selector(c *plan.Compiler) string {
	name, before := a.name(), ""
	var ms []string
	switch {
	case name == "":
		ms = append(ms, `__name__=~".+"`, `__name__!~"`+ownSeries+`"`)
	case isBareName(name, c):
		before = name
	}
	for _, t := range a {
		if m := t.matcher; m != nil && (before == "" || m.Name != model.MetricNameLabel) {
			ms = append(ms, m.String())
		}
	}
	if before != "" && len(ms) == 0 {
		return before
	}
	return before + "{" + strings.Join(ms, ",") + "}"
}

// isBareName reports whether name by itself is a selector of that metric, which "inf", say, is not.
func isBareName(name string, c *plan.Compiler) bool {
	for i := range len(name) {
		if b := name[i]; !isLetter(b) && b != ':' && (i == 0 || !isDigit(b)) {
			return false
		}
	}
	p, err := c.Compile(name + " > 1")
	if err != nil {
		return false
	}
	got := p.Selectors()
	return len(got) == 1 && len(got[0]) == 1 && got[0][0].Value == name
}

// arithmetic writes n over base, in brackets where operators around it bind as strongly as outer or more.
func arithmetic(n *term, base string, outer int) string {
	switch n.op {
	case "value":
		return base
	case "number":
		s := formatNumber(n.number)
		if outer > 0 && strings.ContainsAny(s[:1], "+-") {
			return "(" + s + ")"
		}
		return s
	}
	bind := binding(n.op)
	// Equal strength on the right, or on the left of ^, groups otherwise than written.
	l, r := bind-1, bind
	if bind == bindPower {
		l, r = bind, bind-1
	}
	s := arithmetic(n.left, base, l) + " " + n.op + " " + arithmetic(n.right, base, r)
	if bind <= outer {
		return "(" + s + ")"
	}
	return s
}

// formatNumber writes v so that PromQL reads the same number.
func formatNumber(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsInf(v, 1):
		return "+Inf"
	case abs == 0 || abs >= 1e-6 && abs < 1e15:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
