package threshold

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/column"
)

// points is the lines that are about the constants themselves: == holds in no other slot, != in all others that are of a
// value, NaN among them.
type points struct {
	equal, unequal perPoint
	// delta is, by point, the lanes that come there or go; touched are the points that have some.
	delta   []uint64
	touched []uint32
}

// perPoint is lines by constant.
type perPoint struct {
	lines []*Line
	at    []uint32 // by line: its point
	from  []uint32 // by point: its first line. One more ends the last.
}

func newPerPoint(all []*Line, s *scale, op Op) perPoint {
	var p perPoint
	for _, l := range all {
		if l.op == op {
			p.lines = append(p.lines, l)
		}
	}
	slices.SortFunc(p.lines, func(x, y *Line) int { return cmp.Compare(x.c, y.c) })
	p.from = make([]uint32, len(s.keys)+2)
	for _, l := range p.lines {
		at := pointOf(s.slot(l.c))
		p.at = append(p.at, at)
		p.from[at+1]++
	}
	for i := 1; i < len(p.from); i++ {
		p.from[i] += p.from[i-1]
	}
	return p
}

// of returns the lines of a point.
func (p *perPoint) of(point uint32) []*Line { return p.lines[p.from[point]:p.from[point+1]] }

func (p *perPoint) bytes() int { return 8*cap(p.lines) + 4*(cap(p.at)+cap(p.from)) }

func newPoints(all []*Line, s *scale) points {
	return points{
		equal:   newPerPoint(all, s, Equal),
		unequal: newPerPoint(all, s, NotEqual),
		delta:   make([]uint64, len(s.keys)+1),
	}
}

// empty reports whether there are no lines.
func (p *points) empty() bool { return len(p.equal.lines)+len(p.unequal.lines) == 0 }

// move takes down that the lanes of mask go from one slot to another.
func (p *points) move(from, to uint32, mask uint64) {
	if p.empty() {
		return
	}
	if isPoint(from) {
		p.meet(pointOf(from), mask)
	}
	if isPoint(to) {
		p.meet(pointOf(to), mask)
	}
}

func (p *points) meet(point uint32, mask uint64) {
	if p.delta[point] == 0 {
		p.touched = append(p.touched, point)
	}
	p.delta[point] ^= mask
}

// apply changes the lines as taken down, in word w, and returns how many lanes changed in all lines together. present is
// the lanes that began or ceased to have a value.
func (p *points) apply(w uint32, present uint64, j *journal) (toggles int) {
	if p.empty() {
		return 0
	}
	for _, point := range p.touched {
		toggles += toggle(p.equal.of(point), w, p.delta[point], j)
		if present == 0 {
			toggles += toggle(p.unequal.of(point), w, p.delta[point], j)
		}
	}
	if present != 0 {
		for i, point := range p.unequal.at {
			if mask := present ^ p.delta[point]; mask != 0 {
				toggles += toggle(p.unequal.lines[i:i+1], w, mask, j)
			}
		}
	}
	p.clear()
	return toggles
}

func (p *points) clear() {
	for _, point := range p.touched {
		p.delta[point] = 0
	}
	p.touched = p.touched[:0]
}

// holding calls visit for runs of lines that hold in any of the lanes that are in these slots, w being their word. It may
// be called between apply and the next move only.
func (p *points) holding(slots *[column.WordLanes]uint32, w uint32, lanes uint64, visit func([]*Line)) {
	if len(p.equal.lines) > 0 {
		for m := lanes; m != 0; m &= m - 1 {
			if s := slots[bits.TrailingZeros64(m)]; isPoint(s) && p.delta[pointOf(s)] == 0 {
				p.meet(pointOf(s), m) // each point once
				visit(p.equal.of(pointOf(s)))
			}
		}
		p.clear()
	}
	for i, l := range p.unequal.lines {
		if l.OK[w]&lanes != 0 {
			visit(p.unequal.lines[i : i+1])
		}
	}
}

func (p *points) bytes() int {
	return p.equal.bytes() + p.unequal.bytes() + 8*cap(p.delta) + 4*cap(p.touched)
}
