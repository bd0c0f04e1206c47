package exec

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// subwindow is a function over a subquery. The steps of the subquery are what is kept: each tick adds the few that are
// new, which tier 0 evaluates, and repeats those that late samples may have changed. It does not follow arrivals.
type subwindow struct {
	output
	env  *env
	in   []operator
	call windowCall

	step int64
	// Steps in (floor, until] are known, where until is not never.
	floor, until int64
	rows         []stepRow // by lane
	byLabels     map[string]uint32
	buf          []byte

	// turn is held, from fetching steps to evaluating them, by whoever does; id is the order in which several are taken.
	turn chan struct{}
	id   int
}

// stepRow are the values of one series at the steps, ascending.
type stepRow struct {
	labels labels.Labels
	t      []int64
	v      []float64
}

func newSubwindow(n *plan.Node, in []operator, e *env) operator {
	s := &subwindow{env: e, in: in, call: newWindowCall(n), until: never, byLabels: map[string]uint32{}, turn: make(chan struct{}, 1)}
	s.node = n
	s.shape = shape{lanes: &column.Lanes{}, labels: s.label, named: s.call.keepsName}
	return s
}

func (s *subwindow) label(lane uint32) labels.Labels {
	if s.call.keepsName {
		return s.rows[lane].labels
	}
	return dropName(s.rows[lane].labels)
}

func (s *subwindow) bind() {}

// update does nothing: subqueries move at ticks.
func (s *subwindow) update(int64) error { return nil }

// missing returns which steps have to be evaluated before full(t): start, start+step, … end. There is always one at
// least unless the range holds none.
func (s *subwindow) missing(t int64) (start, end int64, ok bool) {
	q := s.node.Subquery
	step := q.Step
	if step == 0 {
		step = s.env.subqueryStep()
	}
	if step != s.step {
		s.step, s.until = step, never
	}
	first := firstStep(t-q.Offset-q.Range, step)
	end = firstStep(t-q.Offset, step) - step
	if s.until == never || first <= s.floor {
		s.floor, s.until = first-step, never
		return first, end, first <= end
	}
	late := firstStep(t-q.Offset-s.env.slack, step) - step
	start = max(first, min(s.until+step, late))
	return start, end, start <= end
}

// firstStep returns the first step after t.
func firstStep(t, step int64) int64 {
	first := step * (t / step)
	if first <= t {
		first += step
	}
	return first
}

// take replaces the steps from start to end by those in m.
func (s *subwindow) take(start, end int64, m promql.Matrix) error {
	for lane := range s.rows {
		r := &s.rows[lane]
		n := len(r.t)
		for n > 0 && r.t[n-1] >= start {
			n--
		}
		r.t, r.v = r.t[:n], r.v[:n]
	}
	for i := range m {
		if len(m[i].Histograms) > 0 {
			s.until = never
			return errHistogram
		}
		r := &s.rows[s.lane(m[i].Metric)]
		for _, p := range m[i].Floats {
			r.t, r.v = append(r.t, p.T), append(r.v, p.F)
		}
	}
	s.until = end
	return nil
}

// lane returns the lane of the series with labels ls.
func (s *subwindow) lane(ls labels.Labels) uint32 {
	s.buf = ls.Bytes(s.buf[:0])
	if lane, ok := s.byLabels[string(s.buf)]; ok {
		return lane
	}
	lane := s.lanes.Bind()
	if int(lane) == len(s.rows) {
		s.rows = append(s.rows, stepRow{})
	}
	s.rows[lane] = stepRow{labels: ls}
	s.byLabels[string(s.buf)] = lane
	s.column.Grow(s.lanes.Len())
	return lane
}

// full evaluates the function at t. The steps that it needs were taken before.
func (s *subwindow) full(t int64) error {
	q := s.node.Subquery
	from, to := t-q.Offset-q.Range, t-q.Offset
	clear(s.column.OK)
	if err := s.call.arguments(s.in); err != nil {
		return err
	}
	for lane := range s.rows {
		r := &s.rows[lane]
		if !s.lanes.Live().Has(uint32(lane)) {
			continue
		}
		s.trim(uint32(lane), from)
		lo, hi := 0, len(r.t)
		for lo < hi && r.t[lo] <= from {
			lo++
		}
		for hi > lo && r.t[hi-1] > to {
			hi--
		}
		if v, ok := s.call.apply(r.t[lo:hi], r.v[lo:hi], from, to); ok {
			s.column.V[lane] = v
			s.column.OK.Set(uint32(lane))
		}
	}
	s.floor = max(s.floor, from-s.env.slack-s.step)
	return nil
}

// trim forgets steps that no evaluation needs any more, and the series that has no others.
func (s *subwindow) trim(lane uint32, from int64) {
	r := &s.rows[lane]
	old := 0
	for old < len(r.t) && r.t[old] <= from-s.env.slack-s.step {
		old++
	}
	if old > len(r.t)/2 {
		r.t = append(r.t[:0], r.t[old:]...)
		r.v = append(r.v[:0], r.v[old:]...)
	}
	if len(r.t) == 0 {
		s.buf = r.labels.Bytes(s.buf[:0])
		delete(s.byLabels, string(s.buf))
		*r = stepRow{}
		s.lanes.Release(lane)
	}
}

// takeTurns waits for the turns of p's subqueries. They are given back by leave.
func (c *Core) takeTurns(ctx context.Context, p *plan.Plan) (leave func(), err error) {
	c.mu.Lock()
	var subs []*subwindow
	if r := c.find(p); r != nil {
		subs = slices.SortedFunc(slices.Values(r.subwindows), func(a, b *subwindow) int { return cmp.Compare(a.id, b.id) })
	}
	c.mu.Unlock()
	var taken []*subwindow
	leave = func() {
		for _, s := range taken {
			<-s.turn
		}
	}
	for _, s := range subs {
		select {
		case s.turn <- struct{}{}:
			taken = append(taken, s)
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}

// fetchSteps has tier 0 evaluate what r's subqueries lack for an evaluation at time at. The caller holds their turns and
// mu; mu is given up meanwhile.
func (c *Core) fetchSteps(ctx context.Context, r *root, at int64) error {
	for _, s := range r.subwindows {
		start, end, ok := s.missing(at)
		if !ok {
			continue
		}
		if c.opts.Range == nil {
			return errSubquery
		}
		text, step := s.node.Subquery.Text, time.Duration(s.step)*time.Millisecond
		m, err := func() (promql.Matrix, error) {
			c.mu.Unlock()
			defer c.mu.Lock()
			return c.opts.Range(ctx, text, time.UnixMilli(start), time.UnixMilli(end), step)
		}()
		if err == nil {
			err = s.take(start, end, m)
		}
		if err != nil {
			s.until = never
			if AsBail(err) != nil {
				return err
			}
			return &Bail{Reason: ReasonSubquery, Detail: err.Error()}
		}
	}
	return nil
}

// bytes returns what the steps occupy.
func (s *subwindow) bytes() int {
	n := s.column.Bytes() + s.lanes.Bytes()
	for i := range s.rows {
		n += 8*(cap(s.rows[i].t)+cap(s.rows[i].v)) + 64
	}
	return n
}
