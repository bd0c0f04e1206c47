package explain

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
)

// walker evaluates the parts of one expression, each once.
type walker struct {
	s      *session
	values map[string]*worth
	// nodes counts what was evaluated.
	nodes int
}

func (s *session) walker() *walker { return &walker{s: s, values: map[string]*worth{}} }

// worth is what a part is worth at a time. A range vector has its series' newest samples as elements.
type worth struct {
	elements []promql.Sample
	matrix   promql.Matrix
	scalar   *float64
	warnings []string
	err      error
}

// value evaluates p at t. Selectors of ranges are not evaluated: they are read.
func (w *walker) value(p *plan.Part, t time.Time) *worth {
	if p.Kind == plan.PartNumber {
		return &worth{scalar: &p.Number}
	}
	key := fmt.Sprintf("%d %s", t.UnixMilli(), p.Text)
	if v := w.values[key]; v != nil {
		return v
	}
	v := &worth{}
	w.values[key] = v
	switch {
	case p.Kind == plan.PartString || p.Kind == plan.PartRange:
		return v
	case w.nodes >= w.s.limits().Nodes:
		w.s.cut("%d sub-expressions were evaluated, the others were not", w.nodes)
		v.err = errTooMany
		return v
	}
	w.nodes++
	got, err := w.s.x.o.Instant(w.s.ctx, p.Text, t)
	if err != nil {
		v.err = err
		return v
	}
	v.elements, v.matrix, v.scalar, v.warnings = got.Vector, got.Matrix, got.Scalar, got.Warnings
	for _, series := range v.matrix {
		if newest, ok := newest(&series); ok {
			v.elements = append(v.elements, newest)
		}
	}
	return v
}

// newest returns the newest sample of a series.
func newest(s *promql.Series) (promql.Sample, bool) {
	out := promql.Sample{Metric: s.Metric, T: math.MinInt64}
	if n := len(s.Floats); n > 0 {
		out.T, out.F = s.Floats[n-1].T, s.Floats[n-1].F
	}
	if n := len(s.Histograms); n > 0 && s.Histograms[n-1].T > out.T {
		out.T, out.H = s.Histograms[n-1].T, s.Histograms[n-1].H
	}
	return out, out.T != math.MinInt64
}

