// Package exec runs plans over columns: tier 1, vectorised Go. It is the oracle for every faster way.
//
// A Core is one tenant's compiled engine: it keeps windows of recent samples of the series that plans select, and an
// operator for each distinct node of all its plans, so that what rules share is computed once. Label work is done when
// series come and go; an evaluation moves numbers only. It must not know rules, alerts, schedules, or where samples come
// from. Whatever it cannot answer exactly it leaves to tier 0 by name (see Bail).
package exec

import (
	"context"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

const (
	// DefaultLookback is how far instant selectors reach back.
	DefaultLookback = 5 * time.Minute
	// DefaultSlack is how far before a series' newest sample an evaluation may be.
	DefaultSlack = 30 * time.Second
	// DefaultSlackSamples bounds the samples of a series that are kept for late evaluations alone.
	DefaultSlackSamples = 64
	// DefaultMaxBytes bounds the memory of all windows of a Core.
	DefaultMaxBytes = 2 << 30
	// DefaultSubqueryStep is the resolution of subqueries that name none.
	DefaultSubqueryStep = time.Minute
)

// Options configures a Core. The zero value is usable, but for subqueries, which bail without Range.
type Options struct {
	// Lookback is how far instant selectors reach back; default DefaultLookback.
	Lookback time.Duration
	// Slack is how far before a series' newest sample an evaluation may be without bailing, on top of what rules ask
	// for; the time by which rules are evaluated in the past belongs to it. Default DefaultSlack.
	Slack time.Duration
	// SlackSamples bounds the samples of a series that are kept for Slack alone; default DefaultSlackSamples.
	SlackSamples int
	// MaxBytes bounds the memory of all windows; default DefaultMaxBytes.
	MaxBytes int64
	// OutOfOrder says that history takes samples out of order.
	OutOfOrder bool
	// Range evaluates the steps of subqueries; nil: rules with subqueries bail.
	Range RangeFunc
	// Kernels runs the arithmetic of element-wise nodes; nil interprets it.
	Kernels kernel.Library
	// Separate computes every node by itself, without kernels: for comparison.
	Separate bool
	// Rest is called between the pieces of a Load, with no lock held, so that it can leave room to others; nil yields.
	Rest func()
	// Logger is told of mistakes in the engine itself; nil discards.
	Logger *slog.Logger
	// SubqueryStep returns the resolution of subqueries that name none; nil: DefaultSubqueryStep.
	SubqueryStep func() time.Duration
}

func (o Options) withDefaults() Options {
	if o.Lookback == 0 {
		o.Lookback = DefaultLookback
	}
	if o.Slack == 0 {
		o.Slack = DefaultSlack
	}
	if o.SlackSamples == 0 {
		o.SlackSamples = DefaultSlackSamples
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Rest == nil {
		o.Rest = runtime.Gosched
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SubqueryStep == nil {
		o.SubqueryStep = func() time.Duration { return DefaultSubqueryStep }
	}
	return o
}

// Core is one tenant's compiled engine. Its methods are safe for concurrent use; one lock a Core serialises what touches
// columns, and is never held while tier 0 works.
type Core struct {
	opts Options
	wake chan struct{}

	// loading lets one Load through at a time. It is taken before mu, as are the turns of subwindows.
	loading sync.Mutex

	mu    sync.Mutex // guards all below
	store *window.Store
	env   *env
	// units are the operators by their nodes' keys, roots the plans by the keys of their roots; byPlan finds the latter
	// faster.
	units  map[string]*unit
	roots  map[string]*root
	byPlan map[*plan.Plan]*root
	// sources are the selectors with the units that read them, by the selectors' keys.
	sources map[string]*source
	// bySelector finds the source of a selector that was touched.
	bySelector map[*window.Selector]*source
	// lines are the indexes over comparisons with numbers, by the keys of what is compared.
	lines    map[string]*lines
	lineHits uint64 // of those that went
	// demand is what the plans want that were loaded last.
	demand demand
	agenda agenda
	serial int
	pulses uint64
	// pulsed is the time of the last pulse. Before whole, series may have gone that the present slack would have kept.
	pulsed, whole int64
	bails         map[string]uint64
}

// New returns a Core without plans.
func New(o Options) *Core {
	o = o.withDefaults()
	c := &Core{
		opts: o,
		wake: make(chan struct{}, 1),
		store: window.New(window.Options{
			Lookback: o.Lookback.Milliseconds(), Slack: o.Slack.Milliseconds(), SlackSamples: o.SlackSamples,
			MaxBytes: o.MaxBytes, OutOfOrder: o.OutOfOrder,
		}),
		units:   map[string]*unit{},
		roots:   map[string]*root{},
		byPlan:  map[*plan.Plan]*root{},
		sources: map[string]*source{}, bySelector: map[*window.Selector]*source{},
		bails: map[string]uint64{}, lines: map[string]*lines{},
		whole: math.MinInt64,
	}
	c.env = &env{
		store: c.store, lookback: o.Lookback.Milliseconds(), slack: o.Slack.Milliseconds(),
		subqueryStep: func() int64 { return o.SubqueryStep().Milliseconds() },
		kernels:      o.Kernels,
	}
	return c
}

// Feed takes samples that history has committed, a batch at a time, at time now in Unix milliseconds: what is in one
// batch becomes visible together. It wakes who waits on Wake when a loaded plan reads one of them.
func (c *Core) Feed(batch []window.Sample, now int64) {
	c.mu.Lock()
	touched := c.store.Feed(batch, now)
	c.mu.Unlock()
	if touched {
		c.signal()
	}
}

func (c *Core) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // somebody is to be woken already
	}
}

// Wake returns a channel with room for one signal: samples have arrived since the last Pulse.
func (c *Core) Wake() <-chan struct{} { return c.wake }

// Eval evaluates p as of at, in Unix milliseconds, over all its lanes, and appends the result to buf, which the caller
// owns. The labels are shared and immutable. It fails with a *Bail when tier 0 has to answer. ctx is for the steps of
// subqueries; steady state without any allocates nothing.
func (c *Core) Eval(ctx context.Context, p *plan.Plan, at int64, buf promql.Vector) (promql.Vector, error) {
	if p.HasSubqueries() {
		leave, err := c.takeTurns(ctx, p)
		if err != nil {
			return buf, err
		}
		defer leave()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil || !r.filled {
		return buf, c.unknown(r)
	}
	if at+c.env.slack < c.store.Now() || at < c.whole {
		return buf, c.bailed(r, errWindow) // Series that were there then may have been evicted.
	}
	if err := c.fetchSteps(ctx, r, at); err != nil {
		return buf, c.bailed(r, err)
	}
	if len(r.subwindows) > 0 && c.find(p) != r {
		return buf, c.unknown(nil) // A Load took it away while tier 0 worked.
	}
	if err := r.eval(at); err != nil {
		return buf, c.bailed(r, err)
	}
	r.ticked = true
	out, err := r.appendResult(buf, at)
	if err != nil {
		return buf, c.bailed(r, err)
	}
	return out, nil
}

// unknown counts an evaluation of what is not there, or not ready; r may be nil.
func (c *Core) unknown(r *root) error {
	if r != nil {
		return c.bailed(r, errUnknown)
	}
	c.bails[ReasonUnknown]++
	return errUnknown
}

// Result appends p's elements, as the last Pulse left them, to buf: what Eval does, without computing anything again
// unless what p shares with others was moved to another time for them. It fails with a *Bail, which is not counted, where
// there is none: Eval may have one. T of the elements is at.
func (c *Core) Result(p *plan.Plan, at int64, buf promql.Vector) (promql.Vector, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil || !r.filled || !r.streaming || !r.unit.ready() {
		return buf, errUnknown
	}
	if r.synced != r.syncs() {
		if len(r.subwindows) > 0 {
			return buf, errSubquery // Its steps may not be there.
		}
		when := c.pulsed // One time for all, or rules that share nodes would undo each other's work.
		if c.pulses == 0 {
			when = at
		}
		if err := r.eval(when); err != nil {
			return buf, err
		}
	}
	out, err := r.appendResult(buf, at)
	if err != nil {
		return buf, err
	}
	return out, nil
}

// Reached reports whether every selector of p has seen a sample with timestamp at or later. Selectors that look into the
// past and those that select nothing have nothing to wait for.
func (c *Core) Reached(p *plan.Plan, at int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil {
		return true
	}
	for _, s := range r.sources {
		if s.selector.Lanes().Used() > 0 && s.selector.Reached() < at {
			return false
		}
	}
	return true
}

// Stream says which of the loaded plans are to follow arrivals in Pulse; the others are computed by Eval only. Load
// forgets it for plans that go.
func (c *Core) Stream(plans []*plan.Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.roots {
		r.streaming = false
	}
	for _, p := range plans {
		if r := c.find(p); r != nil {
			r.streaming = true
		}
	}
	c.spreadStreaming()
}

// SetLate says how long before the present rules are evaluated at most, by their offsets. It is for the next Load.
func (c *Core) SetLate(late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slack := (c.opts.Slack + late).Milliseconds()
	if now := c.store.Now(); slack > c.env.slack && now != math.MinInt64 {
		c.whole = max(c.whole, now-c.env.slack)
	}
	c.env.slack = slack
	c.store.SetSlack(c.env.slack)
}

// SetOutOfOrder says whether history takes samples out of order from now on.
func (c *Core) SetOutOfOrder(taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store.SetOutOfOrder(taken)
}

// find returns p's root, nil where it is not loaded.
func (c *Core) find(p *plan.Plan) *root {
	if r := c.byPlan[p]; r != nil {
		return r
	}
	if p.Root() == nil {
		return nil
	}
	return c.roots[p.Root().Key]
}
