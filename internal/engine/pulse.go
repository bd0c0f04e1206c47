package engine

import (
	"runtime/debug"
	"time"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/wheel"
)

const (
	// bailSpacing is the least time between two evaluations of one rule on arrival for which there was no ready result.
	bailSpacing = time.Second
	// clockTolerance is by how many milliseconds the clock may be set back without notice.
	clockTolerance = 1000
	// longSleep is how long the goroutine sleeps when nothing is due.
	longSleep = time.Hour
)

// run wakes groups until stop is closed.
func (s *streamer) run(stop <-chan struct{}) {
	timer := time.NewTimer(longSleep)
	defer timer.Stop()
	for {
		timer.Reset(s.rest(time.Now()))
		select {
		case <-stop:
			return
		case <-s.stream.Wake():
			s.pulse()
		case <-timer.C:
			s.pulse()
		case <-s.kick:
		}
	}
}

// rest returns how long there is nothing to do, from now on, unless somebody pokes.
func (s *streamer) rest(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.UnixMilli() < s.wheel.Now()-clockTolerance {
		s.rewind(now.UnixMilli())
	}
	next := now.Add(longSleep).UnixMilli()
	if at, ok := s.wheel.Next(); ok {
		next = min(next, at)
	}
	if s.pulseDue > 0 {
		next = min(next, max(s.pulseDue, s.now+1)) // Not again for what the last pulse could not do.
	}
	s.sleep = next
	return max(time.UnixMilli(next).Sub(now), 0)
}

// rewind goes on at now, in milliseconds, after the clock was set back: what waits is looked at soon, and deadlines are
// when they are by the new time.
func (s *streamer) rewind(now int64) {
	s.wheel, s.now, s.pulseDue = wheel.New(now), now, now
	for _, seat := range s.seats {
		if seat == nil {
			continue
		}
		if seat.deadline != 0 {
			s.wheel.Schedule(deadlineTimer(seat), seat.deadline)
		}
		w := &seat.waiting
		w.hold = min(w.hold, now+bailSpacing.Milliseconds())
		if w.since != 0 {
			w.since = min(w.since, now)
			s.wheel.Schedule(waitTimer(seat), now+1)
		}
	}
	for _, source := range s.sources {
		source.pulsed = 0
	}
}

// poke lets the goroutine look again when it has to get up.
func (s *streamer) poke() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// pulse lets what arrived through and wakes the groups of the rules that are to be evaluated. A panic in it harms only
// the arrivals of this time: ticks see them, too.
func (s *streamer) pulse() {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.metrics.panics.Inc()
		if !s.panicked {
			s.panicked = true
			s.logger.Error("Following arrivals panicked; rules are evaluated at their ticks all the same", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	began := time.Now()
	now := began.UnixMilli()
	touched, next := s.stream.Pulse(now, s.touched[:0])
	s.metrics.pulses.Observe(time.Since(began).Seconds())
	s.touched = touched

	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.began, s.pulseDue = now, began, next
	for i := range touched {
		s.touch(&touched[i])
	}
	s.wheel.Advance(now, s.ring)
	clear(touched)
}

// touch decides about the rules of one touched plan.
func (s *streamer) touch(t *exec.Touched) {
	source := s.sourceOf(t.Plan)
	if source == nil {
		return
	}
	if t.Presence || t.Values {
		source.pulsed = s.now
		if source.evaluated < s.now && !source.ended.Before(s.began) {
			source.behind = true // Which of the two was first is not known.
		}
	}
	in := touch{why: byArrival, at: t.At}
	if t.At == 0 {
		in.why = byTime
	}
	for _, seat := range source.seats {
		in.changed = t.Presence || t.Values && seat.valued || source.behind
		if in.changed || seat.waiting.since != 0 {
			s.decide(seat, in)
		}
	}
	for _, seat := range source.wakes {
		if in.changed = t.Presence; in.changed && seat.state.mayLapse.Load() {
			s.decide(seat, in)
		}
	}
}

// decide decides about one rule when in happened.
func (s *streamer) decide(seat *seat, in touch) {
	at := seat.waiting.bar(in)
	in.complete = at == 0 || seat.single || s.stream.Reached(seat.state.rule().Plan, at)
	next, d := seat.waiting.touched(in, seat.pace, s.now)
	seat.waiting = next
	s.act(seat, d)
}

// ring is called for each timer of the wheel that is due.
func (s *streamer) ring(timer uint32) {
	seat := s.seats[timer/2]
	if seat == nil {
		return
	}
	if timer == deadlineTimer(seat) {
		seat.deadline = 0
		s.decide(seat, touch{why: byDeadline, changed: true})
		return
	}
	next, d := seat.waiting.due(seat.pace, s.now)
	seat.waiting = next
	s.act(seat, d)
}

// act does what was decided about a rule.
func (s *streamer) act(seat *seat, d decision) {
	switch {
	case d.joined:
		s.metrics.coalesced.Inc()
	case d.settled:
		s.metrics.settled.Inc()
	case d.timedOut:
		s.metrics.timedOut.Inc()
	}
	if d.wake != 0 {
		s.wheel.Schedule(waitTimer(seat), d.wake)
	}
	if !d.evaluate {
		return
	}
	s.wheel.Cancel(waitTimer(seat))
	since := s.began.UnixNano()
	if d.since != s.now {
		since = time.UnixMilli(d.since).UnixNano()
	}
	seat.group.arrivals.post(seat.index, d.why, since)
}

// again puts off the evaluation of a rule that was begun, to the given time in milliseconds.
func (s *streamer) again(seat *seat, why trigger, since, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seats[seat.number] != seat {
		return
	}
	seat.waiting = seat.waiting.again(why|byRetry, since/int64(time.Millisecond), at)
	s.wheel.Schedule(waitTimer(seat), at)
	s.pokeBefore(at)
}

// watch puts a rule's deadline on the wheel in place of the one that it had; 0 is none.
func (s *streamer) watch(seat *seat, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seats[seat.number] == seat {
		s.setDeadline(seat, at)
	}
}

func (s *streamer) setDeadline(seat *seat, at int64) {
	switch {
	case at == seat.deadline:
		return
	case at == 0:
		s.wheel.Cancel(deadlineTimer(seat))
	default:
		s.wheel.Schedule(deadlineTimer(seat), at)
		s.pokeBefore(at)
	}
	seat.deadline = at
}

func (s *streamer) pokeBefore(at int64) {
	if at < s.sleep {
		s.poke()
	}
}

// evaluatedInFull notes that somebody had an expression evaluated in full, as of at, until ended.
func (s *streamer) evaluatedInFull(source *source, at, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source.evaluated, source.ended = at.UnixMilli(), ended
	source.behind = source.evaluated < source.pulsed
}

// evaluatedElsewhere is evaluatedInFull for an expression that has just been evaluated and may be no rule's.
func (s *streamer) evaluatedElsewhere(p *plan.Plan, at time.Time) {
	if s == nil {
		return
	}
	s.mu.Lock()
	source := s.sourceOf(p)
	s.mu.Unlock()
	if source != nil {
		s.evaluatedInFull(source, at, time.Now())
	}
}

// ready reports whether the Stream has a rule's result.
func (s *streamer) ready(seat *seat) (follows, ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return seat.source != nil, seat.source != nil && !seat.source.behind
}
