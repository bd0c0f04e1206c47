package bench

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// tier is one way to evaluate plans.
type tier interface {
	// number is the tier's.
	number() int
	// load makes plans the ones to be evaluated; q has the samples so far.
	load(ctx context.Context, plans []*plan.Plan, q storage.Queryable, now int64) error
	// feed shows the tier what was committed and returns how long the tier took over it.
	feed(batch []history.Sample, now int64) time.Duration
	// eval evaluates one plan and may use buf for the result. An exec.Bail says that tier 0 has to answer.
	eval(ctx context.Context, p *plan.Plan, at int64, buf promql.Vector) (promql.Vector, error)
	// close gives back what is not the collector's.
	close() error
}

// streamer is a tier that follows arrivals.
type streamer interface {
	// stream has all plans follow arrivals.
	stream(plans []*plan.Plan)
	// pulse lets what was fed run through the plans and returns how many were touched.
	pulse(now int64) int
}

// upperTiers makes those above tier 0, in the order of reports.
func upperTiers(s *history.Store) []tier {
	return []tier{newColumns(s, nil), newColumns(s, jit.New(jit.Options{}))}
}

// upstream is tier 0: the upstream engine over history.
type upstream struct{ store *history.Store }

func (upstream) close() error                                                       { return nil }
func (upstream) number() int                                                        { return 0 }
func (upstream) load(context.Context, []*plan.Plan, storage.Queryable, int64) error { return nil }
func (upstream) feed([]history.Sample, int64) time.Duration                         { return 0 }
func (u upstream) eval(ctx context.Context, p *plan.Plan, at int64, _ promql.Vector) (promql.Vector, error) {
	return u.store.Eval(ctx, p, time.UnixMilli(at))
}

// columns is tier 1, vectorised Go over columns, or tier 2, where machine code does the arithmetic.
type columns struct {
	core    *exec.Core
	kernels *jit.Library // nil on tier 1
	batch   []window.Sample
	touched []exec.Touched
}

// newColumns has no bound on memory but the machine's: what is cut off would be measured on tier 0.
func newColumns(s *history.Store, kernels *jit.Library) *columns {
	o := exec.Options{MaxBytes: math.MaxInt64, Range: s.Range}
	if kernels != nil {
		o.Kernels = kernels
	}
	return &columns{core: exec.New(o), kernels: kernels}
}

func (c *columns) number() int {
	if c.kernels != nil {
		return 2
	}
	return 1
}

func (c *columns) load(ctx context.Context, plans []*plan.Plan, q storage.Queryable, now int64) error {
	if err := c.core.Load(ctx, plans, q, now); err != nil || c.kernels == nil {
		return err
	}
	return c.kernels.WarmUp(ctx)
}

func (c *columns) close() error {
	if c.kernels == nil {
		return nil
	}
	return c.kernels.Close()
}

func (c *columns) feed(batch []history.Sample, now int64) time.Duration {
	c.batch = c.batch[:0]
	for i := range batch {
		s := &batch[i]
		c.batch = append(c.batch, window.Sample{
			Ref: uint64(s.Ref), Labels: s.Labels, T: s.T, V: s.V, Histogram: s.H != nil || s.FH != nil,
		})
	}
	began := time.Now()
	c.core.Feed(c.batch, now)
	return time.Since(began)
}

func (c *columns) eval(ctx context.Context, p *plan.Plan, at int64, buf promql.Vector) (promql.Vector, error) {
	return c.core.Eval(ctx, p, at, buf[:0])
}

func (c *columns) stream(plans []*plan.Plan) { c.core.Stream(plans) }

func (c *columns) pulse(now int64) int {
	c.touched, _ = c.core.Pulse(now, c.touched[:0])
	return len(c.touched)
}
