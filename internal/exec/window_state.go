package exec

import "github.com/tocsin/tocsin/internal/rangefunc"

// windowState is what is remembered of a lane's window: n samples, the oldest at time first, the newest at last, and how
// many changes or falls there are among them. A state is not told when samples were inserted, trimmed or replaced, or
// when the evaluation time went back; it finds out (join).
type windowState struct {
	first, last int64
	n           uint32
	count       uint32
}

// join finds in t, whose samples from lo to hi are the window now, the samples from oldLo to oldHi that were the window
// when the state was made. It fails where that is not what they are, or where nothing of it is in the window any more. As
// times ascend, both ends in their places and as many samples between them as there were mean the same samples.
func (s *windowState) join(t []int64, lo, hi int) (oldLo, oldHi int, ok bool) {
	oldHi = hi
	for oldHi > lo && t[oldHi-1] > s.last {
		oldHi--
	}
	oldLo = oldHi - int(s.n)
	ok = oldHi > lo && t[oldHi-1] == s.last && oldLo >= 0 && oldLo <= lo && t[oldLo] == s.first
	return oldLo, oldHi, ok
}

// set makes the state that of the samples from lo to hi, of which there is one at least.
func (s *windowState) set(t []int64, lo, hi int) {
	s.first, s.last, s.n = t[lo], t[hi-1], uint32(hi-lo)
}

// followChanges brings a count of changes to the window from lo to hi.
func (s *windowState) followChanges(t []int64, v []float64, lo, hi int) {
	from, to, ok := s.join(t, lo, hi)
	switch {
	case !ok:
		s.count = 0
		to = lo + 1
	case s.count > 0:
		for i := from + 1; i <= lo; i++ {
			if rangefunc.Changed(v[i-1], v[i]) {
				s.count--
			}
		}
	}
	s.set(t, lo, hi)
	prev := v[to-1]
	for _, x := range v[to:hi] {
		if rangefunc.Changed(prev, x) {
			s.count++
		}
		prev = x
	}
}

// followFalls brings a count of falls to the window from lo to hi, and sum, unless it is nil, to the sum of the values
// before the falls. It does not look at sum where there are no falls.
func (s *windowState) followFalls(sum *windowSum, t []int64, v []float64, lo, hi int) {
	from, to, ok := s.join(t, lo, hi)
	switch {
	case !ok:
		s.forgetFalls(sum)
		to = lo + 1
	case s.count > 0:
		for i := from + 1; i <= lo; i++ {
			if v[i] < v[i-1] {
				s.forgetFall(sum, v[i-1])
			}
		}
	}
	s.set(t, lo, hi)
	prev := v[to-1]
	for _, x := range v[to:hi] {
		if x < prev {
			s.addFall(sum, prev)
		}
		prev = x
	}
}

func (s *windowState) addFall(sum *windowSum, before float64) {
	s.count++
	if sum != nil {
		sum.addFall(before)
	}
}

func (s *windowState) forgetFall(sum *windowSum, before float64) {
	if s.count == 1 {
		s.forgetFalls(sum)
		return
	}
	s.count--
	if sum != nil {
		sum.forgetFall(before)
	}
}

func (s *windowState) forgetFalls(sum *windowSum) {
	if s.count > 0 && sum != nil {
		*sum = windowSum{}
	}
	s.count = 0
}
