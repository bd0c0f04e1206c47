package exec

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// Over evaluates plans over a storage that somebody else writes to: the samples that were added since the last
// evaluation are fed to a Core as if they arrived. It is for unit tests of rules and for comparison with upstream, where
// nobody tells of arrivals. It is not safe for concurrent use.
type Over struct {
	core     *Core
	storage  storage.Queryable
	fallback func(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error)
	plans    []*plan.Plan
	loaded   map[*plan.Plan]bool
	// last is, by the selectors' keys, the time up to which their series' samples were fed.
	last map[string]int64
	// ahead is how far beyond an evaluation's time its plans look, by negative offsets.
	ahead int64
	// newest is the latest time up to which anything was loaded or fed.
	newest int64
	refs   map[string]uint64
	// Compiled and Left count the evaluations that the columns and the fallback answered; Bails those of the latter
	// that a compiled plan left to it, by reason.
	Compiled, Left int
	Bails          map[string]int
}

// NewOver returns an evaluator over q. fallback answers for tier 0.
func NewOver(o Options, q storage.Queryable, fallback func(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error)) *Over {
	return &Over{
		core: New(o), storage: q, fallback: fallback, loaded: map[*plan.Plan]bool{}, last: map[string]int64{}, refs: map[string]uint64{},
		Bails: map[string]int{},
	}
}

// Core returns what evaluates.
func (o *Over) Core() *Core { return o.core }

// Eval evaluates p at one time, which should not lie before that of the last evaluation: what lies far before is left to
// the fallback.
func (o *Over) Eval(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error) {
	now := at.UnixMilli()
	if !o.loaded[p] {
		o.loaded[p] = true
		o.plans = append(o.plans, p)
		o.look(p)
		o.newest = max(o.newest, now+o.ahead)
		if err := o.core.load(ctx, o.plans, o.storage, now, o.newest); err != nil {
			return nil, err
		}
	}
	if err := o.follow(ctx, p, now); err != nil {
		return nil, err
	}
	if p.Root() == nil {
		o.Left++
		return o.fallback(ctx, p, at)
	}
	v, err := o.core.Eval(ctx, p, now, nil)
	if b := AsBail(err); b != nil {
		o.Left++
		o.Bails[b.Reason]++
		return o.fallback(ctx, p, at)
	}
	o.Compiled++
	return v, err
}

// look notes how far p looks ahead.
func (o *Over) look(p *plan.Plan) {
	if p.Root() == nil {
		return
	}
	p.Root().Walk(func(n *plan.Node) {
		if n.Select != nil {
			o.ahead = max(o.ahead, -n.Select.Offset)
		}
	})
}

// follow feeds what was added, up to now, to the series that p selects.
func (o *Over) follow(ctx context.Context, p *plan.Plan, now int64) error {
	if p.Root() == nil {
		return nil
	}
	to := now + o.ahead
	o.newest = max(o.newest, to)
	var failed error
	p.Root().Walk(func(n *plan.Node) {
		if n.Select == nil || failed != nil {
			return
		}
		if failed = o.followSelect(ctx, n.Select, to, now); failed == nil {
			o.last[n.Select.Key] = max(o.last[n.Select.Key], to)
		}
	})
	return failed
}

func (o *Over) followSelect(ctx context.Context, sel *plan.Select, to, now int64) (err error) {
	mint, ok := o.last[sel.Key]
	if !ok || mint > to {
		mint = to // What there was before the plan was loaded is there.
	}
	querier, err := o.storage.Querier(mint, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, querier.Close()) }()
	set := querier.Select(ctx, false, &storage.SelectHints{Start: mint, End: to}, slices.Clone(sel.Matchers)...) // which the storage sorts
	for set.Next() {
		s, err := readSeries(set.At().Iterator(nil), mint, to)
		if err != nil {
			return err
		}
		o.feed(set.At().Labels(), s, now)
	}
	return set.Err()
}

func (o *Over) feed(ls labels.Labels, s seriesSamples, now int64) {
	key := string(ls.Bytes(nil))
	ref := o.refs[key]
	if ref == 0 {
		ref = uint64(len(o.refs) + 1)
		o.refs[key] = ref
	}
	var batch []window.Sample
	for i, t := range s.t {
		batch = append(batch, window.Sample{Ref: ref, Labels: ls, T: t, V: s.v[i]})
	}
	if s.histogram != math.MinInt64 {
		batch = append(batch, window.Sample{Ref: ref, Labels: ls, T: s.histogram, Histogram: true})
	}
	o.core.Feed(batch, now)
}
