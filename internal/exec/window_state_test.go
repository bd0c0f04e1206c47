package exec

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/rangefunc"
)

// stateCheck lets one windowState a function follow a window, and holds each to the function over the whole window.
type stateCheck struct {
	t     *testing.T
	seed  uint64
	lanes windowLanes
	// joined counts the evaluations that went on from the one before, summing those whose sum was exact at once.
	evaluated, joined, summing int
}

// windowLanes is what one lane has in operators of various functions.
type windowLanes struct {
	rise, resets, changes, summed, averaged, least, most windowState

	falls, sum, avg windowSum
	min, max        windowExtreme
}

func (c *stateCheck) evaluate(t []int64, v []float64, lo, hi int) {
	if lo == hi {
		return
	}
	l := &c.lanes
	if _, _, ok := l.rise.join(t, lo, hi); ok {
		c.joined++
	}
	c.evaluated++
	w := v[lo:hi]
	l.rise.followFalls(&l.falls, t, v, lo, hi)
	c.close("rise", rangefunc.CounterIncrease(w), l.falls.rise(w, l.rise.count))
	l.resets.followFalls(nil, t, v, lo, hi)
	resets, _ := rangefunc.Resets(nil, w, nil)
	require.Equal(c.t, resets, float64(l.resets.count), "seed %d", c.seed)
	l.changes.followChanges(t, v, lo, hi)
	changes, _ := rangefunc.Changes(nil, w, nil)
	require.Equal(c.t, changes, float64(l.changes.count), "seed %d", c.seed)
	l.sum.follow(&l.summed, t, v, lo, hi)
	if l.sum.exact(len(w)) {
		c.summing++
	}
	sum, _ := rangefunc.Sum(nil, w, nil)
	c.close("sum", sum, l.sum.sum(w))
	l.avg.follow(&l.averaged, t, v, lo, hi)
	avg, _ := rangefunc.Avg(nil, w, nil)
	c.close("avg", avg, l.avg.avg(w))
	l.min.followMin(&l.least, t, v, lo, hi)
	least, _ := rangefunc.Min(nil, w, nil)
	c.close("min", least, l.min.value)
	l.max.followMax(&l.most, t, v, lo, hi)
	most, _ := rangefunc.Max(nil, w, nil)
	c.close("max", most, l.max.value)
}

func (c *stateCheck) close(what string, want, got float64) {
	if want == got || want != want && got != got || math.Abs(want-got) <= 1e-10*math.Abs(want) {
		return
	}
	require.Equal(c.t, want, got, "seed %d, evaluation %d: %s", c.seed, c.evaluated, what)
}

// magnitudes make values that are hard on sums, one a call.
func magnitudes(r *rand.Rand) map[string]func(i int) float64 {
	counter, huge := 0.0, 0.0
	return map[string]func(i int) float64{
		"counter": func(int) float64 {
			if counter += float64(r.IntN(20)); r.IntN(12) == 0 {
				counter = 0
			}
			return counter
		},
		"huge counter that falls": func(int) float64 {
			if huge += r.Float64() * 1e15; r.IntN(7) == 0 {
				huge = r.Float64() * 1e-3
			}
			return huge
		},
		"large beside small": func(int) float64 {
			return []float64{1e16, 1e-3, -1e16, 3e-4, 1, -1}[r.IntN(6)]
		},
		"rarely large": func(int) float64 {
			if r.IntN(100) == 0 {
				return []float64{1e16, -1e16, 1e30, 1e300, -1e300, math.MaxFloat64}[r.IntN(6)]
			}
			return r.Float64() * 1e-3
		},
		"all magnitudes":   func(int) float64 { return r.NormFloat64() * math.Pow(10, float64(r.IntN(600)-300)) },
		"not finite":       func(int) float64 { return []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1, 2, 0}[r.IntN(6)] },
		"rarely not":       func(i int) float64 { return []float64{1, math.NaN(), math.Inf(1 - i%3)}[max(0, r.IntN(60)-57)] },
		"rising":           func(i int) float64 { return float64(i) * 1.1 },
		"falling":          func(i int) float64 { return 1e6 - float64(i)*1.1 },
		"small steps":      func(int) float64 { return 1e9 + r.Float64() },
		"about zero":       func(int) float64 { return r.NormFloat64() },
		"zero and a bit":   func(i int) float64 { return float64(i % 50 / 49) },
		"constant":         func(int) float64 { return 0.1 },
		"negative and -0":  func(int) float64 { return []float64{-1, math.Copysign(0, -1), 0, -5}[r.IntN(4)] },
		"denormal numbers": func(int) float64 { return float64(r.IntN(9)-4) * 5e-324 },
	}
}

// TestWindowStateFollows lets windows slide for many evaluations, some samples at a time.
func TestWindowStateFollows(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for name := range magnitudes(nil) {
		for _, length := range []int{2, 20, 300} {
			r := rand.New(rand.NewPCG(seed, uint64(length)))
			next := magnitudes(r)[name]
			c := &stateCheck{t: t, seed: seed}
			var ts []int64
			var vs []float64
			lo := 0
			for i := range 10_000 {
				for range r.IntN(3) {
					ts, vs = append(ts, int64(len(ts))*1000), append(vs, next(len(vs)))
				}
				lo = max(lo, len(ts)-length+r.IntN(2))
				lo = min(lo, len(ts))
				c.evaluate(ts, vs, lo, len(ts))
				if t.Failed() {
					t.Fatalf("%s of %d at %d", name, length, i)
				}
			}
			if length > 2 {
				require.Greater(t, c.joined, c.evaluated-2, name)
			}
			switch name {
			case "counter", "rising", "constant", "small steps", "zero and a bit":
				require.Greater(t, c.summing, 9*c.evaluated/10, name)
			}
		}
	}
}

// TestWindowStateFindsOut changes samples behind the states' backs: insertions, trimming, other series, and evaluations
// that go back in time or skip.
func TestWindowStateFindsOut(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := &stateCheck{t: t, seed: seed}
	var ts []int64
	var vs []float64
	value := func() float64 { return []float64{1, 2, 3, math.NaN(), 1e16, -7}[r.IntN(6)] }
	now, lost := int64(0), int64(-1) // what was trimmed does not come again: the store refuses it
	for range 50_000 {
		now += r.Int64N(3)
		switch r.IntN(12) {
		case 0: // out of order
			at := now - r.Int64N(40)
			if i, found := slices.BinarySearch(ts, at); !found && at > lost {
				ts, vs = slices.Insert(ts, i, at), slices.Insert(vs, i, value())
			}
		case 1:
			if n := len(ts) / 2; n > 0 {
				n = r.IntN(n)
				if n > 0 {
					lost = ts[n-1]
				}
				ts, vs = slices.Clone(ts[n:]), slices.Clone(vs[n:])
			}
		case 2:
			now += r.Int64N(60)
		case 3:
			if r.IntN(20) == 0 {
				ts, vs = ts[:0], vs[:0]
				c.lanes = windowLanes{}
			}
		default:
			if len(ts) == 0 || now > ts[len(ts)-1] {
				ts, vs = append(ts, now), append(vs, value())
			}
		}
		to := now - []int64{0, 0, 0, 0, 10, r.Int64N(50)}[r.IntN(6)]
		lo, _ := slices.BinarySearch(ts, to-30+1)
		hi, _ := slices.BinarySearch(ts, to+1)
		c.evaluate(ts, vs, lo, hi)
		if t.Failed() {
			return
		}
	}
	require.Greater(t, c.joined, c.evaluated/2)
	require.Less(t, c.joined, c.evaluated)
}
