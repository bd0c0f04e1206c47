// Package pace lets long work leave the processors to work that somebody waits for.
//
// Go hands a processor on after ten milliseconds or more, and every alert passes through a dozen goroutines: where one
// processor of two loads ten thousand rules, each of these may wait that long. Work that calls Rest between its pieces is
// away as long as it was at it, a millisecond at a time.
//
// The package must not know what the work is.
package pace

import "time"

const (
	// slice is for how long work goes on without a rest.
	slice = time.Millisecond
	// longest bounds a rest: a piece that took long, without a chance to rest, does not keep the rest waiting as long.
	longest = 10 * time.Millisecond
)

// Pace is the pace of one piece of work at a time. The zero value is ready for Begin; without one, nothing rests.
type Pace struct{ since time.Time }

// Begin says that work begins, End that nobody needs to be left room any more. Neither may be called during Rest.
func (p *Pace) Begin() { p.since = time.Now() }

// End is Begin's counterpart.
func (p *Pace) End() { p.since = time.Time{} }

// Rest sleeps when it is time to. It costs some ten nanoseconds otherwise.
func (p *Pace) Rest() {
	if p.since.IsZero() {
		return
	}
	if d := restAfter(time.Since(p.since)); d > 0 {
		time.Sleep(d)
		p.since = time.Now()
	}
}

// restAfter returns how long to rest after so much work.
func restAfter(worked time.Duration) time.Duration {
	if worked < slice {
		return 0
	}
	return min(worked, longest)
}
