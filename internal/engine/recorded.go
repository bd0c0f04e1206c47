package engine

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// recorded are the series that a rule records. Each has a place, so that an evaluation that returns what the last one
// returned, in the same order, neither hashes labels nor allocates. The zero value is empty.
//
// An evaluation calls begin, place and mark for each series, and keep once it is committed. Those that the last kept
// evaluation marked and the running one did not have to be marked stale.
type recorded struct {
	series []recordedSeries
	places map[labels.Labels]int32
	// kept and marked are the places of the last kept and of the running evaluation.
	kept, marked bitset
	// order is where the series of the last evaluation stand, in the order in which they were asked for; asked counts
	// those of the running one.
	order []int32
	asked int
}

type recordedSeries struct {
	labels labels.Labels
	// ref is history's name for it.
	ref storage.SeriesRef
	// value was recorded last, where plain says that it was a float and that it was taken.
	value float64
	plain bool
}

// spareSeries is how many places of series that are gone are kept at least.
const spareSeries = 64

// idle reports whether nothing was recorded that would have to be marked stale.
func (r *recorded) idle() bool { return r.kept.empty() }

// begin forgets an evaluation that was not kept.
func (r *recorded) begin() {
	clear(r.marked)
	r.asked = 0
}

// place returns where the series stands.
func (r *recorded) place(ls labels.Labels) int {
	n := r.asked
	r.asked++
	if n < len(r.order) && r.series[r.order[n]].labels == ls {
		return int(r.order[n])
	}
	at, ok := r.places[ls]
	if !ok {
		if r.places == nil {
			r.places = map[labels.Labels]int32{}
		}
		at = int32(len(r.series))
		r.places[ls] = at
		r.series = append(r.series, recordedSeries{labels: ls})
	}
	if n < len(r.order) {
		r.order[n] = at
	} else {
		r.order = append(r.order, at)
	}
	return int(at)
}

// mark says that the running evaluation recorded the series; it is false when it did before.
func (r *recorded) mark(at int) bool {
	if r.marked.has(at) {
		return false
	}
	r.marked.set(at)
	return true
}

// reference returns history's name for a series, 0 where it may have forgotten it.
func (r *recorded) reference(at int) storage.SeriesRef {
	if !r.kept.has(at) {
		return 0
	}
	return r.series[at].ref
}

// has reports whether the last kept evaluation left the series with this value.
func (r *recorded) has(at int, v float64) bool {
	s := &r.series[at]
	return r.kept.has(at) && s.plain && math.Float64bits(s.value) == math.Float64bits(v)
}

// gone returns the first place from the given one on of a series that is to be marked stale, -1 at the end.
func (r *recorded) gone(from int) int {
	for at := r.kept.next(from); at >= 0; at = r.kept.next(at + 1) {
		if !r.marked.has(at) {
			return at
		}
	}
	return -1
}

// keep ends an evaluation that was committed.
func (r *recorded) keep() {
	r.kept, r.marked = r.marked, r.kept
	if n := r.kept.count(); len(r.series) > 2*n+spareSeries {
		r.compact()
	}
}

// doubt ends an evaluation that was not: what history has now is not known.
func (r *recorded) doubt() {
	for i := range r.series {
		r.series[i].plain = false
	}
}

// compact gives up the places of series that are gone.
func (r *recorded) compact() {
	var next recorded
	for at := r.kept.next(0); at >= 0; at = r.kept.next(at + 1) {
		n := next.place(r.series[at].labels)
		next.series[n] = r.series[at]
		next.kept.set(n)
	}
	*r = next
}

// appendTo appends the series of the last kept evaluation to dst.
func (r *recorded) appendTo(dst []labels.Labels) []labels.Labels {
	for at := r.kept.next(0); at >= 0; at = r.kept.next(at + 1) {
		dst = append(dst, r.series[at].labels)
	}
	return dst
}
