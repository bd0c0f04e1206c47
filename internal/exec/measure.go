package exec

import (
	"github.com/tocsin/tocsin/internal/plan"
)

// Measured is what is known of a node at work.
type Measured struct {
	// Lanes is how many series, groups or matches the node has, Valid how many of them had a value last.
	Lanes, Valid int
	// Shared is how many nodes and plans use its value.
	Shared int
	// Evaluations is how often it was computed, whole or in part, NsPerEvaluation what that took on average.
	Evaluations     uint64
	NsPerEvaluation float64
	// Bytes is what its columns and tables occupy; windows of samples are counted for the whole Core, see Stats.
	Bytes int
	// Kernel is how the node's arithmetic runs, nil where it is none.
	Kernel *plan.Kernel
}

// Measure returns what is known of the node with the given key; false if no loaded plan has it.
func (c *Core) Measure(key string) (Measured, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.units[key]
	if u == nil {
		return Measured{}, false
	}
	out := u.op.out()
	m := Measured{Shared: u.holders, Evaluations: u.cost.evaluations, Bytes: u.bytes()}
	if m.Evaluations > 0 {
		m.NsPerEvaluation = float64(u.cost.total.Nanoseconds()) / float64(m.Evaluations)
	}
	if u.node.Scalar {
		m.Lanes, m.Valid = 1, 1
		return m, true
	}
	m.Kernel = u.kernel()
	m.Lanes, m.Valid = out.lanes.Used(), out.column.OK.Count()
	return m, true
}

// kernel says how u's arithmetic runs, nil where it is none.
func (u *unit) kernel() *plan.Kernel {
	k := &plan.Kernel{}
	switch op := u.op.(type) {
	case interface{ works() *work }:
		w := op.works()
		if w == nil {
			return nil
		}
		k.ID, k.Tier, k.Operations = w.runner.ID(), w.runner.Tier(), len(w.program.Code)
		k.Reason = w.runner.Why()
	case *lined:
		k.Indexed, k.ID, k.Tier, k.Operations = true, op.lines.runner.ID(), op.lines.runner.Tier(), 1
		k.Reason = op.lines.runner.Why()
	default:
		return nil
	}
	k.Lanes = u.op.out().lanes.Len()
	if u.cost.lanes > 0 {
		k.NsPerLane = float64(u.cost.swept.Nanoseconds()) / float64(u.cost.lanes)
	}
	return k
}

// Tier returns how p runs: 2 where machine code does some of its arithmetic, 1 where it is vectorised Go alone, 0 where p
// is not loaded, for which tier 0 answers.
func (c *Core) Tier(p *plan.Plan) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil {
		return 0
	}
	tier := 1
	for _, u := range r.order {
		switch op := u.op.(type) {
		case interface{ works() *work }:
			if w := op.works(); w != nil {
				tier = max(tier, w.runner.Tier())
			}
		case *lined:
			tier = max(tier, op.lines.runner.Tier())
		}
	}
	return tier
}

// Kernels returns the kernels of p, inputs first; nil where it has none.
func (c *Core) Kernels(p *plan.Plan) (kernels []plan.Kernel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil {
		return nil
	}
	for _, u := range r.order {
		if k := u.kernel(); k != nil {
			kernels = append(kernels, *k)
		}
	}
	return kernels
}

// bytes returns what u occupies, as far as its operator says so.
func (u *unit) bytes() int {
	n := u.op.out().column.Bytes()
	if b, ok := u.op.(interface{ bytes() int }); ok {
		n = b.bytes()
	}
	n += u.op.out().marks.Bytes()
	if u.unique != nil {
		n += u.unique.bytes()
	}
	return n
}

// Fallbacks returns how often p was left to tier 0, by reason; nil if never.
func (c *Core) Fallbacks(p *plan.Plan) map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.find(p)
	if r == nil || len(r.bails) == 0 {
		return nil
	}
	counts := make(map[string]uint64, len(r.bails))
	for reason, n := range r.bails {
		counts[reason] = n
	}
	return counts
}
