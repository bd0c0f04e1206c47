package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
)

// selector says why a selector has nothing that f is on.
func (w *walker) selector(p *plan.Part, t time.Time, f focus) *Cause {
	c := &Cause{Expr: p.Text}
	if p.Span.Unclear != "" {
		c.Code, c.Text = Unclear, p.Text+" is empty, and its samples are not looked into: "+p.Span.Unclear
		return c
	}
	asked := slices.DeleteFunc(f.matchers(), func(m *labels.Matcher) bool {
		return slices.ContainsFunc(p.Select, func(o *labels.Matcher) bool { return o.String() == m.String() })
	})
	if own, m := contradiction(p.Select, asked); own != nil {
		c.Code = NoSuchSeries
		c.Text = fmt.Sprintf("the selector %s takes only series with %s, so that %s is not among them", p.Text, own, m)
		return c
	}
	end := time.UnixMilli(p.Span.End(t.UnixMilli()))
	all := append(slices.Clone(p.Select), asked...)
	known, err := w.known(end, all)
	switch {
	case err != nil:
		return failing(p, err)
	case known > 0:
		err = w.ended(c, p, all, known, end, t)
	default:
		err = w.excludes(c, p, asked, end)
	}
	if err != nil {
		return failing(p, err)
	}
	return c
}

// contradiction returns a matcher of a selector that what was asked for cannot satisfy.
func contradiction(own, asked []*labels.Matcher) (*labels.Matcher, *labels.Matcher) {
	for _, m := range asked {
		for _, o := range own {
			if o.Name == m.Name && m.Type == labels.MatchEqual && !o.Matches(m.Value) {
				return o, m
			}
		}
	}
	return nil, nil
}

// known counts the series that the index has up to a time.
func (w *walker) known(until time.Time, ms []*labels.Matcher) (int, error) {
	_, n, err := w.s.x.o.Read(w.s.ctx, history.Reading{Matchers: ms, From: time.UnixMilli(0), To: until})
	return n, err
}

// ended says of series that were there when they ended.
func (w *walker) ended(c *Cause, p *plan.Part, ms []*labels.Matcher, known int, end, t time.Time) error {
	last, marker, err := w.last(ms, end)
	if err != nil {
		return err
	}
	from, _ := w.span(p.Span, t)
	c.Code = Stale
	of := "of " + plural(known, "series") + ", the last"
	if known == 1 {
		of = "it"
	}
	switch {
	case last == nil && marker == nil:
		c.Code = Unclear
		c.Text = fmt.Sprintf("the index knows %s that %s matches, and there are no samples up to %s", plural(known, "series"), p.Text, clock(end))
	case marker != nil && last != nil:
		c.Text = fmt.Sprintf("series went stale at %s: %s was marked as ended (%s is not exposed any more, or its target is gone); its last value was %s at %s",
			clock(time.UnixMilli(marker.T)), braces(last.Labels), of, worthOf(&last.Points[0]), clock(time.UnixMilli(last.Points[0].T)))
	case marker != nil:
		c.Text = fmt.Sprintf("series went stale at %s, which is all that is known of it", clock(time.UnixMilli(marker.T)))
	default:
		at := time.UnixMilli(last.Points[0].T)
		c.Text = fmt.Sprintf("series went stale at %s: the last sample of %s, %s, came at %s, %s before %s, and a selector looks back %s",
			clock(at.Add(end.Sub(from))), braces(last.Labels), worthOf(&last.Points[0]), clock(at), span(end.Sub(at)), clock(end), span(end.Sub(from)))
	}
	if last != nil {
		c.Elements = []Element{{Labels: last.Labels, Value: worthOf(&last.Points[0])}}
	}
	return nil
}

func worthOf(p *history.StoredPoint) string {
	if p.H != nil {
		return histogramText(p.H)
	}
	return number(p.V)
}

// last finds the newest sample of the series that match, and the staleness marker after it. It looks back further and
// further, so that what ended a moment ago costs little.
func (w *walker) last(ms []*labels.Matcher, end time.Time) (last *history.Stored, marker *history.StoredPoint, err error) {
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 0} {
		from := end.Add(-back)
		if back == 0 {
			from = time.UnixMilli(0)
		}
		series, total, err := w.s.x.o.Read(w.s.ctx, history.Reading{Matchers: ms, From: from, To: end, MaxSeries: maxEnded, MaxSamples: 2})
		if err != nil {
			return nil, nil, err
		}
		if total > maxEnded {
			w.s.cut("of %d series that ended, %d were looked at", total, maxEnded)
		}
		for _, s := range series {
			pts := s.Points
			var mark *history.StoredPoint
			if n := len(pts); n > 0 && pts[n-1].Stale {
				mark, pts = &pts[n-1], pts[:n-1]
			}
			switch {
			case len(pts) == 0 || pts[len(pts)-1].Stale:
				if last == nil {
					marker = mark
				}
			case last == nil || pts[len(pts)-1].T > last.Points[0].T:
				last, marker = &history.Stored{Labels: s.Labels, Points: pts[len(pts)-1:]}, mark
			}
		}
		if last != nil || from.UnixMilli() == 0 {
			return last, marker, nil
		}
	}
	return last, marker, nil
}

