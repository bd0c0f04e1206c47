package engine

import (
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/wheel"
)

// streamer wakes groups on other occasions than their ticks: samples arrived for their rules, series went out of reach,
// a `for` or keep_firing_for ends. One goroutine runs it.
type streamer struct {
	stream  Stream
	logger  *slog.Logger
	metrics *streamMetrics
	pause   func() // between the pieces of what takes long
	// kick wakes the goroutine: it has to get up earlier than it wanted.
	kick chan struct{}

	// mu guards all below. Nobody waits for a group while holding it.
	mu    sync.Mutex
	wheel *wheel.Wheel
	// seats have numbers; those of free ones are nil.
	seats []*seat
	free  []uint32
	// sources are by the keys of their plans' roots, and by the plans.
	sources map[string]*source
	byPlan  map[*plan.Plan]*source
	// sleep is until when the goroutine sleeps, pulse when the Stream wants the next without an arrival, 0 never. In
	// milliseconds.
	sleep, pulseDue int64
	// now is the time of the pulse that is under way, and began its exact beginning.
	now   int64
	began time.Time
	// told are the cycles that were last logged.
	told string

	// Of the goroutine alone.
	touched  []exec.Touched
	panicked bool
}

// seat is the place of a rule that is evaluated on other occasions than ticks. All but the first two lines is guarded by
// the streamer.
type seat struct {
	number uint32
	group  *Group
	index  int // of the rule in the group
	state  *ruleState
	// source is nil where the rule only has deadlines.
	source *source
	// single says that no input is waited for, valued that a change of values matters, too.
	single, valued bool
	pace           pace
	waiting        waiting
	deadline       int64 // on the wheel; 0 is none
	// kept says, while seats are given, that it is taken.
	kept bool
}

// source is what rules with the same expression share. It is guarded by the streamer.
type source struct {
	seats []*seat
	// wakes are rules that have it beside their expression.
	wakes []*seat
	// pulsed is the time of the last pulse that changed the result, milliseconds.
	pulsed int64
	// evaluated is the time for which the expression was last evaluated in full, and ended when that was done.
	evaluated int64
	ended     time.Time
	// behind says that the result, as the Stream has it, is of an earlier time than a pulse that came before: a tick was
	// late. Then it is no good for arrivals until the expression is evaluated again.
	behind bool
}

func newStreamer(o Options, m *metrics) *streamer {
	if o.Stream == nil {
		return nil
	}
	return &streamer{
		stream: o.Stream, logger: o.Logger, metrics: newStreamMetrics(o.Registerer, o.Logger, m), pause: o.Rest,
		kick:  make(chan struct{}, 1),
		wheel: wheel.New(time.Now().UnixMilli()),
	}
}

// follow lets g be woken by s, which may be nil.
func (g *Group) follow(s *streamer) {
	if s != nil {
		g.streamer, g.arrivals = s, newArrivals(len(g.rules))
	}
}

// seatAll makes groups the ones that are woken, in place of those of before. Rules that have a seat keep it with all that
// they wait for.
func (s *streamer) seatAll(groups []*Group) {
	if s == nil {
		return
	}
	c := classify(groups, s.pause)
	s.mu.Lock()
	before := s.sources
	s.sources, s.byPlan = map[string]*source{}, map[*plan.Plan]*source{}
	var plans []*plan.Plan
	for i := range c.rules {
		r := &c.rules[i]
		seat := s.seatOne(r)
		if seat == nil || !r.follows() {
			continue
		}
		p := r.state.rule().Plan
		plans = append(plans, p)
		seat.source = s.shared(p, before)
		seat.source.seats = append(seat.source.seats, seat)
		s.byPlan[p] = seat.source
		for _, p := range PlansOf(r.state.rule())[1:] {
			if whyNotStreamed(p) == "" {
				plans = append(plans, p)
				s.byPlan[p] = s.shared(p, before)
				s.byPlan[p].wakes = append(s.byPlan[p].wakes, seat)
			}
		}
	}
	for i := range c.rules { // Strict groups evaluate the same expressions.
		state := c.rules[i].state
		state.source.Store(s.sourceOf(state.rule().Plan))
	}
	for _, seat := range s.seats {
		if seat != nil && !seat.kept {
			s.unseat(seat)
		} else if seat != nil {
			seat.kept = false
		}
	}
	tell := c.cycles != s.told
	s.told = c.cycles
	s.mu.Unlock()

	if tell && c.cycles != "" {
		s.logger.Warn("Rules read, directly or through others, what they record; they are evaluated at ticks only", "rules", c.cycles)
	}
	s.stream.Stream(plans)
	s.poke()
}

// seatOne gives a rule its seat, or brings the one that it has up to date; nil means that it needs none.
func (s *streamer) seatOne(r *classified) *seat {
	r.group.mu.Lock()
	evaluation := r.group.evaluation
	r.state.ticksOnly = r.ticksOnly
	r.group.mu.Unlock()
	if !r.deadlines && !r.follows() {
		r.state.seat.Store(nil)
		return nil
	}
	seat := r.state.seat.Load()
	if seat == nil {
		seat = s.newSeat(r)
	}
	def := r.state.rule()
	seat.kept, seat.source = true, nil
	seat.single = r.single
	seat.valued = def.Kind == rule.Recording || r.state.labelTemplates
	seat.pace = pace{settle: evaluation.Settle.Milliseconds()}
	if def.Kind == rule.Recording {
		seat.pace.spacing = max(seat.pace.settle, 1)
	}
	r.state.seat.Store(seat)
	if def.Kind == rule.Alerting {
		// A group that publishes later finds the seat.
		r.group.mu.Lock()
		at := r.group.deadline(r.state)
		r.group.mu.Unlock()
		s.setDeadline(seat, at)
	}
	return seat
}

func (s *streamer) newSeat(r *classified) *seat {
	seat := &seat{group: r.group, index: r.index, state: r.state}
	if r.follows() { // What its predecessor had still to see is lost, and its group may be warm.
		r.group.arrivals.post(r.index, byRetry, time.Now().UnixNano())
	}
	if n := len(s.free); n > 0 {
		seat.number, s.free = s.free[n-1], s.free[:n-1]
		s.seats[seat.number] = seat
		return seat
	}
	seat.number = uint32(len(s.seats))
	s.seats = append(s.seats, seat)
	return seat
}

func (s *streamer) unseat(seat *seat) {
	s.wheel.Cancel(waitTimer(seat))
	s.wheel.Cancel(deadlineTimer(seat))
	s.seats[seat.number] = nil
	s.free = append(s.free, seat.number)
	seat.state.seat.CompareAndSwap(seat, nil)
	seat.source = nil
}

// shared returns the source of p: the one of before, or a new one.
func (s *streamer) shared(p *plan.Plan, before map[string]*source) *source {
	key := p.Root().Key
	found := s.sources[key]
	if found == nil {
		if found = before[key]; found == nil {
			found = &source{}
		}
		found.seats, found.wakes = nil, nil
		s.sources[key] = found
	}
	return found
}

// sourceOf returns the source of p, nil where nobody follows it.
func (s *streamer) sourceOf(p *plan.Plan) *source {
	if found := s.byPlan[p]; found != nil || p.Root() == nil {
		return found
	}
	return s.sources[p.Root().Key]
}

// Each seat has two timers on the wheel.
func waitTimer(s *seat) uint32     { return 2 * s.number }
func deadlineTimer(s *seat) uint32 { return 2*s.number + 1 }
