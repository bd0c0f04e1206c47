package rule

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// maxThresholds bounds how many rows a table of thresholds may have.
const maxThresholds = 256

// Thresholds is a rule's table of thresholds: each series is compared with the number of the first row that it matches,
// and with the rule's own number where it matches none.
type Thresholds struct {
	// Op is the comparison as PromQL spells it, the series' value on its left.
	Op string
	// Default is the rule's own number.
	Default float64
	Rows    []ThresholdRow
}

// ThresholdRow is one row of such a table. What it matches, matches all of Matchers, of which there is at least one; none
// is of the metric's name.
type ThresholdRow struct {
	Matchers []*labels.Matcher
	Value    float64
}

// Of returns the threshold of the series with these labels, which are those of the expression's result.
func (t *Thresholds) Of(ls labels.Labels) float64 {
	for i := range t.Rows {
		if t.Rows[i].matches(ls) {
			return t.Rows[i].Value
		}
	}
	return t.Default
}

func (r *ThresholdRow) matches(ls labels.Labels) bool {
	for _, m := range r.Matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// String writes the row's matchers as its author would.
func (r *ThresholdRow) String() string {
	tests := make([]string, len(r.Matchers))
	for i, m := range r.Matchers {
		tests[i] = m.String()
	}
	return "{" + strings.Join(tests, ",") + "}"
}

// parseRow reads the matchers of a row.
func parseRow(text string, c *plan.Compiler) ([]*labels.Matcher, error) {
	ms, err := c.Parser().ParseMetricSelector(text)
	switch {
	case err != nil:
		return nil, err
	case !strings.HasPrefix(strings.TrimSpace(text), "{"):
		return nil, errors.New(`should be matchers in braces, such as {zone="a"}`)
	case len(ms) == 0:
		return nil, errors.New("matches everything; the threshold for everything else is the rule's own")
	case names(ms, model.MetricNameLabel):
		return nil, errors.New("a row is chosen by labels, not by the metric's name")
	}
	return ms, nil
}

// shadowed returns a row before the given one that matches, provably, all that this one does.
func (t *Thresholds) shadowed(i int) (int, bool) {
	for j := range i {
		if implies(t.Rows[i].Matchers, t.Rows[j].Matchers) {
			return j, true
		}
	}
	return 0, false
}

// implies reports whether what matches all of ms also matches all of others, as far as that can be seen from texts and
// from tests for equality.
func implies(ms, others []*labels.Matcher) bool {
	for _, o := range others {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool {
			return m.Name == o.Name && (m.String() == o.String() || m.Type == labels.MatchEqual && o.Matches(m.Value))
		}) {
			return false
		}
	}
	return true
}

// excludes reports whether nothing matches both, as far as that can be seen from tests for equality.
func excludes(ms, others []*labels.Matcher) bool {
	against := func(a, b []*labels.Matcher) bool {
		return slices.ContainsFunc(a, func(m *labels.Matcher) bool {
			return m.Type == labels.MatchEqual && slices.ContainsFunc(b, func(o *labels.Matcher) bool {
				return m.Name == o.Name && !o.Matches(m.Value)
			})
		})
	}
	return against(ms, others) || against(others, ms)
}

// comparison takes an expression apart whose outermost operation compares a vector with a number.
func comparison(n *plan.Node) (compared *plan.Node, op plan.Operator, number float64, ok bool) {
	if n.Op != plan.Arithmetic || n.Scalar || !filters(n) {
		return nil, 0, 0, false
	}
	left, right := n.In[0], n.In[1]
	switch {
	case right.Op == plan.Number:
		return left, n.Binary.Op, right.Number, true
	case left.Op == plan.Number:
		return right, turned(n.Binary.Op), left.Number, true
	}
	return nil, 0, 0, false
}

// turned is the comparison with its sides exchanged.
func turned(op plan.Operator) plan.Operator {
	switch op {
	case plan.Less:
		return plan.Greater
	case plan.LessEqual:
		return plan.GreaterEqual
	case plan.Greater:
		return plan.Less
	case plan.GreaterEqual:
		return plan.LessEqual
	}
	return op
}

