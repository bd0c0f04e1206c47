package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/plan"
)

// operator says why a binary operator returns nothing.
func (w *walker) operator(p *plan.Part, t time.Time, f focus) *Cause {
	b := p.Binary
	switch {
	case p.Scalar():
		return &Cause{Code: Unclear, Expr: p.Text, Text: p.Text + " is a number"}
	case b.Op == plan.Or:
		return w.or(p, t, f)
	case !p.In[0].Vector() || !p.In[1].Vector():
		at := 0
		if p.In[0].Scalar() {
			at = 1
		}
		in := w.value(p.In[at], t).belonging(f.inside(p, at))
		switch {
		case len(in) == 0:
			return w.cause(p.In[at], t, f.inside(p, at))
		case b.Op.Comparison():
			return w.falseComparison(p, t, w.pairs(p, t, f))
		}
		return w.nothing(p, t, in)
	}
	left := w.value(p.In[0], t).belonging(f.inside(p, 0))
	if len(left) == 0 && !p.Fill {
		return w.cause(p.In[0], t, f.inside(p, 0))
	}
	if b.Op == plan.Unless {
		return w.excluded(p, t, left)
	}
	ps := w.pairs(p, t, f)
	switch {
	case len(ps) == 0 && !p.Fill:
		return w.noMatch(p, t, f, left)
	case len(ps) > 0 && b.Op.Comparison():
		return w.falseComparison(p, t, ps)
	case len(left) == 0:
		return w.cause(p.In[0], t, f.inside(p, 0))
	}
	return w.nothing(p, t, left)
}

// closeness orders causes: the lower, the less is missing for the alert to fire.
func (c Code) closeness() int {
	return slices.Index([]Code{
		ComparisonFalse, Excluded, Exists, NotSelected, NoMatch, NothingReturned, TooFewSamples, Stale, NoSuchSeries, NeverSeen,
		LabelDropped, Failing, Unclear,
	}, c)
}

// or says why neither side has an element. Long chains are one cause, whose text is of the alternative that lacks least.
func (w *walker) or(p *plan.Part, t time.Time, f focus) *Cause {
	var all []*Cause
	var sides func(p *plan.Part)
	sides = func(p *plan.Part) {
		if p.Kind == plan.PartBinary && p.Binary.Op == plan.Or {
			sides(p.In[0])
			sides(p.In[1])
			return
		}
		all = append(all, w.cause(p, t, f))
	}
	sides(p)
	best := slices.MinFunc(all, func(a, b *Cause) int { return cmp.Compare(a.Code.closeness(), b.Code.closeness()) })
	c := &Cause{Code: best.Code, Expr: p.Text, Further: all}
	c.Text = fmt.Sprintf("none of %d alternatives holds; what comes closest: %s", len(all), best.Text)
	return c
}

// excluded says what on the right side of unless keeps elements out.
func (w *walker) excluded(p *plan.Part, t time.Time, left []promql.Sample) *Cause {
	for _, r := range w.value(p.In[1], t).elements {
		for _, l := range left {
			if signature(p.Binary, l.Metric) == signature(p.Binary, r.Metric) {
				return &Cause{
					Code: Excluded, Expr: p.Text, Elements: []Element{element(&r)},
					Text: fmt.Sprintf("%s is there and excluded by unless: its right side has %s = %s", braces(l.Metric), braces(r.Metric), worthText(&r)),
				}
			}
		}
	}
	return w.nothing(p, t, left)
}

// noMatch says why no element of the right side goes with those of the left.
func (w *walker) noMatch(p *plan.Part, t time.Time, f focus, left []promql.Sample) *Cause {
	right := w.value(p.In[1], t)
	l := left[0]
	other := onMatchers(onLabels(l.Metric).matchers()).partner(p.Binary)
	c := &Cause{Code: NoMatch, Expr: p.Text, Elements: w.s.shown(left)}
	wanted := matcherList(other.matchers())
	c.Text = fmt.Sprintf("no match on the other side of %s: the left side has %s = %s, and the right side, %s, ", p.Binary.Op, braces(l.Metric), worthText(&l), p.In[1].Text)
	switch differs := w.differing(p.Binary, l.Metric, right.elements); {
	case len(right.elements) == 0:
		c.Text += "is empty"
		other = everything()
	case len(differs) > 0:
		c.Text += "has " + differs
	default:
		c.Text += "has none with " + wanted
	}
	if right.err == nil && len(right.belonging(other)) == 0 {
		further := w.cause(p.In[1], t, other)
		if further.Code.closeness() < NoMatch.closeness() && len(right.elements) > 0 {
			return further // The partner is there, and a condition of that side's keeps it out.
		}
		c.Further = []*Cause{further}
		if len(right.elements) == 0 {
			c.Text += ": " + further.Text
		}
	}
	return c
}

// differing says which label of an element no element of the other side has the same value of.
func (w *walker) differing(b *plan.Binary, ls labels.Labels, others []promql.Sample) string {
	if len(others) == 0 {
		return ""
	}
	names := map[string]bool{}
	if b.On {
		for _, name := range b.Labels {
			names[name] = true
		}
	} else {
		collect := func(l labels.Label) {
			if l.Name != model.MetricNameLabel && !slices.Contains(b.Labels, l.Name) {
				names[l.Name] = true
			}
		}
		ls.Range(collect)
		others[0].Metric.Range(collect)
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		var values []string
		for _, o := range others {
			if v := o.Metric.Get(name); !slices.Contains(values, v) {
				values = append(values, v)
			}
			if len(values) > maxDistinct {
				break
			}
		}
		if slices.Contains(values, ls.Get(name)) {
			continue
		}
		if ls.Get(name) == "" {
			return fmt.Sprintf("a label %s, which the left side has not", name)
		}
		slices.Sort(values)
		if len(values) == 1 && values[0] == "" {
			return fmt.Sprintf("no label %s", name)
		}
		return fmt.Sprintf("no %s=%q, but %s", name, ls.Get(name), few(quotedAll(values[:min(len(values), w.s.limits().Elements)]), len(values)))
	}
	return ""
}

// maxDistinct bounds how many values of a label are looked at.
const maxDistinct = 1000