// belonging returns the elements that f is on.
func (v *worth) belonging(f focus) []promql.Sample {
	var out []promql.Sample
	for _, e := range v.elements {
		if f.has(e.Metric) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	return out
}

// tree evaluates p and what is below it.
func (w *walker) tree(p *plan.Part, t time.Time, f focus, root time.Time) *Node {
	n := &Node{Expr: p.Text, Kind: string(p.Kind)}
	if !t.Equal(root) {
		n.At = when(t)
	}
	if p.Kind == plan.PartRange || p.Kind == plan.PartSelector {
		w.window(n, p, t, f)
	}
	if p.Kind != plan.PartRange {
		v := w.value(p, t)
		if v.err != nil {
			n.Error = v.err.Error()
		}
		if v.scalar != nil {
			n.Scalar = number(*v.scalar)
		}
		mine := v.belonging(f)
		n.Total, n.Belonging, n.Warnings = len(v.elements), len(mine), v.warnings
		n.Elements = w.s.shown(mine)
		if p.Kind == plan.PartSubquery {
			w.steps(n, p, t, f, v)
		}
	}
	if p.Kind == plan.PartSubquery {
		t = w.lastStep(p.Span, t)
	}
	for i, in := range p.In {
		if in.Kind == plan.PartNumber || in.Kind == plan.PartString {
			continue // It stands in the text.
		}
		n.Children = append(n.Children, w.tree(in, t, f.inside(p, i), root))
	}
	return n
}

// shown makes as many elements as fit.
func (s *session) shown(es []promql.Sample) []Element {
	var out []Element
	for _, e := range es[:min(len(es), s.limits().Elements)] {
		out = append(out, element(&e))
	}
	return out
}

func element(e *promql.Sample) Element {
	if e.H != nil {
		return Element{Labels: e.Metric, Histogram: histogramText(e.H)}
	}
	return Element{Labels: e.Metric, Value: number(e.F)}
}

const maxHistogramText = 300

// histogramText is h as upstream writes it, cut where it has very many buckets.
func histogramText(h *histogram.FloatHistogram) string {
	if text := h.String(); len(text) <= maxHistogramText {
		return text
	}
	return fmt.Sprintf("{count:%s, sum:%s, %d buckets}", number(h.Count), number(h.Sum), len(h.PositiveBuckets)+len(h.NegativeBuckets))
}

// span returns the samples that a selector takes in when it is evaluated at t: after from, up to to.
func (w *walker) span(s *plan.Span, t time.Time) (from, to time.Time) {
	to = time.UnixMilli(s.End(t.UnixMilli()))
	back := w.s.x.o.Lookback
	if s.Range > 0 {
		back = time.Duration(s.Range) * time.Millisecond
	}
	return to.Add(-back), to
}

// lastStep is the last moment for which a subquery evaluates what it contains.
func (w *walker) lastStep(s *plan.Span, t time.Time) time.Time {
	step := s.Step
	if step == 0 {
		step = time.Minute.Milliseconds()
		if w.s.x.o.SubqueryStep != nil {
			step = max(1, w.s.x.o.SubqueryStep().Milliseconds())
		}
	}
	end := s.End(t.UnixMilli())
	return time.UnixMilli(end - (end%step+step)%step)
}

// read reads the samples of a selector that belong to f.
func (w *walker) read(p *plan.Part, t time.Time, f focus, series, samples int) ([]history.Stored, int, error) {
	from, to := w.span(p.Span, t)
	return w.s.x.o.Read(w.s.ctx, history.Reading{
		Matchers: append(slices.Clone(p.Select), f.matchers()...), From: from.Add(time.Millisecond), To: to,
		MaxSeries: series, MaxSamples: samples,
	})
}

// window gives n the samples that it reads.
func (w *walker) window(n *Node, p *plan.Part, t time.Time, f focus) {
	if p.Span.Unclear != "" {
		n.Warnings = append(n.Warnings, "its samples are not shown: "+p.Span.Unclear)
		return
	}
	l := w.s.limits()
	series, total, err := w.read(p, t, f, l.Series, l.Samples)
	if err != nil {
		n.Error = err.Error()
		return
	}
	from, to := w.span(p.Span, t)
	n.Window = &Window{From: from.UTC(), To: to.UTC(), SeriesCount: total, Series: []WindowSeries{}}
	if p.Kind == plan.PartRange {
		n.Belonging, n.Total = total, total
	}
	for _, s := range series {
		one := WindowSeries{Labels: s.Labels, SampleCount: s.Count, Samples: []Sample{}}
		for _, pt := range s.Points {
			one.Samples = append(one.Samples, sample(&pt))
		}
		n.Window.Series = append(n.Window.Series, one)
	}
}

func sample(p *history.StoredPoint) Sample {
	out := Sample{At: time.UnixMilli(p.T).UTC(), Stale: p.Stale}
	switch {
	case p.Stale:
	case p.H != nil:
		out.Histogram = histogramText(p.H)
	default:
		out.Value = number(p.V)
	}
	return out
}

// steps gives the node of a subquery the values of its steps.
func (w *walker) steps(n *Node, p *plan.Part, t time.Time, f focus, v *worth) {
	if p.Span.Unclear != "" {
		return
	}
	l := w.s.limits()
	from, to := w.span(p.Span, t)
	n.Window = &Window{From: from.UTC(), To: to.UTC(), Series: []WindowSeries{}}
	n.Elements = nil // The steps tell.
	for _, s := range v.matrix {
		if !f.has(s.Metric) {
			continue
		}
		n.Window.SeriesCount++
		if len(n.Window.Series) == l.Series {
			continue
		}
		one := WindowSeries{Labels: s.Metric, SampleCount: len(s.Floats) + len(s.Histograms), Samples: []Sample{}}
		for _, pt := range s.Floats[max(0, len(s.Floats)-l.Samples):] {
			one.Samples = append(one.Samples, Sample{At: time.UnixMilli(pt.T).UTC(), Value: number(pt.F)})
		}
		for _, pt := range s.Histograms[max(0, len(s.Histograms)-l.Samples):] {
			one.Samples = append(one.Samples, Sample{At: time.UnixMilli(pt.T).UTC(), Histogram: histogramText(pt.H)})
		}
		slices.SortStableFunc(one.Samples, func(a, b Sample) int { return a.At.Compare(b.At) })
		one.Samples = one.Samples[max(0, len(one.Samples)-l.Samples):]
		n.Window.Series = append(n.Window.Series, one)
	}
}

// thresholds are the comparisons of p that values of f went through: where only one element belongs, or few.
func (w *walker) thresholds(p *plan.Part, t time.Time, f focus) []Threshold {
	out := []Threshold{}
	var visit func(p *plan.Part, t time.Time, f focus)
	visit = func(p *plan.Part, t time.Time, f focus) {
		if p.Compares() && !p.Scalar() && len(out) < maxThresholds {
			out = append(out, w.compared(p, t, f)...)
		}
		if p.Kind == plan.PartSubquery {
			return // Its comparisons are many, one a step.
		}
		for i, in := range p.In {
			visit(in, t, f.inside(p, i))
		}
	}
	visit(p, t, f)
	return out[:min(len(out), maxThresholds)]
}

const maxThresholds = 8

// compared returns the pairs that a comparison compared, as far as they belong to f.
func (w *walker) compared(p *plan.Part, t time.Time, f focus) []Threshold {
	var out []Threshold
	for _, c := range w.pairs(p, t, f) {
		if c.left.H != nil || c.right.H != nil {
			continue
		}
		out = append(out, Threshold{
			Expr: p.Text, Op: p.Binary.Op.String(), Value: number(c.left.F), Threshold: number(c.right.F),
			Holds: p.Binary.Op.Apply(c.left.F, c.right.F) == 1,
		})
		if len(out) == maxThresholds {
			break
		}
	}
	return out
}

// pair is two elements that an operator brings together. Scalars have no labels.
type pair struct{ left, right promql.Sample }

// pairs returns what an operator brings together for elements of f.
func (w *walker) pairs(p *plan.Part, t time.Time, f focus) []pair {
	l, r := w.value(p.In[0], t), w.value(p.In[1], t)
	var out []pair
	switch {
	case l.scalar != nil && r.scalar != nil:
		return []pair{{promql.Sample{F: *l.scalar}, promql.Sample{F: *r.scalar}}}
	case r.scalar != nil:
		for _, e := range l.belonging(f.inside(p, 0)) {
			out = append(out, pair{e, promql.Sample{F: *r.scalar}})
		}
	case l.scalar != nil:
		for _, e := range r.belonging(f.inside(p, 1)) {
			out = append(out, pair{promql.Sample{F: *l.scalar}, e})
		}
	default:
		right := map[string][]promql.Sample{}
		for _, e := range r.belonging(f.inside(p, 1)) {
			k := signature(p.Binary, e.Metric)
			right[k] = append(right[k], e)
		}
		for _, e := range l.belonging(f.inside(p, 0)) {
			for _, o := range right[signature(p.Binary, e.Metric)] {
				out = append(out, pair{e, o})
			}
		}
	}
	return out
}

// signature is what decides which elements match.
func signature(b *plan.Binary, ls labels.Labels) string {
	if b.On {
		return string(ls.BytesWithLabels(nil, b.Labels...))
	}
	names := append([]string{model.MetricNameLabel}, b.Labels...)
	slices.Sort(names)
	return string(ls.BytesWithoutLabels(nil, names...))
}

// errTooMany stands for what was not evaluated.
var errTooMany = errors.New("not evaluated: the expression has too many parts")
