package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/plan"
)

// cause says why p, evaluated at t, has no element that f is on.
func (w *walker) cause(p *plan.Part, t time.Time, f focus) *Cause {
	if w.s.ctx.Err() != nil {
		return &Cause{Code: Unclear, Expr: p.Text, Text: "there was no time left to look into " + p.Text}
	}
	if p.Kind == plan.PartSelector || p.Kind == plan.PartRange {
		return w.selector(p, t, f)
	}
	if v := w.value(p, t); v.err != nil {
		return &Cause{Code: Failing, Expr: p.Text, Text: "the evaluation of " + p.Text + " fails: " + v.err.Error()}
	}
	if c := dropped(p, f); c != nil {
		return c
	}
	switch p.Kind {
	case plan.PartUnary:
		return w.cause(p.In[0], t, f)
	case plan.PartSubquery:
		return w.subquery(p, t, f)
	case plan.PartAggregate:
		return w.aggregation(p, t, f)
	case plan.PartBinary:
		return w.operator(p, t, f)
	case plan.PartCall:
		return w.call(p, t, f)
	}
	return &Cause{Code: Unclear, Expr: p.Text, Text: p.Text + " is no vector"}
}

// dropped says that p's result never has a label that f wants.
func dropped(p *plan.Part, f focus) *Cause {
	lacks := func(name string) bool { return false }
	switch {
	case p.Kind == plan.PartAggregate && (p.Func == "topk" || p.Func == "bottomk" || p.Func == "limitk" || p.Func == "limit_ratio" || p.Func == "count_values"):
	case p.Kind == plan.PartAggregate && p.Without:
		lacks = func(name string) bool { return slices.Contains(p.Grouping, name) }
	case p.Kind == plan.PartAggregate:
		lacks = func(name string) bool { return !slices.Contains(p.Grouping, name) }
	case p.Kind == plan.PartBinary && p.Binary.Op < plan.And && p.In[0].Vector() && p.In[1].Vector() && p.Binary.Card == plan.OneToOne:
		lacks = func(name string) bool { return p.Binary.On != slices.Contains(p.Binary.Labels, name) }
	case p.Kind == plan.PartCall && !slices.ContainsFunc(p.In, func(in *plan.Part) bool { return in.Vector() || in.Type == "matrix" }):
		lacks = func(string) bool { return true }
	case p.Kind == plan.PartCall && (p.Func == "absent" || p.Func == "absent_over_time"):
		given := map[string]bool{}
		for _, m := range p.In[0].Select {
			given[m.Name] = given[m.Name] || m.Type == labels.MatchEqual
		}
		lacks = func(name string) bool { return !given[name] }
	}
	for _, m := range f.matchers() {
		if lacks(m.Name) && !m.Matches("") {
			return &Cause{Code: LabelDropped, Expr: p.Text, Text: fmt.Sprintf(
				"the result of %s has no label %s, so that no alert of the rule has it; leave %s out of the question", p.Text, m.Name, m)}
		}
	}
	return nil
}

// subquery says why a subquery has no steps with a value.
func (w *walker) subquery(p *plan.Part, t time.Time, f focus) *Cause {
	at := w.lastStep(p.Span, t)
	in := w.cause(p.In[0], at, f)
	return &Cause{
		Code: in.Code, Expr: p.Text, Further: []*Cause{in},
		Text: fmt.Sprintf("no step of the subquery has a value; at the last, %s: %s", clock(at), in.Text),
	}
}

// aggregation says why an aggregation lacks a group.
func (w *walker) aggregation(p *plan.Part, t time.Time, f focus) *Cause {
	inner := f.inside(p, 0)
	in := w.value(p.In[0], t).belonging(inner)
	if len(in) == 0 {
		return w.cause(p.In[0], t, inner)
	}
	switch p.Func {
	case "topk", "bottomk", "limitk", "limit_ratio":
		return &Cause{
			Code: NotSelected, Expr: p.Text, Elements: w.s.shown(in),
			Text: fmt.Sprintf("%s is not among those that %s selects: %s", braces(in[0].Metric), p.Func, p.Text),
		}
	}
	return w.nothing(p, t, in)
}

// nothing says that p makes nothing of elements that are there.
func (w *walker) nothing(p *plan.Part, t time.Time, in []promql.Sample) *Cause {
	c := &Cause{Code: NothingReturned, Expr: p.Text, Elements: w.s.shown(in)}
	c.Text = fmt.Sprintf("%s returns nothing for %s, such as %s = %s", p.Text, plural(len(in), "element"), braces(in[0].Metric), worthText(&in[0]))
	if warnings := w.value(p, t).warnings; len(warnings) > 0 {
		c.Text += ": " + strings.Join(warnings, "; ")
	}
	return c
}

