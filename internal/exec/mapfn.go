package exec

import (
	"math"

	"github.com/tocsin/tocsin/internal/plan"
)

// mapKernel computes a word of lanes: dst of v, at least for the lanes of ok. What it leaves in others means nothing.
type mapKernel func(dst, v *lanes64, ok uint64, p *mapParams)

// mapParams is what kernels want to know beside the values; each its own.
type mapParams struct {
	x         float64 // the scalar operand; what round rounds by, inverted; the time in seconds
	low, high float64 // clamp
	holds     comparisonKernel
	date      datePart
}

// mapped computes an element of each element of a vector, and drops the metric name.
type mapped struct {
	output
	in     vectorInput
	args   []scalarInput
	names  nameless
	run    mapKernel
	params mapParams
	// none says that no element comes through: clamp with its bounds crossed.
	none bool
	word lanes64
}

// newMap makes the operator of an element-wise function.
func newMap(n *plan.Node, in []operator, _ *env) operator {
	run, date := mapFunction(n.Func)
	m := newMapped(n, in[0], in[1:], run)
	m.params.date = date
	return m
}

func newMapped(n *plan.Node, v operator, scalars []operator, run mapKernel) *mapped {
	m := &mapped{in: newVectorInput(v), run: run, names: newNameless(v.out().shape)}
	for _, s := range scalars {
		m.args = append(m.args, newScalarInput(s))
	}
	m.node = n
	m.shape = m.names.shape()
	return m
}

func (m *mapped) bind() {
	m.in.bind()
	m.column.Grow(m.lanes.Len())
	m.names.bind()
}

// settle prepares the parameters as of t. It reports whether they are others than last time.
func (m *mapped) settle(t int64) (moved bool) {
	var arg [2]float64
	for i := range m.args {
		v, other := m.args[i].take(t)
		arg[i], moved = v, moved || other
	}
	p := &m.params
	p.x = arg[0]
	switch m.node.Func {
	case "clamp":
		p.low, p.high = arg[0], arg[1]
		m.none = p.high < p.low
	case "clamp_min":
		p.low, p.high = arg[0], math.Inf(1)
	case "clamp_max":
		p.low, p.high = math.Inf(-1), arg[0]
	case "round":
		if len(m.args) == 0 {
			arg[0] = 1
		}
		p.x = 1 / arg[0]
	case "timestamp":
		p.x = seconds(t)
	}
	return moved
}

// present returns which lanes of word w have a value.
func (m *mapped) present(w int) uint64 {
	if m.none {
		return 0
	}
	return m.in.column.OK[w]
}

func (m *mapped) full(t int64) error {
	m.settle(t)
	m.in.moved()
	v, from := m.column.V, m.in.column.V
	for w := range m.column.OK {
		ok := m.present(w)
		m.column.OK[w] = ok
		if ok != 0 {
			m.run(wordOf(v, w), wordOf(from, w), ok, &m.params)
		}
	}
	return m.names.check(&m.output)
}

func (m *mapped) update(t int64) error {
	all := m.settle(t)
	if m.in.moved() || all {
		for w := range m.column.OK {
			m.redo(w)
		}
	} else {
		for _, w := range m.in.marks.Words() {
			m.redo(int(w))
		}
	}
	return m.names.check(&m.output)
}

// redo computes word w again, and marks it if it comes out otherwise.
func (m *mapped) redo(w int) {
	ok := m.present(w)
	was, v := m.column.OK[w], wordOf(m.column.V, w)
	if ok != 0 {
		m.run(&m.word, wordOf(m.in.column.V, w), ok, &m.params)
	}
	if ok == was && sameBits(&m.word, v, ok) {
		return
	}
	m.marks.Add(uint32(w), v[:], was)
	m.column.OK[w] = ok
	if ok != 0 {
		*v = m.word
	}
}

// bytes returns what the operator occupies.
func (m *mapped) bytes() int {
	n := m.column.Bytes()
	if m.names.watched != nil {
		n += m.names.watched.bytes()
	}
	return n
}
