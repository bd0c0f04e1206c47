package exec

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
)

// rivals watches elements of the many side of which only one may find its match at a time: those of one signature where
// matching is one-to-one, and otherwise those of one signature whose results would bear the same labels. PromQL fails
// on them even where a comparison drops them afterwards. Lanes that have rivals in use are rare; only these are looked
// at during an evaluation.
type rivals struct {
	// of is who competes with whom: the signatures, classes, or nil where there cannot be rivals.
	of *roster
	// crowd are the lanes that have rivals.
	crowd column.Bitmap
	// classes are the lanes by what makes their results' labels, known by keys.
	classes roster
	keys    registry
	buf     []byte
	// removed are the labels of the many side that a result does not bear or takes from elsewhere.
	removed []string
	// typed says that a metric's type or unit was seen among the labels. Both are dropped with the name, but belong to
	// the signature of ignoring: then not even elements of different signatures have different results.
	typed, late bool
}

// planRivals sets what is known ahead of all series.
func (m *match) planRivals() {
	b, r := m.binary, &m.rivals
	if m.drops {
		r.removed = append(r.removed, model.MetricNameLabel, model.MetricTypeLabel, model.MetricUnitLabel)
	}
	if m.single && !b.On {
		r.removed = append(r.removed, b.Labels...)
	}
	r.removed = append(r.removed, b.Include...)
	slices.Sort(r.removed)
	switch in := m.many.in; {
	case m.single:
		r.of = &m.many.of
	case m.include != nil || m.drops && in.named && !in.oneName:
		r.of = &r.classes
	}
}

// add enters a lane that has its signature.
func (r *rivals) add(m *match, lane uint32, ls labels.Labels) {
	if m.drops && !r.typed && (!m.single || !m.binary.On) && (ls.Has(model.MetricTypeLabel) || ls.Has(model.MetricUnitLabel)) {
		r.typed, r.late = true, true
	}
	if r.of == &r.classes {
		r.classify(m, lane, ls)
	}
	if r.of == nil {
		return
	}
	switch id := r.of.id[lane]; {
	case r.of.count[id] == 2:
		r.crowd.Set(r.of.next[lane])
		fallthrough
	case r.of.count[id] > 2:
		r.crowd.Set(lane)
	}
}

// classify enters a lane into classes.
func (r *rivals) classify(m *match, lane uint32, ls labels.Labels) {
	r.buf = ls.BytesWithoutLabels(r.buf, r.removed...)
	if !r.typed || m.binary.On {
		r.buf = binary.LittleEndian.AppendUint32(r.buf, m.many.of.id[lane])
	}
	id := r.keys.take(r.buf)
	r.classes.grow(m.many.in.lanes.Len(), r.keys.len())
	r.classes.add(lane, id)
}

// remove strikes a lane off that had signature sig.
func (r *rivals) remove(lane, sig uint32) {
	r.crowd.Unset(lane)
	id := sig
	if r.of == &r.classes {
		id = r.classes.remove(lane)
		r.keys.drop(id)
	}
	if r.of != nil && r.of.count[id] == 1 {
		r.crowd.Unset(r.of.head[id])
	}
}

// catchUp classifies all lanes anew, once, when the first type or unit was seen.
func (r *rivals) catchUp(m *match) {
	if !r.late {
		return
	}
	r.late = false
	clear(r.crowd)
	r.of, r.classes, r.keys = &r.classes, roster{}, registry{}
	for lane, sig := range m.many.of.id {
		if sig != none {
			r.add(m, uint32(lane), m.many.in.labels(uint32(lane)))
		}
	}
}

// met reports whether one of the lanes of word w, all of which have found their match, has a rival that has too.
func (r *rivals) met(m *match, w int, lanes uint64) bool {
	many, one := m.many.in.column.OK, m.one.in.column.OK
	for lanes &= r.crowd[w]; lanes != 0; lanes &= lanes - 1 {
		lane := uint32(w*column.WordLanes + bits.TrailingZeros64(lanes))
		for l := r.of.head[r.of.id[lane]]; l != none; l = r.of.next[l] {
			if l != lane && many.Has(l) && m.pair[l] != none && one.Has(m.pair[l]) {
				return true
			}
		}
	}
	return false
}

func (r *rivals) bytes() int { return 8*cap(r.crowd) + r.classes.bytes() + r.keys.bytes() }
