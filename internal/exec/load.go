package exec

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/tocsin/tocsin/internal/plan"
)

// fillBatch is how many series are filled before samples that arrive meanwhile get their turn.
const fillBatch = 64

// Load makes plans the ones that can be evaluated, replacing those of before. What both have in common goes on
// undisturbed. Windows that are new or have to reach further back, from now in Unix milliseconds, are filled from q.
// Plans of tier 0 are ignored. Feed may run meanwhile; evaluations of new plans bail until their windows are filled. An
// error is q's, and leaves the plans concerned to tier 0.
func (c *Core) Load(ctx context.Context, plans []*plan.Plan, q storage.Queryable, now int64) error {
	return c.load(ctx, plans, q, now, math.MaxInt64)
}

// load is Load that leaves out samples after maxt.
func (c *Core) load(ctx context.Context, plans []*plan.Plan, q storage.Queryable, now, maxt int64) error {
	c.loading.Lock()
	defer c.loading.Unlock()
	fresh := c.replace(plans)
	if len(fresh) == 0 {
		return nil
	}
	if err := c.fill(ctx, selectsOf(fresh), q, now, maxt); err != nil {
		return fmt.Errorf("filling windows of recent samples: %w", err)
	}
	c.bindFresh(fresh)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store.SetComplete(now)
	for _, r := range fresh {
		r.filled = true
	}
	return nil
}

// bindFresh does the label work of new plans, one operator at a time, so that samples that arrive are held up for one at
// most.
func (c *Core) bindFresh(fresh []*root) {
	bind := func(u *unit) {
		c.mu.Lock()
		defer c.mu.Unlock()
		u.op.bind()
	}
	for _, r := range fresh {
		for _, u := range r.order {
			bind(u)
		}
	}
}

// loadShare is for how long a Load holds up samples that arrive, about, at a time.
const loadShare = 500 * time.Microsecond

// replace builds what is new and drops what is gone. It returns the roots whose windows are to be filled. Until it is
// done, the plans of before are the ones that can be evaluated.
func (c *Core) replace(plans []*plan.Plan) (fresh []*root) {
	want := demandOf(plans, c.opts.Rest)
	c.mu.Lock()
	c.demand = want
	c.mu.Unlock()
	next := make(map[string]*root, len(plans))
	byPlan := make(map[*plan.Plan]*root, len(plans))
	c.inShares(len(plans), func(i int) {
		if p := plans[i]; p.Root() != nil {
			r := c.claim(p, next, &fresh)
			r.next = append(r.next, p)
			byPlan[p] = r
		}
	})
	c.mu.Lock()
	var gone []*root
	for key, r := range c.roots {
		if next[key] == nil {
			gone = append(gone, r)
		}
	}
	c.roots, c.byPlan = next, byPlan
	for _, r := range next {
		r.plans, r.next = r.next, nil
	}
	for _, r := range gone {
		r.streaming = false
		r.unit.roots = without(r.unit.roots, r)
	}
	c.mu.Unlock()
	c.inShares(len(gone), func(i int) { c.drop(gone[i].unit) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agenda = agenda{} // It would hold on to what went.
	c.spreadStreaming()
	return fresh
}

// claim returns p's root among next: one that another plan has claimed, one that there was, or a new one.
func (c *Core) claim(p *plan.Plan, next map[string]*root, fresh *[]*root) *root {
	key := p.Root().Key
	r := next[key]
	if r != nil {
		return r
	}
	if r = c.roots[key]; r == nil {
		r = c.newRoot(p.Root())
		*fresh = append(*fresh, r)
	} else if !r.filled { // A Load before this one failed.
		*fresh = append(*fresh, r)
	}
	next[key] = r
	return r
}

// inShares does n things under the lock, and lets others have it in between.
func (c *Core) inShares(n int, do func(i int)) {
	for i := 0; i < n; {
		c.mu.Lock()
		for began := time.Now(); i < n && time.Since(began) < loadShare; i++ {
			do(i)
		}
		c.mu.Unlock()
		c.opts.Rest()
	}
}

// selectsOf returns, by the matchers' keys, what the roots select, each with the longest span.
func selectsOf(roots []*root) map[string]*plan.Select {
	all := map[string]*plan.Select{}
	for _, r := range roots {
		for _, u := range r.order {
			sel := u.node.Select
			if sel == nil {
				continue
			}
			if known := all[sel.Key]; known == nil || sel.Range+sel.Offset > known.Range+known.Offset {
				all[sel.Key] = sel
			}
		}
	}
	return all
}

// fill brings the samples that windows need. It takes the lock a few series at a time.
func (c *Core) fill(ctx context.Context, selects map[string]*plan.Select, q storage.Queryable, now, maxt int64) error {
	c.mu.Lock()
	slack := c.env.slack
	c.mu.Unlock()
	for _, sel := range selects {
		mint := now - max(sel.Range, 0) - max(sel.Offset, 0) - c.env.lookback - slack
		if err := c.fillSelect(ctx, sel, q, mint, maxt); err != nil {
			return err
		}
	}
	return nil
}

func (c *Core) fillSelect(ctx context.Context, sel *plan.Select, q storage.Queryable, mint, maxt int64) error {
	querier, err := q.Querier(mint, maxt)
	if err != nil {
		return err
	}
	defer func() { _ = querier.Close() }() // It was read to its end or failed; closing has nothing to add.
	hints := &storage.SelectHints{Start: mint, End: maxt}
	set := querier.Select(ctx, false, hints, slices.Clone(sel.Matchers)...) // which the storage sorts
	batch := make([]seriesSamples, 0, fillBatch)
	var it chunkenc.Iterator
	for set.Next() {
		at := set.At()
		it = at.Iterator(it)
		one, err := readSeries(it, mint, maxt)
		if err != nil {
			return err
		}
		one.labels = at.Labels()
		batch = append(batch, one)
		if len(batch) == cap(batch) {
			c.fillSeries(batch, mint)
			batch = batch[:0]
		}
	}
	c.fillSeries(batch, mint)
	return set.Err()
}

type seriesSamples struct {
	labels labels.Labels
	t      []int64
	v      []float64
	// histogram is the time of the newest native histogram.
	histogram int64
}

func readSeries(it chunkenc.Iterator, mint, maxt int64) (seriesSamples, error) {
	s := seriesSamples{histogram: math.MinInt64}
	for kind := it.Seek(mint); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t > maxt {
			break
		}
		if kind != chunkenc.ValFloat {
			s.histogram = t
			continue
		}
		_, v := it.At()
		s.t, s.v = append(s.t, t), append(s.v, v)
	}
	return s, it.Err()
}

// fillSeries hands the series to the windows: all of their samples with times of at least mint.
func (c *Core) fillSeries(batch []seriesSamples, mint int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range batch {
		s := &batch[i]
		c.store.Fill(s.labels, s.t, s.v, mint-1, s.histogram)
	}
}