// call says why a function returns nothing.
func (w *walker) call(p *plan.Part, t time.Time, f focus) *Cause {
	at := slices.IndexFunc(p.In, func(in *plan.Part) bool { return in.Vector() || in.Type == "matrix" })
	if at < 0 {
		return &Cause{Code: Unclear, Expr: p.Text, Text: p.Text + " has no element for this alert"}
	}
	arg, inner := p.In[at], f.inside(p, at)
	switch p.Func {
	case "absent", "absent_over_time":
		return w.absent(p, t, f)
	}
	if arg.Kind == plan.PartRange {
		return w.windowed(p, arg, t, inner)
	}
	in := w.value(arg, t).belonging(inner)
	if len(in) == 0 {
		return w.cause(arg, t, inner)
	}
	switch p.Func {
	case "label_replace", "label_join":
		return w.relabelled(p, t, in, f)
	case "histogram_quantile":
		if in[0].H == nil && in[0].Metric.Get(labels.BucketLabel) == "" {
			return &Cause{Code: NothingReturned, Expr: p.Text, Elements: w.s.shown(in), Text: fmt.Sprintf(
				"%s has neither a label le nor native histograms, which histogram_quantile works on: %s", braces(in[0].Metric), p.Text)}
		}
	}
	return w.nothing(p, t, in)
}

// absent says what is there that should not be.
func (w *walker) absent(p *plan.Part, t time.Time, f focus) *Cause {
	arg := p.In[0]
	var there []promql.Sample
	total := 0
	if arg.Kind == plan.PartRange {
		series, n, err := w.read(arg, t, everything(), w.s.limits().Elements, 1)
		if err != nil {
			return failing(p, err)
		}
		total = n
		for _, s := range series {
			pt := s.Points[len(s.Points)-1]
			there = append(there, promql.Sample{Metric: s.Labels, F: pt.V, H: pt.H})
		}
	} else {
		there = w.value(arg, t).belonging(everything())
		total = len(there)
	}
	if total == 0 {
		e := w.value(p, t).belonging(everything())
		if len(e) == 0 {
			return &Cause{Code: Unclear, Expr: p.Text, Text: p.Text + " has no element, though nothing is there"}
		}
		return &Cause{Code: LabelDropped, Expr: p.Text, Elements: w.s.shown(e), Text: fmt.Sprintf(
			"%s holds with the labels %s, which are not those that were asked for", p.Text, braces(e[0].Metric))}
	}
	return &Cause{
		Code: Exists, Expr: p.Text, Elements: w.s.shown(there),
		Text: fmt.Sprintf("%s is empty because %s there: %s = %s", p.Text, areSeries(total), braces(there[0].Metric), worthText(&there[0])),
	}
}

func areSeries(n int) string {
	if n == 1 {
		return "the series is"
	}
	return fmt.Sprintf("%d series are", n)
}

func failing(p *plan.Part, err error) *Cause {
	return &Cause{Code: Failing, Expr: p.Text, Text: p.Text + " cannot be looked into: " + err.Error()}
}

// relabelled says that a label becomes another than was asked for.
func (w *walker) relabelled(p *plan.Part, t time.Time, in []promql.Sample, f focus) *Cause {
	dst := p.In[1].String
	var values []string
	for _, e := range w.value(p, t).elements {
		if v := e.Metric.Get(dst); f.without(dst).has(e.Metric) && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return w.nothing(p, t, in)
	}
	slices.Sort(values)
	shown := values[:min(len(values), w.s.limits().Elements)]
	return &Cause{Code: NoSuchSeries, Expr: p.Text, Text: fmt.Sprintf(
		"%s makes the label %s %s, and none of it is %s", p.Func, dst, few(quotedAll(shown), len(values)), matcherList(f.of(dst)))}
}

func quotedAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%q", v)
	}
	return out
}

