package exec

import (
	"math"

	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/window"
)

// spot is where a lane's window was among its series' samples: after is how many there were past its end, count how many
// in it. Counted from the end, that is where it is now, but for what came in and went out since. It is a hint only.
type spot struct{ after, count uint32 }

// find returns a lane's samples and which of them, from lo to hi, are its window's. There are no staleness markers
// between lo and hi. Where the window is not wholly kept, or may hold native histograms, it is empty and o.failed is set.
func (o *windowed) find(lane int, id window.ID) (t []int64, v []float64, lo, hi int) {
	t, v = o.store.Samples(id)
	v = v[:len(t)]
	at := &o.spots[lane]
	lo, hi = o.locate(t, *at)
	*at = spot{after: uint32(len(t) - hi), count: uint32(hi - lo)}
	if o.store.Markers(id) != 0 {
		t, v = o.withoutMarkers(t[lo:hi], v[lo:hi])
		if o.call.Newest > 0 && len(t) < o.call.Newest { // What locate left out would have been needed.
			t, v = o.plainTail(id)
		}
		lo, hi = 0, len(t)
	}
	if floor := o.store.Floor(id); floor > o.from || o.histograms {
		if err := o.whole(id, floor, t[lo:hi]); err != nil {
			o.failed = err
			return t, v, hi, hi
		}
	}
	return t, v, lo, hi
}

// locate finds the window in t, starting from where it was. Functions of the newest samples get no more than those.
func (o *windowed) locate(t []int64, at spot) (lo, hi int) {
	hi = max(len(t)-int(at.after), 0)
	for hi < len(t) && t[hi] <= o.to {
		hi++
	}
	for hi > 0 && t[hi-1] > o.to {
		hi--
	}
	if n := o.call.Newest; n > 0 {
		for lo = hi; lo > 0 && hi-lo < n && t[lo-1] > o.from; {
			lo--
		}
		return lo, hi
	}
	lo = max(hi-int(at.count), 0)
	for lo > 0 && t[lo-1] > o.from {
		lo--
	}
	for lo < hi && t[lo] <= o.from {
		lo++
	}
	return lo, hi
}

// withoutMarkers returns the samples that are no staleness markers.
func (o *windowed) withoutMarkers(t []int64, v []float64) ([]int64, []float64) {
	o.plainT, o.plainV = o.plainT[:0], o.plainV[:0]
	for i, x := range v {
		if math.Float64bits(x) != value.StaleNaN {
			o.plainT, o.plainV = append(o.plainT, t[i]), append(o.plainV, x)
		}
	}
	return o.plainT, o.plainV
}

// plainTail returns all samples of the window that are no staleness markers.
func (o *windowed) plainTail(id window.ID) ([]int64, []float64) {
	t, v := o.store.Samples(id)
	lo, hi := 0, len(t)
	for hi > 0 && t[hi-1] > o.to {
		hi--
	}
	for lo = hi; lo > 0 && t[lo-1] > o.from; {
		lo--
	}
	return o.withoutMarkers(t[lo:hi], v[lo:hi])
}

// whole fails where something that the function needs may be missing from the window's samples t: what lies at or before
// floor was dropped.
func (o *windowed) whole(id window.ID, floor int64, t []int64) error {
	enough := o.call.Newest > 0 && len(t) >= o.call.Newest
	if floor > o.from && !enough {
		return errWindow
	}
	if !o.histograms {
		return nil
	}
	if h := o.store.Histograms(id); h > o.from && !(enough && h < t[len(t)-o.call.Newest]) {
		return errHistogram
	}
	return nil
}
