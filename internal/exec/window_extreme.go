package exec

import "math"

// windowExtreme is the smallest or greatest value of a lane's window, and the time of the newest sample that has it: as
// long as that is in the window, what came in is all there is to compare with.
type windowExtreme struct {
	value float64
	at    int64
}

// followMax brings the greatest value, and the state that says of which samples, to the window from lo to hi.
func (e *windowExtreme) followMax(s *windowState, t []int64, v []float64, lo, hi int) {
	_, to, ok := s.join(t, lo, hi)
	if !ok || e.at < t[lo] {
		to, e.value, e.at = lo, v[lo], t[lo]
	}
	s.set(t, lo, hi)
	most, at := e.value, -1
	for i := to; i < hi; i++ {
		if x := v[i]; x > most || most != most || math.Float64bits(x) == math.Float64bits(most) {
			most, at = x, i
		}
	}
	if at >= 0 {
		e.value, e.at = most, t[at]
	}
}

// followMin is followMax for the smallest value.
func (e *windowExtreme) followMin(s *windowState, t []int64, v []float64, lo, hi int) {
	_, to, ok := s.join(t, lo, hi)
	if !ok || e.at < t[lo] {
		to, e.value, e.at = lo, v[lo], t[lo]
	}
	s.set(t, lo, hi)
	least, at := e.value, -1
	for i := to; i < hi; i++ {
		if x := v[i]; x < least || least != least || math.Float64bits(x) == math.Float64bits(least) {
			least, at = x, i
		}
	}
	if at >= 0 {
		e.value, e.at = least, t[at]
	}
}
