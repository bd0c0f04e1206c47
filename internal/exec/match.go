package exec

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/schema"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// ReasonRematch: an element's match became another one, so that it bears other labels while it goes on having a value.
// Followers of arrivals cannot tell that from a change of value; the next full evaluation can.
const ReasonRematch = "rematch"

var errRematch error = &Bail{Reason: ReasonRematch}

// match is an arithmetic or comparison operator between two vectors. One side is "one": at any time at most one of its
// elements may have a signature. The other is "many"; where both are "one" it is the left. The result has the lanes of
// the many side.
//
// Lanes of the one side with the same signature are candidates. Almost always there is a single one in use, and then
// which lane goes with which is known when series come and go: pair. Where there are several, it is the one that has a
// value; an evaluation looks at those signatures, and at no others, before it computes anything.
type match struct {
	output
	op plan.Operator
	// truth is the bool modifier, single one-to-one matching, swapped that the right side is the many side.
	truth, single, swapped bool
	// drops says that the result bears no metric name. shares says that values are the many side's: a comparison that
	// keeps its left side's elements.
	drops, shares bool
	// binary is the operator as planned, for labels.
	binary *plan.Binary

	many, one side
	signer    signer
	// signatures are those of both sides; chosen is by signature, pair by lane of the many side: the candidate, or none.
	signatures registry
	chosen     []uint32
	pair       []uint32
	// touched are the signatures whose candidates changed during bind; crowded those with several candidates in use;
	// torn those of them with several that have values.
	touched, crowded, torn idSet
	rivals                 rivals
	// kernel computes the operation, and what goes into one kernel with it; nil where kernels do not have it.
	kernel *work
	// straights are, by word of the many side, the one word of the other side that its matches are, in order; none where
	// they are not. They are found anew when pairs have moved.
	straights []uint32
	moved     bool
	// include is nil where the result takes no labels from the one side.
	include *inclusion
	builder *labels.Builder

	// churned says that lanes changed hands since the last evaluation, broken that it failed, rematched that an
	// element with a value was given other labels since.
	churned, broken, rematched bool

	dirty    idSet // words, during update
	word     column.Word
	gathered [column.WordLanes]float64
}

func newMatch(n *plan.Node, in []operator, _ *env) *match {
	b := n.Binary
	m := &match{
		op: b.Op, truth: b.Bool, single: b.Card == plan.OneToOne, swapped: b.Card == plan.OneToMany,
		drops: b.Bool || !b.Op.Comparison(), binary: b,
		many: side{in: in[0].out()}, one: side{in: in[1].out()},
		signer: newSigner(b), builder: labels.NewBuilder(labels.EmptyLabels()),
	}
	if m.swapped {
		m.many, m.one = m.one, m.many
	}
	m.shares = b.Op.Comparison() && !b.Bool && !m.swapped
	m.node = n
	m.lanes = m.many.in.lanes
	if len(b.Include) > 0 {
		m.include = newInclusion(b.Include)
		m.lanes = &m.include.lanes
	}
	m.describe()
	m.planRivals()
	m.bind()
	return m
}

// describe sets what is known of the result's labels ahead of all series.
func (m *match) describe() {
	b, in := m.binary, m.many.in
	m.labels = m.resultLabels
	m.named = in.named && !m.drops
	if m.single && slices.Contains(b.Labels, model.MetricNameLabel) != b.On {
		m.named = false
	}
	m.oneName = !m.named || in.oneName
	if slices.Contains(b.Include, model.MetricNameLabel) {
		m.named, m.oneName = true, false
	}
	switch {
	case m.single:
		// The labels are the signature, or have it in them, as long as nothing is dropped that the signature has.
		m.unique = !m.drops || !b.On || !slices.ContainsFunc(b.Labels, schema.IsMetadataLabel)
	case m.include != nil:
		m.unique = false
	default:
		if !m.drops {
			m.labels = in.labels
		}
		m.unique = in.unique && (!m.drops || !in.named || in.oneName)
	}
}

// resultLabels returns what the element of a lane bears.
func (m *match) resultLabels(lane uint32) labels.Labels {
	b := m.binary
	ls := m.many.in.labels(lane)
	if m.drops {
		ls = dropName(ls)
	}
	if !m.single && m.include == nil {
		return ls
	}
	m.builder.Reset(ls)
	switch {
	case m.single && b.On:
		m.builder.Keep(b.Labels...)
	case m.single:
		m.builder.Del(b.Labels...)
	}
	if m.include != nil {
		m.include.write(m.builder, m.many.of.id[lane])
	}
	return m.builder.Labels()
}

// bytes returns what the match table and the column occupy.
func (m *match) bytes() int {
	n := 4*(cap(m.chosen)+cap(m.pair)) + m.signatures.bytes() + m.many.bytes() + m.one.bytes() + m.rivals.bytes()
	if m.include != nil {
		n += m.include.bytes()
	}
	if m.shares {
		return n + 8*cap(m.column.OK)
	}
	return n + m.column.Bytes()
}
