package cold

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// compiled is tocsin's own engine: rules over columns, their arithmetic by a library of kernels.
type compiled struct {
	store   *history.Store
	core    *exec.Core
	library *jit.Library
	// warmUp has load wait until kernels are compiled and have run once.
	warmUp bool

	plans  []*plan.Plan
	failed failures
	// zero are the plans that only the upstream engine has: no arrival is followed for them.
	zero    []*plan.Plan
	batch   []window.Sample
	touched []exec.Touched
	buf     promql.Vector
	// bailed counts evaluations that were left to the upstream engine.
	bailed int
}

// newCompiled has no bound on memory but the machine's: what is cut off would be measured on another engine.
func newCompiled(s *history.Store, mode jit.Mode, warmUp bool, log *slog.Logger) *compiled {
	c := &compiled{store: s, warmUp: warmUp, library: jit.New(jit.Options{Mode: mode, Logger: log}), failed: failures{}}
	c.core = exec.New(exec.Options{MaxBytes: math.MaxInt64, Range: s.Range, Kernels: c.library})
	return c
}

func (c *compiled) load(ctx context.Context, plans []*plan.Plan, now int64) error {
	c.plans = plans
	if err := c.core.Load(ctx, plans, c.store, now); err != nil {
		return err
	}
	c.core.Stream(plans)
	for _, p := range plans {
		if p.Root() == nil {
			c.zero = append(c.zero, p)
		}
	}
	if !c.warmUp {
		return nil
	}
	return c.library.WarmUp(ctx)
}

func (c *compiled) feed(batch []history.Sample, now int64) {
	c.batch = c.batch[:0]
	for i := range batch {
		s := &batch[i]
		c.batch = append(c.batch, window.Sample{
			Ref: uint64(s.Ref), Labels: s.Labels, T: s.T, V: s.V, Histogram: s.H != nil || s.FH != nil,
		})
	}
	c.core.Feed(c.batch, now)
}

// eval leaves the elements in c.buf.
func (c *compiled) eval(ctx context.Context, p *plan.Plan, at int64) (err error) {
	c.buf, err = c.core.Eval(ctx, p, at, c.buf[:0])
	if exec.AsBail(err) == nil {
		return err
	}
	c.bailed++
	c.buf, err = c.store.Eval(ctx, p, time.UnixMilli(at))
	return err
}

func (c *compiled) first(ctx context.Context, at int64) error {
	for _, p := range c.plans {
		if err := c.eval(ctx, p, at); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.failed[p] = err
		}
	}
	if len(c.failed) == len(c.plans) {
		return allFail(c.failed, c.plans)
	}
	return nil
}

func (c *compiled) follow(ctx context.Context, at int64) (rules int, err error) {
	c.touched, _ = c.core.Pulse(at, c.touched[:0])
	for i := range c.touched {
		p := c.touched[i].Plan
		if c.failed[p] != nil {
			continue
		}
		c.buf, err = c.core.Result(p, at, c.buf[:0])
		if exec.AsBail(err) != nil {
			err = c.eval(ctx, p, at)
		}
		if err != nil {
			return rules, fmt.Errorf("rule %s: %w", p, err)
		}
		rules++
	}
	for _, p := range c.zero {
		if c.failed[p] != nil {
			continue
		}
		if err := c.eval(ctx, p, at); err != nil {
			return rules, fmt.Errorf("rule %s: %w", p, err)
		}
		rules++
	}
	return rules, nil
}

func (c *compiled) sums(ctx context.Context, at int64) ([]Sum, error) {
	out := make([]Sum, len(c.plans))
	for i, p := range c.plans {
		if c.failed[p] != nil {
			out[i] = failedSum()
			continue
		}
		var err error
		if c.buf, err = c.core.Result(p, at, c.buf[:0]); exec.AsBail(err) != nil {
			err = c.eval(ctx, p, at)
		}
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", p, err)
		}
		out[i] = sumOf(c.buf)
	}
	return out, nil
}

func (c *compiled) close() error { return c.library.Close() }
