package notify

import "time"

// circuitState is what a circuit is in.
type circuitState int

const (
	// circuitClosed: attempts are made.
	circuitClosed circuitState = iota
	// circuitOpen: the integration failed again and again, and none is made until a certain time.
	circuitOpen
	// circuitHalfOpen: that time has come, and one attempt at a time finds out.
	circuitHalfOpen
)

// String returns the state in the word that is shown.
func (s circuitState) String() string {
	switch s {
	case circuitClosed:
		return "closed"
	case circuitOpen:
		return "open"
	case circuitHalfOpen:
		return "half_open"
	}
	panic("BUG: unknown state of a circuit")
}

// openAfter is how many attempts in a row fail before a circuit opens.
const openAfter = 5

// circuit keeps an integration that does not answer from being asked all the time. Its methods are pure: they return
// what it becomes.
type circuit struct {
	state    circuitState
	failures int       // in a row
	opened   int       // how often in a row it opened
	until    time.Time // while open
	probing  bool      // while half open: the one attempt is under way
}

// allow reports whether an attempt may begin at now, and what the circuit becomes if it does. Where it may not, and time
// alone can change that, until says when.
func (c circuit) allow(now time.Time) (next circuit, ok bool, until time.Time) {
	switch {
	case c.state == circuitClosed:
		return c, true, time.Time{}
	case c.state == circuitOpen && now.Before(c.until):
		return c, false, c.until
	case c.probing:
		return c, false, time.Time{}
	}
	c.state, c.probing = circuitHalfOpen, true
	return c, true, time.Time{}
}

// succeeded is the circuit after an attempt that the receiver answered.
func (c circuit) succeeded() circuit { return circuit{} }

// failed is the circuit after an attempt that failed at now; wait is how long it stays open after having opened for the
// n-th time in a row.
func (c circuit) failed(now time.Time, wait func(n int) time.Duration) circuit {
	c.failures++
	if c.state == circuitOpen || c.state == circuitClosed && c.failures < openAfter {
		return c // Open: an attempt that began before it opened.
	}
	c.state, c.probing = circuitOpen, false
	c.opened++
	c.until = now.Add(wait(c.opened))
	return c
}

// aborted is the circuit after an attempt that ended without an outcome.
func (c circuit) aborted() circuit {
	c.probing = false
	return c
}

// due is the circuit when there is reason to believe that the integration works again: the next attempt is made at once.
func (c circuit) due(now time.Time) circuit {
	if c.state == circuitOpen {
		c.until = now
	}
	return c
}
