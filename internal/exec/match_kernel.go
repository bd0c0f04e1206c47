package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// lanes64 are the values of one word of lanes.
type lanes64 = [column.WordLanes]float64

// wordOf returns the values of word w.
func wordOf(v []float64, w int) *lanes64 { return (*lanes64)(v[w*column.WordLanes:]) }

// compute computes word w of the many side. The values come to stand in dst, unless they are shared. It fails where
// PromQL would.
func (m *match) compute(w int, dst *lanes64) (uint64, error) {
	many := &m.many.in.column
	ok := many.OK[w]
	if ok == 0 {
		return 0, nil
	}
	others, found := m.fetch(w)
	if ok &= found; ok == 0 {
		return 0, nil
	}
	if ok&m.rivals.crowd[w] != 0 && m.rivals.met(m, w, ok) {
		return 0, errDuplicate
	}
	if m.kernel != nil {
		return m.run(w, others, found, dst), nil
	}
	left, right := wordOf(many.V, w), others
	if m.swapped {
		left, right = right, left
	}
	if !m.op.Comparison() {
		combine(m.op, dst, left, right, ok)
		return ok, nil
	}
	holds := compare64(m.op, left, right) & ok
	switch {
	case m.truth:
		for i := range dst {
			dst[i] = float64(holds >> uint(i) & 1)
		}
		return ok, nil
	case !m.shares:
		*dst = *left
	}
	return holds, nil
}

// fetch returns the values of the matches of word w, and which lanes have one.
func (m *match) fetch(w int) (*lanes64, uint64) {
	one := &m.one.in.column
	m.straighten()
	if from := m.straights[w]; from != none {
		return wordOf(one.V, int(from)), one.OK[from]
	}
	pair := (*[column.WordLanes]uint32)(m.pair[w*column.WordLanes:])
	return &m.gathered, gather(&m.gathered, pair, one.V, one.OK)
}

// straight reports whether the lanes are those of a whole word in their order.
func straight(lanes *[column.WordLanes]uint32) bool {
	first := lanes[0]
	if first%column.WordLanes != 0 || lanes[column.WordLanes-1] != first+column.WordLanes-1 {
		return false
	}
	for i, l := range lanes {
		if l != first+uint32(i) {
			return false
		}
	}
	return true
}

// gather fetches the values of lanes to dst and returns which of them are there.
func gather(dst *lanes64, lanes *[column.WordLanes]uint32, v []float64, ok column.Bitmap) uint64 {
	var found uint64
	for i, l := range lanes {
		if int(l) >= len(v) {
			continue
		}
		dst[i] = v[l]
		found |= (ok[l/column.WordLanes] >> (l % column.WordLanes) & 1) << uint(i)
	}
	return found
}

// combine applies an arithmetic operator; what stands where ok has no bit may be anything.
func combine(op plan.Operator, dst, left, right *lanes64, ok uint64) {
	switch op {
	case plan.Add:
		for i := range dst {
			dst[i] = left[i] + right[i]
		}
	case plan.Sub:
		for i := range dst {
			dst[i] = left[i] - right[i]
		}
	case plan.Mul:
		for i := range dst {
			dst[i] = left[i] * right[i]
		}
	case plan.Div:
		for i := range dst {
			dst[i] = left[i] / right[i]
		}
	default: // Too dear to be done in vain.
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			dst[i] = op.Apply(left[i], right[i])
		}
	}
}

// compare64 returns in which lanes a comparison holds.
func compare64(op plan.Operator, left, right *lanes64) uint64 {
	switch op {
	case plan.Equal:
		return equal64(left, right)
	case plan.NotEqual:
		return ^equal64(left, right)
	case plan.Less:
		return less64(left, right)
	case plan.Greater:
		return less64(right, left)
	case plan.LessEqual:
		return lessEqual64(left, right)
	case plan.GreaterEqual:
		return lessEqual64(right, left)
	}
	panic("BUG: not a comparison: " + op.String())
}

func equal64(a, b *lanes64) (holds uint64) {
	for i := range a {
		holds = holds>>1 | bit(a[i] == b[i])<<(column.WordLanes-1)
	}
	return holds
}

func less64(a, b *lanes64) (holds uint64) {
	for i := range a {
		holds = holds>>1 | bit(a[i] < b[i])<<(column.WordLanes-1)
	}
	return holds
}

func lessEqual64(a, b *lanes64) (holds uint64) {
	for i := range a {
		holds = holds>>1 | bit(a[i] <= b[i])<<(column.WordLanes-1)
	}
	return holds
}

func bit(b bool) (n uint64) {
	if b {
		n = 1
	}
	return n
}

// differing returns the lanes of a word that gained, lost or changed their value; NaN equals NaN.
func differing(old *column.Word, v []float64, ok uint64) uint64 {
	diff := old.OK ^ ok
	v = v[:column.WordLanes]
	for both := old.OK & ok; both != 0; both &= both - 1 {
		i := bits.TrailingZeros64(both)
		if a, b := old.V[i], v[i]; a != b && (a == a || b == b) {
			diff |= 1 << uint(i)
		}
	}
	return diff
}

// equalValues reports whether the lanes of ok have the same values in a and b; NaN equals NaN.
func equalValues(a, b []float64, ok uint64) bool {
	a, b = a[:column.WordLanes], b[:column.WordLanes]
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		if a[i] != b[i] && (a[i] == a[i] || b[i] == b[i]) {
			return false
		}
	}
	return true
}