// promQL writes the table over the vector n as PromQL that returns each element for which its threshold's comparison
// holds: one comparison for each row over the elements that it is for, joined by `or`, no element in two of them. Earlier
// rows are left out of later ones, and all of them of the default, by the opposite of their matcher where they have one,
// and by `unless` where they have more.
func (t *Thresholds) promQL(n *plan.Node) (string, error) {
	var out strings.Builder
	for i := 0; i <= len(t.Rows); i++ {
		var own []*labels.Matcher
		value := t.Default
		if i < len(t.Rows) {
			own, value = t.Rows[i].Matchers, t.Rows[i].Value
		}
		var inverses []*labels.Matcher
		var without []string
		for _, row := range t.Rows[:i] {
			switch {
			case excludes(own, row.Matchers):
			case len(row.Matchers) == 1:
				inverses = append(inverses, inverse(row.Matchers[0]))
			default:
				without = append(without, " unless "+elements(n, row.Matchers))
			}
		}
		if i > 0 {
			out.WriteString(" or ")
		}
		out.WriteString(elements(n, slices.Concat(own, merged(inverses))) + " " + t.Op + " " + formatNumber(value) + strings.Join(without, ""))
		if out.Len() > maxPromQL {
			return "", fmt.Errorf("become more than %d bytes of PromQL; have fewer or simpler rows", maxPromQL)
		}
	}
	return out.String(), nil
}

// merged makes one pattern of several values of one label that are not to be.
func merged(ms []*labels.Matcher) []*labels.Matcher {
	var out []*labels.Matcher
	values := map[string][]string{}
	for _, m := range ms {
		if m.Type == labels.MatchNotEqual {
			values[m.Name] = append(values[m.Name], m.Value)
		}
	}
	done := map[string]bool{}
	for _, m := range ms {
		all := values[m.Name]
		switch {
		case m.Type != labels.MatchNotEqual || len(all) == 1:
			out = append(out, m)
		case !done[m.Name]:
			done[m.Name] = true
			for i, v := range all {
				all[i] = regexp.QuoteMeta(v)
			}
			out = append(out, labels.MustNewMatcher(labels.MatchNotRegexp, m.Name, strings.Join(all, "|")))
		}
	}
	return out
}

// chosenLabel is one that no series has.
const chosenLabel = "__threshold__"

// elements writes the elements of n that pass ms, as an operand: by matchers in the selectors where that is exact. Elsewhere the
// elements that pass are marked with a label, found by it, and kept by what they were before.
func elements(n *plan.Node, ms []*labels.Matcher) string {
	if s, ok := restricted(n, ms); ok {
		return bracket(n, s)
	}
	all := promQL(n)
	out := "(" + all + ")"
	for _, m := range ms {
		pattern, join := m.Value, "and"
		if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
			pattern = regexp.QuoteMeta(pattern)
		}
		if m.Type == labels.MatchNotEqual || m.Type == labels.MatchNotRegexp {
			join = "unless"
		}
		out += fmt.Sprintf(` %s ignoring (%s) (label_replace(%s, %q, "1", %s, %s) and on (%s) label_replace(vector(1), %q, "1", "", ""))`,
			join, chosenLabel, all, chosenLabel, strconv.Quote(m.Name), strconv.Quote(pattern), chosenLabel, chosenLabel)
	}
	return "(" + out + ")"
}

// Threshold returns what the rule's expression compares with numbers, for people: "> 80", or "> 0.9, < 3" where it does so
// more than once. Of a table of thresholds it is the one that is for an alert with the given labels. It is empty where no
// comparison with a number decides.
func (r *Rule) Threshold(ls labels.Labels) string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	if t := r.Thresholds; t != nil {
		return t.Op + " " + number(t.Of(ls))
	}
	if r.Plan.Root() == nil {
		return ""
	}
	var all []string
	r.Plan.Root().Walk(func(n *plan.Node) {
		_, op, v, ok := comparison(n)
		// A comparison with infinity keeps NaN out, and is not what anybody means by a threshold.
		if text := op.String() + " " + number(v); ok && !math.IsInf(v, 0) && !slices.Contains(all, text) {
			all = append(all, text)
		}
	})
	return strings.Join(all[:min(len(all), maxThresholdTexts)], ", ")
}

// maxThresholdTexts bounds what Threshold names.
const maxThresholdTexts = 8
