package exec

import (
	"math"

	"github.com/tocsin/tocsin/internal/rangefunc"
)

// windowSum is a running sum of a lane's window, hi+lo: of all values, or of those before each fall. It is kept to twice
// the precision of a float64, so that what came in can be taken out again. How far it can be trusted follows from what
// went through it; where that is not far enough, the window is summed up anew.
type windowSum struct {
	hi, lo float64
	// peak is the greatest magnitude that went in since the sum was made, ops how many operations that were.
	peak float64
	ops  uint32
	// odd counts the values in the window that are not in the sum as they would spoil it.
	odd uint32
}

// add adds x: without error to hi, what is lost there to lo (Knuth's two-sum).
func (s *windowSum) add(x float64) {
	sum := s.hi + x
	part := sum - s.hi
	s.lo += (s.hi - (sum - part)) + (x - part)
	s.hi = sum
	s.peak = max(s.peak, math.Abs(x))
}

// normalise moves what has gathered in lo to hi.
func (s *windowSum) normalise() {
	sum := s.hi + s.lo
	s.lo -= sum - s.hi
	s.hi = sum
}

// addFall adds the value before a fall.
func (s *windowSum) addFall(before float64) {
	if !summable(before) {
		s.odd++
		return
	}
	s.add(before)
	s.normalise()
}

func (s *windowSum) forgetFall(before float64) {
	if !summable(before) {
		s.odd--
		return
	}
	s.add(-before)
	s.normalise()
}

// summable reports whether a counter's value before a fall makes no trouble in a sum.
func summable(x float64) bool { return x >= 0 && x < 1e290 }

// rise returns by how much a counter with values v rose, given that it fell so often. Upstream adds up in the order of
// time, which loses what is small beside the counter's values; where that could be seen, so it is done here.
func (s *windowSum) rise(v []float64, falls uint32) float64 {
	first, last := v[0], v[len(v)-1]
	if falls == 0 {
		return last - first
	}
	rise := last - first + s.hi + s.lo
	lost := float64(falls+3)*0x1p-52*(math.Abs(first)+math.Abs(last)+s.hi) + s.peak*0x1p-80
	if s.odd == 0 && lost <= 1e-11*math.Abs(rise) {
		return rise
	}
	return rangefunc.CounterIncrease(v)
}

// follow brings the sum of all values, and the state that says of which, to the window from lo to hi.
func (s *windowSum) follow(state *windowState, t []int64, v []float64, lo, hi int) {
	from, to, ok := state.join(t, lo, hi)
	if !ok {
		*s = windowSum{}
		from, to = lo, lo
	}
	state.set(t, lo, hi)
	for _, x := range v[from:lo] {
		if finite(x) {
			s.add(-x)
		} else {
			s.odd--
		}
	}
	for _, x := range v[to:hi] {
		if finite(x) {
			s.add(x)
		} else {
			s.odd++
		}
	}
	if moves := lo - from + hi - to; moves > 0 {
		s.ops += uint32(moves)
		s.normalise()
	}
}

func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat64 }

// sum returns the sum of v, the window's values, to which s was brought.
func (s *windowSum) sum(v []float64) float64 {
	if s.settle(v) {
		return s.hi + s.lo
	}
	x, _ := rangefunc.Sum(nil, v, nil)
	return x
}

// avg returns the mean of v, the window's values, to which s was brought.
func (s *windowSum) avg(v []float64) float64 {
	if s.settle(v) {
		n := float64(len(v))
		return s.hi/n + s.lo/n
	}
	x, _ := rangefunc.Avg(nil, v, nil)
	return x
}

// settle reports whether the sum of v can be trusted; where it cannot, it is made anew first.
func (s *windowSum) settle(v []float64) bool {
	if s.exact(len(v)) {
		return true
	}
	if s.odd > 0 || int(s.ops) == len(v) {
		return false // A new sum would be no better.
	}
	*s = windowSum{ops: uint32(len(v))}
	for _, x := range v {
		s.add(x)
	}
	s.normalise()
	return s.exact(len(v))
}

// exact reports whether the sum of n values is as upstream's to 1e-11. With two parts of 53 bits the error is below
// n·ops²·2^-106 of the greatest value that went in, be it gone since; that of upstream's compensated sum is smaller.
func (s *windowSum) exact(n int) bool {
	ops := float64(n) + float64(s.ops)
	return s.odd == 0 && s.peak < 1e290 && s.peak*float64(n)*ops*ops*0x1p-100 <= 1e-11*math.Abs(s.hi)
}
