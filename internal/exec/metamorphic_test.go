package exec_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// crowd plays, beside a world's plans, others that share parts with them: their ticks are late, early and in between,
// and they come and go. None of it may be seen in what the world's plans return and report.
type crowd struct {
	*world
	others []*plan.Plan
	loaded []*plan.Plan
	// known is what an engine that believes Touched has for a plan; missing where there was no evaluation yet.
	known   map[*plan.Plan]promql.Vector
	touched []exec.Touched
	checked int
}

func newCrowd(t testing.TB, r *rand.Rand) *crowd {
	parts := []string{randomExpression(r, 1), randomExpression(r, 2), randomLeaf(r)}
	var texts, others []string
	for _, part := range parts {
		texts = append(texts, part, fmt.Sprintf("(%s) > 10", part), fmt.Sprintf("sum by (zone) (%s) > 5", part))
		others = append(others, fmt.Sprintf("(%s) < 3", part), fmt.Sprintf("-(%s)", part), fmt.Sprintf("vector(scalar(%s))", part))
	}
	texts = append(texts, `up > scalar(sum(m_total)) / 20`)
	others = append(others, `vector(scalar(sum(m_total)))`, `m_total`, `up`)
	c := &crowd{world: newWorld(t, r, texts...), known: map[*plan.Plan]promql.Vector{}}
	for _, text := range others {
		p := compile(t, text)
		if !slices.ContainsFunc(c.plans, func(x *plan.Plan) bool { return x.Root().Key == p.Root().Key }) {
			c.others = append(c.others, p)
		}
	}
	return c
}

// reload loads the world's plans and some of the others; those that are new know nothing yet.
func (c *crowd) reload() {
	c.loaded = slices.DeleteFunc(append(slices.Clone(c.plans), c.others...), func(*plan.Plan) bool { return c.r.IntN(4) == 0 })
	require.NoError(c.t, c.core.Load(context.Background(), c.loaded, c.storage, c.now))
	c.core.Stream(slices.DeleteFunc(slices.Clone(c.loaded), func(p *plan.Plan) bool {
		return c.r.IntN(6) == 0 && !slices.Contains(c.plans, p)
	}))
	for p := range c.known {
		if !slices.Contains(c.loaded, p) {
			delete(c.known, p)
		}
	}
}

// disturb evaluates some of the others at some time.
func (c *crowd) disturb() {
	for _, p := range c.loaded {
		if slices.Contains(c.plans, p) || c.r.IntN(4) > 0 {
			continue
		}
		at := c.now - c.r.Int64N(25_000)
		c.hold(p, at, func() (promql.Vector, error) { return c.core.Eval(context.Background(), p, at, nil) })
	}
}

// hold compares a result with upstream's.
func (c *crowd) hold(p *plan.Plan, at int64, eval func() (promql.Vector, error)) (promql.Vector, bool) {
	got, err := eval()
	if exec.AsBail(err) != nil {
		return nil, false
	}
	require.NoError(c.t, err)
	want, err := instantOf(context.Background(), c.upstream, c.storage, p.String(), time.UnixMilli(at))
	if err != nil && !ranked(p) {
		c.t.Fatalf("%s at %d: upstream fails: %v; compiled: %v", p, at, err, got)
	}
	if diff := diffRanked(p, want, got); diff != "" && err == nil {
		c.t.Log(c.core.Dump(p))
		c.t.Fatalf("%s at %d (now %d): %s", p, at, c.now, diff)
	}
	c.checked++
	return got, true
}

// pulse believes what is reported: of plans that are not reported as changed it takes what it knows for their result.
func (c *crowd) pulse() {
	c.touched, _ = c.core.Pulse(c.now, c.touched[:0])
	for _, x := range c.touched {
		if _, ok := c.known[x.Plan]; !ok || !x.Presence && !x.Values {
			continue
		}
		v, err := c.core.Result(x.Plan, c.now, nil)
		if err != nil {
			require.NotNil(c.t, exec.AsBail(err))
			delete(c.known, x.Plan)
			continue
		}
		c.known[x.Plan] = v
	}
	for p, v := range c.known {
		if arrivalsOnly(p) {
			c.hold(p, c.now, func() (promql.Vector, error) { return v, nil })
		}
	}
}

func (c *crowd) tick() {
	for _, p := range c.loaded {
		if !slices.Contains(c.plans, p) {
			continue
		}
		delete(c.known, p)
		if v, ok := c.hold(p, c.now, func() (promql.Vector, error) { return c.evalNow(p) }); ok {
			c.known[p] = v
		}
	}
}

// TestCrowd: what rules return and report does not depend on what others that share parts with them do, nor on when
// arrivals are followed, nor on plans that come and go.
func TestCrowd(t *testing.T) {
	seed := seedOf(t)
	checked := 0
	for i := range uint64(40) {
		c := newCrowd(t, rand.New(rand.NewPCG(seed, i)))
		c.interval(func() {})
		c.reload()
		for n := range 12 {
			c.interval(func() {
				if c.r.IntN(3) == 0 {
					c.disturb()
				}
				if c.r.IntN(2) == 0 {
					c.pulse()
				}
			})
			if c.r.IntN(10) == 0 {
				c.now += c.r.Int64N(400_000)
			}
			switch {
			case n == 8:
				c.core = exec.New(exec.Options{Range: c.rangeQuery}) // a restart
				clear(c.known)
				fallthrough
			case c.r.IntN(4) == 0:
				c.reload()
			}
			c.pulse()
			c.disturb()
			c.tick()
			if t.Failed() {
				t.Fatalf("seed %d, world %d", seed, i)
			}
		}
		checked += c.checked
	}
	t.Logf("%d results compared", checked)
}
