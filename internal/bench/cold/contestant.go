package cold

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
)

// contestant is one way of evaluating rules.
type contestant interface {
	// load makes plans the rules; all that is to happen before the first evaluation has happened after it.
	load(ctx context.Context, plans []*plan.Plan, now int64) error
	// feed shows what was committed.
	feed(batch []history.Sample, now int64)
	// first evaluates every rule in full, as of at.
	first(ctx context.Context, at int64) error
	// follow evaluates what the samples since then concern, as of at, and returns how many rules that were.
	follow(ctx context.Context, at int64) (rules int, err error)
	// sums are of all rules' results as follow left them, by rule.
	sums(ctx context.Context, at int64) ([]Sum, error)
	close() error
}

// Sum stands for a rule's result, so that results of two processes can be compared.
type Sum struct {
	// Elements is how many elements there are, -1 where the rule fails on the upstream engine.
	Elements int `json:"n"`
	// Labels is of all elements' labels, with those that are no finite number. Elements may come in any order.
	Labels uint64 `json:"l"`
	// Values is the sum of the finite values, Size that of their magnitudes.
	Values float64 `json:"v"`
	Size   float64 `json:"s"`
}

// failedSum stands for a rule that fails.
func failedSum() Sum { return Sum{Elements: -1} }

func sumOf(v promql.Vector) Sum {
	s := Sum{Elements: len(v)}
	for i := range v {
		h := fnv.New64a()
		h.Write([]byte(v[i].Metric.String()))
		switch f := v[i].F; {
		case math.IsNaN(f):
			h.Write([]byte("NaN"))
		case math.IsInf(f, 0):
			h.Write([]byte{byte(math.Float64bits(f) >> 63)})
		default:
			s.Values += f
			s.Size += math.Abs(f)
		}
		s.Labels += h.Sum64()
	}
	return s
}

// tolerance is by how much sums of values may differ, relative to the values: kept sums and upstream's add in another order.
const tolerance = 1e-9

func (s Sum) equal(o Sum) bool {
	return s.Elements == o.Elements && s.Labels == o.Labels && math.Abs(s.Values-o.Values) <= tolerance*max(s.Size, o.Size)
}

// upstream is the upstream engine over history: it evaluates every rule at each batch.
type upstream struct {
	store  *history.Store
	plans  []*plan.Plan
	last   []Sum
	failed failures
}

// failures are the rules that fail on the upstream engine at the first evaluation: over series that are made up, a match
// that is one-to-one in life may not be. They are left out from then on.
type failures map[*plan.Plan]error

func (u *upstream) load(_ context.Context, plans []*plan.Plan, _ int64) error {
	u.plans, u.last, u.failed = plans, make([]Sum, len(plans)), failures{}
	return nil
}

func (*upstream) feed([]history.Sample, int64) {}

func (u *upstream) first(ctx context.Context, at int64) error {
	for i, p := range u.plans {
		v, err := u.store.Eval(ctx, p, time.UnixMilli(at))
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			u.failed[p], u.last[i] = err, failedSum()
			continue
		}
		u.last[i] = sumOf(v)
	}
	if len(u.failed) == len(u.plans) {
		return allFail(u.failed, u.plans)
	}
	return nil
}

func allFail(f failures, plans []*plan.Plan) error {
	return errors.Join(errors.New("every rule fails over made-up series; the first"), f[plans[0]])
}

func (u *upstream) follow(ctx context.Context, at int64) (rules int, err error) {
	for i, p := range u.plans {
		if u.failed[p] != nil {
			continue
		}
		v, err := u.store.Eval(ctx, p, time.UnixMilli(at))
		if err != nil {
			return rules, err
		}
		u.last[i] = sumOf(v) // Next to nothing beside the evaluation.
		rules++
	}
	return rules, nil
}

func (u *upstream) sums(context.Context, int64) ([]Sum, error) { return u.last, nil }

func (*upstream) close() error { return nil }
