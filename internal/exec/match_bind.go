package exec

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
)

// bind keeps the match table: signatures, their candidates, pairs.
func (m *match) bind() {
	churn := m.many.follow()
	churn = m.one.follow() || churn
	m.churned = m.churned || churn
	for _, lane := range m.many.went {
		m.releaseMany(lane)
	}
	for _, lane := range m.one.went {
		m.releaseOne(lane)
	}
	m.grow()
	for _, lane := range m.many.came {
		m.bindMany(lane)
	}
	for _, lane := range m.one.came {
		m.bindOne(lane)
	}
	for _, sig := range m.touched.list {
		m.settle(sig)
	}
	m.touched.clear()
	if m.include != nil {
		m.include.mirror(m.many.in.lanes.Len())
	}
	m.rivals.catchUp(m)
}

// grow makes room for all lanes.
func (m *match) grow() {
	n := m.many.in.lanes.Len()
	whole := column.Words(n) * column.WordLanes
	m.pair = growNone(m.pair, whole)
	m.rivals.crowd = m.rivals.crowd.Grow(n)
	if m.shares {
		m.column.OK = m.column.OK.Grow(n)
		m.share()
	} else {
		m.column.Grow(n)
	}
	if m.include != nil {
		m.include.of = growNone(m.include.of, m.one.in.lanes.Len())
	}
}

// share lets the column show the many side's values.
func (m *match) share() {
	m.column.V = m.many.in.column.V[:len(m.column.OK)*column.WordLanes]
}

// sign returns the signature of an element with one more user.
func (m *match) sign(ls labels.Labels) uint32 {
	sig := m.signatures.take(m.signer.of(ls))
	if n := m.signatures.len(); n > len(m.chosen) {
		m.chosen = growNone(m.chosen, n)
		m.many.of.grow(0, n)
		m.one.of.grow(0, n)
		if m.include != nil {
			m.include.bound = growNone(m.include.bound, n)
		}
	}
	return sig
}

// unsign counts one user of a signature less. What is known of its candidates is put right when they are settled.
func (m *match) unsign(sig uint32) {
	if m.signatures.drop(sig) && m.include != nil {
		m.include.unbind(sig)
	}
}

func (m *match) bindMany(lane uint32) {
	ls := m.many.in.labels(lane)
	sig := m.sign(ls)
	m.many.of.add(lane, sig)
	m.pair[lane], m.moved = m.chosen[sig], true
	m.rivals.add(m, lane, ls)
	if m.include != nil {
		m.include.want(lane)
	}
}

func (m *match) releaseMany(lane uint32) {
	m.pair[lane], m.moved = none, true
	sig := m.many.of.remove(lane)
	m.rivals.remove(lane, sig)
	m.unsign(sig)
	if m.include != nil {
		m.include.release(lane)
	}
}

func (m *match) bindOne(lane uint32) {
	ls := m.one.in.labels(lane)
	sig := m.sign(ls)
	m.one.of.add(lane, sig)
	m.touched.add(sig)
	if m.include != nil {
		m.include.enter(lane, ls)
	}
}

func (m *match) releaseOne(lane uint32) {
	sig := m.one.of.remove(lane)
	m.touched.add(sig)
	if m.include != nil {
		m.include.leave(lane)
	}
	m.unsign(sig)
}

// settle gives a signature whose candidates changed one of them. Where there are several and the one that it had is still
// among them, that stays: the next evaluation sees which has a value.
func (m *match) settle(sig uint32) {
	of := &m.one.of
	if of.count[sig] < 2 {
		m.crowded.remove(sig)
		m.torn.remove(sig)
	} else {
		m.crowded.add(sig)
		if c := m.chosen[sig]; c != none && of.id[c] == sig {
			m.choose(sig, c)
			return
		}
	}
	m.choose(sig, of.head[sig])
}

// choose makes lane, or none, the match of all elements with signature sig.
func (m *match) choose(sig, lane uint32) {
	of := &m.many.of
	if m.chosen[sig] != lane {
		m.chosen[sig], m.moved = lane, true
		for l := of.head[sig]; l != none; l = of.next[l] {
			m.pair[l] = lane
		}
	}
	if m.include == nil || lane == none {
		return
	}
	first := m.include.bound[sig] == none
	if !m.include.bind(sig, lane) {
		return
	}
	for l := of.head[sig]; l != none; l = of.next[l] {
		m.rematched = m.rematched || !first && m.column.OK.Has(l)
		m.include.rebind(l)
	}
}

// resolve finds the candidate that has a value, for a signature that has several candidates. It needs the values of the
// one side.
func (m *match) resolve(sig uint32) {
	of, ok := &m.one.of, m.one.in.column.OK
	found := none
	for l := of.head[sig]; l != none; l = of.next[l] {
		if !ok.Has(l) {
			continue
		}
		if found != none {
			m.torn.add(sig)
			return
		}
		found = l
	}
	m.torn.remove(sig)
	if found != none {
		m.choose(sig, found)
	}
}