// windowed says why a function of a range vector selector returns nothing.
func (w *walker) windowed(p, arg *plan.Part, t time.Time, f focus) *Cause {
	if arg.Span.Unclear != "" {
		return &Cause{Code: Unclear, Expr: p.Text, Text: p.Text + " returns nothing, and its samples are not looked into: " + arg.Span.Unclear}
	}
	l := w.s.limits()
	series, _, err := w.read(arg, t, f, l.Series, l.Samples)
	if err != nil {
		return failing(p, err)
	}
	for _, s := range series {
		n := s.Count
		for _, pt := range s.Points {
			if pt.Stale {
				n--
			}
		}
		if n == 0 {
			continue // A marker alone: the series had ended before.
		}
		from, to := w.span(arg.Span, t)
		c := &Cause{Code: TooFewSamples, Expr: p.Text}
		c.Text = fmt.Sprintf("%s has %s in the %s up to %s, of which %s makes nothing", braces(s.Labels), plural(n, "sample"), span(to.Sub(from)), clock(to), p.Func)
		if n == 1 {
			c.Text = fmt.Sprintf("%s needs two samples, and %s has one in the %s up to %s", p.Func, braces(s.Labels), span(to.Sub(from)), clock(to))
		}
		if warnings := w.value(p, t).warnings; len(warnings) > 0 {
			c.Text += ": " + strings.Join(warnings, "; ")
		}
		return c
	}
	return w.selector(arg, t, f)
}

// falseComparison says of a comparison with what is there that it is false.
func (w *walker) falseComparison(p *plan.Part, t time.Time, ps []pair) *Cause {
	slices.SortStableFunc(ps, func(a, b pair) int { return cmp.Compare(a.distance(), b.distance()) })
	c := &Cause{Code: ComparisonFalse, Expr: p.Text}
	for _, x := range ps[:min(len(ps), w.s.limits().Elements)] {
		c.Elements = append(c.Elements, element(&x.left))
	}
	first := ps[0]
	of := braces(first.left.Metric)
	scalarLeft := p.In[0].Scalar()
	if scalarLeft {
		of = braces(first.right.Metric)
		c.Elements = nil
		for _, x := range ps[:min(len(ps), w.s.limits().Elements)] {
			c.Elements = append(c.Elements, element(&x.right))
		}
	}
	if of != "{}" {
		of = " for " + of
	} else {
		of = ""
	}
	switch {
	case first.left.H != nil || first.right.H != nil:
		c.Text = fmt.Sprintf("comparison is false: a native histogram cannot be compared by %s%s", p.Binary.Op, of)
		if warnings := w.value(p, t).warnings; len(warnings) > 0 {
			c.Text += ": " + strings.Join(warnings, "; ")
		}
	default:
		c.Text = fmt.Sprintf("comparison is false: value %s is not %s %s%s", number(first.left.F), p.Binary.Op, number(first.right.F), of)
		if math.IsNaN(first.left.F) || math.IsNaN(first.right.F) {
			c.Text += " (a comparison with NaN never holds)"
		}
	}
	if len(ps) > 1 {
		c.Text += fmt.Sprintf("; it is the closest of %d", len(ps))
	}
	for i, in := range p.In { // What a condition of 0 or 1 was made of.
		c.Further = append(c.Further, w.zeroes(in, t, first.at(i).Metric)...)
	}
	return c
}

func (x *pair) at(i int) *promql.Sample {
	if i == 0 {
		return &x.left
	}
	return &x.right
}

// distance is how far the two are from each other, NaN and histograms last.
func (x *pair) distance() float64 {
	d := math.Abs(x.left.F - x.right.F)
	if math.IsNaN(d) || x.left.H != nil || x.right.H != nil {
		return math.Inf(1)
	}
	return d
}

// zeroes says which comparisons with bool within p are 0 for the element with these labels.
func (w *walker) zeroes(p *plan.Part, t time.Time, ls labels.Labels) []*Cause {
	var out []*Cause
	switch {
	case p.Compares() && p.Binary.Bool && !p.Scalar():
		var zero []pair
		for _, x := range w.pairs(p, t, onMatchers(onLabels(ls).matchers())) {
			if x.left.H == nil && x.right.H == nil && p.Binary.Op.Apply(x.left.F, x.right.F) == 0 {
				zero = append(zero, x)
			}
		}
		if len(zero) > 0 {
			out = append(out, w.falseComparison(p, t, zero))
		}
	case p.Kind == plan.PartBinary && (p.Binary.Op == plan.Mul || p.Binary.Op == plan.Add || p.Binary.Op == plan.And):
		for i, in := range p.In {
			if in.Vector() {
				f := onMatchers(onLabels(ls).matchers()).inside(p, i)
				if e := w.value(in, t).belonging(f); len(e) > 0 {
					out = append(out, w.zeroes(in, t, e[0].Metric)...)
				}
			}
		}
	}
	return out
}