// maxEnded is how many ended series are looked at for the one that ended last.
const maxEnded = 20

// excludes says which matchers exclude all series there are.
func (w *walker) excludes(c *Cause, p *plan.Part, asked []*labels.Matcher, end time.Time) error {
	var name, rest []*labels.Matcher
	for _, m := range p.Select {
		if m.Name == model.MetricNameLabel {
			name = append(name, m)
		} else {
			rest = append(rest, m)
		}
	}
	metric := "metric " + metricText(name)
	if len(name) > 0 {
		n, err := w.known(end, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return w.neverSeen(c, metric, name, end)
		}
	}
	c.Code = NoSuchSeries
	rest = append(rest, asked...)
	for _, m := range rest { // One that excludes everything by itself.
		n, err := w.known(end, append(slices.Clone(name), m))
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		values, err := w.valuesOf(m.Name, name, end)
		c.Text = fmt.Sprintf("%s is known, but no series of it has %s%s: %s", metric, m, whose(m, asked), values)
		return err
	}
	var culprits []string
	for i, m := range rest { // Those without which something would match.
		fewer := slices.Delete(slices.Concat(name, rest), len(name)+i, len(name)+i+1)
		if len(fewer) == 0 {
			continue
		}
		n, err := w.known(end, fewer)
		if err != nil {
			return err
		}
		if n > 0 {
			values, err := w.valuesOf(m.Name, fewer, end)
			if err != nil {
				return err
			}
			culprits = append(culprits, fmt.Sprintf("without %s%s, %s would match (%s)", m, whose(m, asked), plural(n, "series"), values))
		}
	}
	c.Text = fmt.Sprintf("%s is known, but no series of it has all of %s", metric, matcherList(rest))
	if len(culprits) > 0 {
		c.Text += ": " + strings.Join(culprits, "; ")
	} else {
		c.Text += ", and no single one of these is to blame"
	}
	return nil
}

// whose says where a matcher comes from, where that is not the selector.
func whose(m *labels.Matcher, asked []*labels.Matcher) string {
	if slices.Contains(asked, m) {
		return " (which the question or another part of the rule asks for)"
	}
	return ""
}

func metricText(name []*labels.Matcher) string {
	if len(name) == 1 && name[0].Type == labels.MatchEqual {
		return name[0].Value
	}
	return matcherList(name)
}

func (w *walker) neverSeen(c *Cause, metric string, name []*labels.Matcher, end time.Time) error {
	c.Code = NeverSeen
	c.Text = metric + " never seen"
	if later, err := w.known(w.s.now, name); err != nil {
		return err
	} else if later > 0 && end.Before(w.s.now) {
		c.Text += " before " + clock(end) + "; there are series of it now"
		return nil
	}
	if w.s.x.o.Beginning != nil {
		if from, ok := w.s.x.o.Beginning(); ok {
			c.Text += ": no sample of it since " + clock(from) + ", when the history begins"
			return nil
		}
	}
	c.Text += ": the history is empty"
	return nil
}

// valuesOf says which values a label has among the series that match.
func (w *walker) valuesOf(label string, ms []*labels.Matcher, end time.Time) (string, error) {
	if len(ms) == 0 {
		return "the selector names no metric", nil
	}
	series, total, err := w.s.x.o.Read(w.s.ctx, history.Reading{Matchers: ms, From: time.UnixMilli(0), To: end, MaxSeries: maxDistinct})
	if err != nil {
		return "", err
	}
	if total > len(series) {
		w.s.cut("of %d series, %d were looked at for values of the label %s", total, len(series), label)
	}
	values := map[string]bool{}
	for _, s := range series {
		if v := s.Labels.Get(label); v != "" {
			values[v] = true
		}
	}
	if len(values) == 0 {
		return "they have no label " + label, nil
	}
	sorted := slices.Sorted(maps.Keys(values))
	return label + " is " + few(quotedAll(sorted[:min(len(sorted), w.s.limits().Elements)]), len(sorted)), nil
}
