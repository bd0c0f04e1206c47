package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// full computes all lanes. Lanes whose labels change on the way are bound anew before it returns, for those that bind
// after it.
func (m *match) full(t int64) error {
	m.start()
	if m.kernel != nil {
		m.kernel.settle(t)
	}
	m.broken, m.churned = true, false
	for _, sig := range m.crowded.list {
		m.resolve(sig)
	}
	m.rematched = false
	if err := m.tear(); err != nil {
		return err
	}
	if err := m.all(); err != nil {
		return err
	}
	m.broken = false
	return nil
}

// all computes all words: by the kernel, as many together as stand together on both sides, or one by one.
func (m *match) all() error {
	var dst *[column.WordLanes]float64
	for w := 0; w < len(m.column.OK); {
		if n := m.stretch(w); n > 0 {
			m.together(w, n)
			w += n
			continue
		}
		if !m.shares {
			dst = wordOf(m.column.V, w)
		}
		ok, err := m.compute(w, dst)
		if err != nil {
			return err
		}
		m.column.OK[w] = ok
		w++
	}
	return nil
}

// start notes what the inputs are at an evaluation.
func (m *match) start() {
	if m.shares {
		m.share()
	}
	m.many.synced, m.one.synced = m.many.in.synced, m.one.in.synced
}

// tear fails where the one side has several elements with the same signature. PromQL does not look at them when the
// other side is empty.
func (m *match) tear() error {
	if len(m.torn.list) > 0 && m.many.any() {
		return errDuplicate
	}
	return nil
}

// update recomputes the words of the many side that are marked, and those whose match is.
func (m *match) update(t int64) error {
	other := m.kernel != nil && m.kernel.settle(t)
	all := other || m.broken || m.churned || m.many.moved() || m.one.moved()
	// What stood in the column is not known any more where values are shared and were overwritten without marks.
	lost := m.broken || m.shares && m.many.moved()
	m.start()
	m.broken, m.churned = true, false
	m.dirty.clear()
	if all {
		m.dirtyAll()
		for _, sig := range m.crowded.list {
			m.resolve(sig)
		}
	} else {
		m.reach()
	}
	if m.rematched {
		m.rematched = false
		return errRematch
	}
	if err := m.tear(); err != nil {
		return err
	}
	if err := m.renew(); err != nil {
		return err
	}
	if lost {
		m.touchAll()
	}
	m.broken = false
	return nil
}

func (m *match) dirtyAll() {
	for w := range m.column.OK {
		m.dirty.add(uint32(w))
	}
}

// reach finds the words of the many side that the marks of the one side lead to.
func (m *match) reach() {
	in := m.one.in
	for i, w := range in.marks.Words() {
		lanes := differing(in.marks.Old(i), in.column.V[w*column.WordLanes:], in.column.OK[w])
		for ; lanes != 0; lanes &= lanes - 1 {
			m.reachFrom(w*column.WordLanes + uint32(bits.TrailingZeros64(lanes)))
		}
	}
}

// reachFrom finds the words that a lane of the one side leads to.
func (m *match) reachFrom(lane uint32) {
	sig := m.one.of.id[lane]
	if sig == none {
		return
	}
	if m.crowded.has(sig) {
		before := m.chosen[sig]
		m.resolve(sig)
		if lane != before && lane != m.chosen[sig] {
			return
		}
	}
	if len(m.dirty.list) == len(m.column.OK) {
		return
	}
	of := &m.many.of
	for l := of.head[sig]; l != none; l = of.next[l] {
		m.dirty.add(l / column.WordLanes)
	}
}

// renew recomputes the words that are marked in the many side or dirty.
func (m *match) renew() error {
	marks := &m.many.in.marks
	for i, w := range marks.Words() {
		if int(w) >= len(m.column.OK) {
			continue
		}
		if err := m.renewWord(int(w), marks.Old(i).V[:]); err != nil {
			return err
		}
	}
	for _, w := range m.dirty.list {
		if marks.Has(w) {
			continue
		}
		if err := m.renewWord(int(w), nil); err != nil {
			return err
		}
	}
	return nil
}

// renewWord recomputes one word and marks it where that made a difference. before are the many side's values of before
// where they were others.
func (m *match) renewWord(w int, before []float64) error {
	ok, err := m.compute(w, &m.word.V)
	if err != nil {
		return err
	}
	if m.shares {
		m.renewShared(w, ok, before)
		return nil
	}
	old, v := m.column.OK[w], wordOf(m.column.V, w)
	if m.word.OK = ok; equalWord(&m.word, v[:], old) {
		return nil
	}
	m.marks.Add(uint32(w), v[:], old)
	*v = m.word.V
	m.column.OK[w] = ok
	return nil
}

// renewShared sets which lanes of word w have values, in a column whose values are an input's, and marks the word where
// that or a value is another than before. before are the values of before, nil where they are what they were.
func (o *output) renewShared(w int, ok uint64, before []float64) {
	v, old := wordOf(o.column.V, w), o.column.OK[w]
	if before == nil {
		before = v[:]
	}
	if ok != old || !equalValues(before, v[:], ok) {
		o.marks.Add(uint32(w), before, old)
		o.column.OK[w] = ok
	}
}

// touchAll marks everything, for those who use it to start anew.
func (o *output) touchAll() {
	o.synced++
	for w, ok := range o.column.OK {
		if ok != 0 {
			o.marks.Touch(uint32(w))
		}
	}
}
