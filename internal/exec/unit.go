package exec

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"time"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// never is the evaluation time of what was not evaluated as of one time.
const never = math.MinInt64

// unit is an operator with its place in the graph of all plans.
type unit struct {
	op   operator
	node *plan.Node
	id   int // for people
	in   []*unit
	uses []*unit
	// rank is 0 for leaves, otherwise one more than the highest of the inputs'.
	rank int
	// sources are all selectors at or below it.
	sources []*source
	// holders are the units and roots that use it; at none it goes.
	holders   int
	streaming bool
	streams   bool    // scratch of spreadStreaming
	roots     []*root // whose root it is
	unique    *uniqueness

	// at is the time of the full evaluation that the column is of, never where it is of no single time; version is
	// what was known then.
	at      int64
	version uint64
	// evaluated says that the column was computed at all, broken that the last attempt bailed.
	evaluated, broken bool
	queued            bool
	panicked          bool
	logger            *slog.Logger
	// reachedIn is the last pulse that looked for roots above it, boundIn the last that bound it.
	reachedIn, boundIn uint64
	// unseen says that it was evaluated in full since a pulse last updated it.
	unseen bool
	// windowed is the operator where it is one over windows of samples. All of these were last brought to time slid, and
	// took slideCost for it.
	windowed *windowed
	// fused is the operator where it is a kernel.
	fused *fused
	// lined is the operator where an index answers it.
	lined     *lined
	slid      int64
	slideCost time.Duration
	// stepped says that a subquery is at or below it: then the samples that are known do not tell whether it moved.
	stepped bool

	cost cost
}

// cost is what evaluations of a unit took.
type cost struct {
	evaluations uint64
	total       time.Duration
	// lanes are those that full evaluations went over, swept what these took.
	lanes uint64
	swept time.Duration
}

func (c *cost) add(d time.Duration) {
	c.evaluations++
	c.total += d
}

// guarded runs f and makes a panic in it a Bail: a mistake in one operator leaves the rules that need it to tier 0, and
// nobody else. It is logged once an operator.
func (u *unit) guarded(f func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err = &Bail{Reason: ReasonPanic, Detail: fmt.Sprint(p)}
		if !u.panicked {
			u.panicked = true
			u.logger.Error("A mistake in the compiled engine; the rules concerned run on the upstream engine",
				"expression", u.node.Key, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return f()
}

func (u *unit) ready() bool { return u.evaluated && !u.broken }

// known is a number that moves with every sample that could change u's value.
func (u *unit) known() uint64 {
	var v uint64
	for _, s := range u.sources {
		v += s.selector.Version()
	}
	return v
}

// full brings u's column to time at, where it is not there already. The inputs are.
func (u *unit) full(at int64) error {
	u.op.bind()
	known := u.known()
	// What an index answers stands where other evaluations of it left it: it is asked again, which costs next to nothing.
	if u.at == at && u.version == known && u.ready() && !u.stepped && u.lined == nil {
		return nil
	}
	start := time.Now()
	err := u.guarded(func() error { return u.op.full(at) })
	out := u.op.out()
	out.synced++
	out.marks.Clear()
	out.changed = false
	u.slideCost, u.slid = time.Since(start), at
	u.cost.add(u.slideCost)
	if out.lanes != nil && u.cost.evaluations > 1 { // The first one touches its memory for the first time.
		u.cost.lanes, u.cost.swept = u.cost.lanes+uint64(out.lanes.Len()), u.cost.swept+u.slideCost
	}
	if err == nil && u.unique != nil {
		err = u.unique.check(out)
	}
	if err != nil {
		u.at, u.broken = never, true
		return err
	}
	u.at, u.version, u.evaluated, u.broken, u.unseen = at, known, true, false, true
	return nil
}

// bind follows the lanes of u and of all below it, once a pulse: a unit that has nothing to update itself may still have
// lanes that came, which those that use it have seen through another.
func (u *unit) bind(pulse uint64) {
	if u.boundIn == pulse {
		return
	}
	u.boundIn = pulse
	for _, in := range u.in {
		in.bind(pulse)
	}
	u.op.bind()
}

// bindDeep is bind at any time, for those who are built on u.
func (u *unit) bindDeep() {
	for _, in := range u.in {
		in.bindDeep()
	}
	u.op.bind()
}

// update lets u follow its inputs' marks.
func (u *unit) update(now int64, pulse uint64) {
	start := time.Now()
	slides := u.windowed != nil && now-u.slid >= u.slideSpacing()
	if slides {
		u.windowed.slide = true
	}
	err := u.guarded(func() error {
		u.bind(pulse)
		if err := u.op.update(now); err != nil {
			return err
		}
		if len(u.uses) > 0 {
			u.retouch()
		}
		if u.unique != nil {
			return u.unique.check(u.op.out())
		}
		return nil
	})
	took := time.Since(start)
	if slides {
		u.slid, u.slideCost = now, took
	}
	u.cost.add(took)
	u.at = never
	u.broken = err != nil
}

// The windows of series that nothing arrives for move on, too, and what is made of all of them, such as the sum of their
// rates, must not mix times that lie far apart. So an arrival brings all windows of an operator to its time if they were
// not for slideAfter, or for slideRest times as long as that takes.
const (
	slideAfter = time.Second
	slideRest  = 1000
)

func (u *unit) slideSpacing() int64 { return max(slideAfter, slideRest*u.slideCost).Milliseconds() }

// retouch marks what a pulse may not see as changed, because a full evaluation since the last one has computed it
// already: others that use u have not followed that. Those that have find, as what stood there before, what stands there
// now.
func (u *unit) retouch() {
	out := u.op.out()
	if !u.unseen {
		return
	}
	u.unseen = false
	if u.node.Scalar {
		out.changed = true
		return
	}
	touch := func(w uint32) {
		out.marks.Add(w, out.column.V[w*column.WordLanes:][:column.WordLanes], out.column.OK[w])
	}
	switch {
	case u.fused != nil && len(u.fused.args) == 0:
		for _, in := range u.fused.in {
			for _, w := range in.marks.Words() {
				touch(w)
			}
		}
	case u.lined != nil:
		for _, w := range u.lined.in.marks.Words() {
			touch(w)
		}
	case u.node.Select != nil:
		for _, w := range u.sources[len(u.sources)-1].selector.Marks().Words() {
			touch(w)
		}
	case u.node.Op == plan.Map || u.node.Op == plan.Relabel || u.node.Op == plan.Sort:
		for _, w := range u.in[0].op.out().marks.Words() {
			touch(w)
		}
	default:
		for w := range out.column.OK {
			touch(uint32(w))
		}
	}
}
