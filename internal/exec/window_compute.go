package exec

import (
	"math"
	"math/bits"

	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/rangefunc"
)

// The functions below write the results of word w's live lanes to dst and return which of them have one.

func (o *windowed) computeCall(dst *lanes64, w int, live uint64) (ok uint64) {
	base := w * column.WordLanes
	ids := o.selector.IDs()[base:]
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		t, v, lo, hi := o.find(base+i, ids[i])
		if hi-lo < o.call.Min {
			continue
		}
		x, has := o.call.Func(t[lo:hi], v[lo:hi], &o.call.window)
		dst[i] = x
		ok |= bit(has) << uint(i)
	}
	return ok
}

func (o *windowed) computeNewest(dst *lanes64, w int, live uint64) (ok uint64) {
	ids := o.selector.IDs()[w*column.WordLanes:]
	newestT, newestV := o.store.Last()
	newestV = newestV[:len(newestT)]
	var rest uint64
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		at, x := newestT[ids[i]], newestV[ids[i]]
		dst[i] = x
		ok |= bit(at > o.from) << uint(i)
		rest |= bit(at > o.to || at == math.MinInt64 || math.Float64bits(x) == value.StaleNaN) << uint(i)
	}
	if o.histograms {
		rest = live
	}
	ok &^= rest
	if name := o.call.name; name != "last_over_time" {
		for m := ok; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			if dst[i] = 1; name == "ts_of_last_over_time" {
				dst[i] = seconds(newestT[ids[i]])
			}
		}
	}
	return ok | o.computeCall(dst, w, rest)
}

func (o *windowed) computeRise(dst *lanes64, w int, live uint64) (ok uint64) {
	base := w * column.WordLanes
	ids := o.selector.IDs()[base:]
	states := o.states[base : base+column.WordLanes]
	sums := o.sums[base : base+column.WordLanes]
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		t, v, lo, hi := o.find(base+i, ids[i])
		if hi-lo < 2 {
			continue
		}
		s := &states[i]
		s.followFalls(&sums[i], t, v, lo, hi)
		dst[i] = rangefunc.Extrapolate(sums[i].rise(v[lo:hi], s.count), v[lo], s.first, s.last, hi-lo-1, true, o.from, o.to, o.seconds)
		ok |= 1 << uint(i)
	}
	return ok
}

func (o *windowed) computeCount(dst *lanes64, w int, live uint64) (ok uint64) {
	base := w * column.WordLanes
	ids := o.selector.IDs()[base:]
	states := o.states[base : base+column.WordLanes]
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		t, v, lo, hi := o.find(base+i, ids[i])
		if lo == hi {
			continue
		}
		s := &states[i]
		if o.way == wayResets {
			s.followFalls(nil, t, v, lo, hi)
		} else {
			s.followChanges(t, v, lo, hi)
		}
		dst[i] = float64(s.count)
		ok |= 1 << uint(i)
	}
	return ok
}

func (o *windowed) computeSum(dst *lanes64, w int, live uint64) (ok uint64) {
	base := w * column.WordLanes
	ids := o.selector.IDs()[base:]
	states := o.states[base : base+column.WordLanes]
	sums := o.sums[base : base+column.WordLanes]
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		t, v, lo, hi := o.find(base+i, ids[i])
		if lo == hi {
			continue
		}
		s := &sums[i]
		s.follow(&states[i], t, v, lo, hi)
		if o.way == waySum {
			dst[i] = s.sum(v[lo:hi])
		} else {
			dst[i] = s.avg(v[lo:hi])
		}
		ok |= 1 << uint(i)
	}
	return ok
}

func (o *windowed) computeExtreme(dst *lanes64, w int, live uint64) (ok uint64) {
	base := w * column.WordLanes
	ids := o.selector.IDs()[base:]
	states := o.states[base : base+column.WordLanes]
	extremes := o.extremes[base : base+column.WordLanes]
	for m := live; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		t, v, lo, hi := o.find(base+i, ids[i])
		if lo == hi {
			continue
		}
		e := &extremes[i]
		if o.way == wayMax {
			e.followMax(&states[i], t, v, lo, hi)
		} else {
			e.followMin(&states[i], t, v, lo, hi)
		}
		dst[i] = e.value
		ok |= 1 << uint(i)
	}
	return ok
}
