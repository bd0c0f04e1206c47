package exec

import (
	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
)

// The inputs of a match's kernel: the many side, word by word, and what goes with it of the other.
const (
	manyPlace = iota
	onePlace
)

// newMatched makes the operator of top, a chain of element-wise nodes over the match head, over the operators of at, by
// key. It is nil where the labels do not allow to go on in the same kernel.
func newMatched(d *demand, top, head *plan.Node, at map[string]operator, e *env) *match {
	m := newMatch(head, []operator{at[head.In[0].Key], at[head.In[1].Key]}, e)
	l := &lowering{demand: d, b: kernel.NewBuilder(), at: at, head: head}
	sides := [2]part{{value: l.b.Load(manyPlace), mask: l.b.Valid(manyPlace)}, {value: l.b.Load(onePlace), mask: l.b.Valid(onePlace)}}
	if m.swapped {
		sides[0], sides[1] = sides[1], sides[0]
	}
	l.headed = l.meet(head, sides[0], sides[1])
	l.headed.named = m.named
	l.drops = false
	result := l.headed
	if top.Key != head.Key {
		result = l.compute(top)
		if l.drops && !m.drops || !m.unique {
			return nil // Elements whose labels would have to be compared are not all there in the end.
		}
	}
	m.node = top
	value := result.value
	if m.shares = value == l.b.Load(manyPlace); m.shares {
		value = kernel.None
		m.column.V = nil
		m.share()
	} else {
		m.column.V = nil // It may have been shared.
		m.column.Grow(m.many.in.lanes.Len())
	}
	m.kernel = newWork(l, value, result.mask, e, top.Text())
	return m
}

func (m *match) works() *work { return m.kernel }

// close gives the kernel back.
func (m *match) close() {
	if m.kernel != nil {
		m.kernel.runner.Close()
	}
}

// run computes word w, whose matches have these values, by the kernel. The values come to stand in dst, unless they are
// shared.
func (m *match) run(w int, others *lanes64, found uint64, dst *lanes64) uint64 {
	k, many := m.kernel, &m.many.in.column
	k.word, k.ok[0] = *others, found
	k.block.In[manyPlace] = kernel.Input{V: many.V[w*column.WordLanes:], OK: many.OK[w:]}
	k.block.In[onePlace] = kernel.Input{V: k.word[:], OK: k.ok[:]}
	var v []float64
	if !m.shares {
		v = dst[:]
	}
	k.run(1, v, k.ok[:])
	return k.ok[0]
}

// stretch returns how many words from w on have their matches in words that stand together, too, and no rivals; 0 where
// there is no kernel to compute them together.
func (m *match) stretch(w int) int {
	if m.kernel == nil {
		return 0
	}
	m.straighten()
	n, first := 0, m.straights[w]
	for first != none && w+n < len(m.column.OK) && n < kernel.MaxWords && m.straights[w+n] == first+uint32(n) && m.rivals.crowd[w+n] == 0 {
		n++
	}
	return n
}

// together computes n words from w on whose matches stand together.
func (m *match) together(w, n int) {
	k, many, one := m.kernel, &m.many.in.column, &m.one.in.column
	from := int(m.straights[w])
	k.block.In[manyPlace] = kernel.Input{V: many.V[w*column.WordLanes:], OK: many.OK[w:]}
	k.block.In[onePlace] = kernel.Input{V: one.V[from*column.WordLanes:], OK: one.OK[from:]}
	k.run(n, m.column.V[w*column.WordLanes:], m.column.OK[w:])
}

// straighten finds which words' matches are whole words in their order: series of both sides often came in the same order.
func (m *match) straighten() {
	if !m.moved && len(m.straights) >= len(m.column.OK) {
		return
	}
	m.moved = false
	m.straights = growNone(m.straights, len(m.column.OK))
	for w := range m.straights {
		m.straights[w] = none
		if pair := (*[column.WordLanes]uint32)(m.pair[w*column.WordLanes:]); straight(pair) {
			m.straights[w] = pair[0] / column.WordLanes
		}
	}
}
