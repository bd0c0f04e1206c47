package exec

import (
	"math"
	"math/bits"
	"slices"

	"github.com/tocsin/tocsin/internal/column"
)

// quantiles is the fold of quantile: the values are moved next to each other by group, then the two order statistics on
// either side of the rank are selected.
type quantiles struct {
	param  *output
	result []float64
	has    column.Bitmap
	// values are all groups', one group after the other; end is where the next value of each group goes.
	values []float64
	end    []uint32
}

func (q *quantiles) grow(groups int) {
	q.result = column.GrowSlice(q.result, groups)
	q.end = column.GrowSlice(q.end, groups)
	q.has = q.has.Grow(groups)
}

func (q *quantiles) all(c *column.Column, g *groups) {
	q.values = column.GrowSlice(q.values, len(g.members.id))
	from := uint32(0)
	for group, n := range g.members.count {
		q.end[group] = from
		from += n
	}
	if group, ok := g.only(); ok {
		q.end[group] = q.collect(c)
	} else {
		q.scatter(c, g.members.id)
	}
	clear(q.has)
	from = 0
	for group, n := range g.members.count {
		q.set(uint32(group), q.values[from:q.end[group]])
		from += n
	}
}

// collect moves all values to the front and returns how many there are.
func (q *quantiles) collect(c *column.Column) uint32 {
	n := 0
	for w, ok := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		if ok == ^uint64(0) {
			n += copy(q.values[n:], v)
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			q.values[n] = v[bits.TrailingZeros64(ok)]
			n++
		}
	}
	return uint32(n)
}

func (q *quantiles) scatter(c *column.Column, ids []uint32) {
	end, values := q.end, q.values
	for w, ok := range c.OK {
		if ok == 0 {
			continue
		}
		v, id := c.V[w*column.WordLanes:][:column.WordLanes], ids[w*column.WordLanes:][:column.WordLanes]
		if ok == ^uint64(0) {
			for i, x := range v {
				e := &end[id[i]]
				values[*e] = x
				*e++
			}
			continue
		}
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			e := &end[id[i]]
			values[*e] = v[i]
			*e++
		}
	}
}

func (q *quantiles) one(c *column.Column, g *groups, group uint32) {
	q.values = column.GrowSlice(q.values, len(g.members.id))
	n := 0
	for lane := g.members.head[group]; lane != none; lane = g.members.next[lane] {
		if c.OK.Has(lane) {
			q.values[n] = c.V[lane]
			n++
		}
	}
	q.has.Unset(group)
	q.set(group, q.values[:n])
}

func (q *quantiles) set(group uint32, values []float64) {
	if len(values) > 0 {
		q.has.Set(group)
		q.result[group] = quantileOf(q.param.scalar, values)
	}
}

func (q *quantiles) apply(in *output, g *groups, _, stale *idSet) { staleGroups(in, g, stale) }

func (q *quantiles) value(group uint32) (float64, bool) { return q.result[group], q.has.Has(group) }

func (q *quantiles) bytes() int {
	return 8*(cap(q.result)+cap(q.has)+cap(q.values)) + 4*cap(q.end)
}

// quantileOf returns the φ-quantile of values, which it puts into another order: between the two nearest ranks, their
// weighted mean. NaN ranks lowest. values must not be empty.
func quantileOf(phi float64, values []float64) float64 {
	switch {
	case phi != phi:
		return phi
	case phi < 0:
		return math.Inf(-1)
	case phi > 1:
		return math.Inf(1)
	}
	rank := phi * float64(len(values)-1)
	floor := math.Floor(rank)
	weight := rank - floor
	lower, upper := nearest(values, int(floor))
	return lower*(1-weight) + upper*weight
}

// nearest returns the values of rank k, from 0, and of the next rank; of rank k twice if it is the last.
func nearest(values []float64, k int) (lower, upper float64) {
	nans := 0
	for i, v := range values {
		if v != v {
			values[i], values[nans] = values[nans], v
			nans++
		}
	}
	last := len(values) - 1
	if k < nans {
		lower = math.NaN()
		if k+1 < nans || k == last {
			return lower, lower
		}
		return lower, slices.Min(values[nans:])
	}
	selectRank(values[nans:], k-nans)
	if k == last {
		return values[k], values[k]
	}
	return values[k], slices.Min(values[k+1:])
}

// selectRank puts the value of rank k at index k, nothing greater before it and nothing smaller behind it: Hoare's
// quickselect with the median of three, and a sort where that goes wrong too often. There must be no NaN.
func selectRank(a []float64, k int) {
	for tries := 2 * bits.Len(uint(len(a))); len(a) > 24; tries-- {
		if tries == 0 {
			slices.Sort(a)
			return
		}
		p := pivot(a)
		i, j := 0, len(a)-1
		for i <= j {
			for a[i] < p {
				i++
			}
			for a[j] > p {
				j--
			}
			if i <= j {
				a[i], a[j] = a[j], a[i]
				i++
				j--
			}
		}
		switch { // a[:j+1] ≤ p, a[i:] ≥ p, and what is between, if anything, is p.
		case k <= j:
			a = a[:j+1]
		case k >= i:
			a, k = a[i:], k-i
		default:
			return
		}
	}
	for i := 1; i < len(a); i++ {
		x, j := a[i], i
		for ; j > 0 && a[j-1] > x; j-- {
			a[j] = a[j-1]
		}
		a[j] = x
	}
}

func pivot(a []float64) float64 {
	x, y, z := a[0], a[len(a)/2], a[len(a)-1]
	return max(min(x, y), min(max(x, y), z))
}
