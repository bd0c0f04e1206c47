package exec

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// operator is a node of a plan at work: it owns the node's lanes, where it makes them, and its column.
//
// Per evaluation its owner calls, inputs before those that use them, bind and then either full or update. Operators
// allocate only in bind and where columns grow; they take no locks, since one goroutine at a time runs them.
type operator interface {
	// bind follows the lanes of the inputs: lanes, groups and matches of series that came or went. It is cheap when
	// nothing did. After it the columns have room for all lanes. A lane that was bound anew has no value until the next
	// full, or until update is called with its word marked.
	bind()
	// full computes all lanes as of t, in Unix milliseconds. An error (a *Bail) says that tier 0 must answer; the
	// column is undefined then until the next full.
	full(t int64) error
	// update computes, as of t, what follows from the words that are marked in the inputs' outputs, and marks what
	// changed in its own. The rest of the column keeps its values. Marks of the output are empty before.
	update(t int64) error
	// out returns the same pointer at all times.
	out() *output
}

// output is what an operator shows to those that use it.
type output struct {
	// node is what is computed.
	node *plan.Node
	shape
	// column has the values. V may be shared with an input's (a filter), OK never is.
	column column.Column
	// occupied, where there is one, says which words of OK are not zero: then the others need not be looked at.
	occupied column.Bitmap
	// scalar is the value where node.Scalar; then there are no lanes. changed says, during an update, that it is
	// another than before (NaN equals NaN).
	scalar  float64
	changed bool
	// marks are the words that the running update changed, with what stood there.
	marks column.Marks
	// synced counts the full evaluations. One who keeps sums over this column in step by marks compares it with what
	// it saw last: where it moved, the sums have to be made anew from the whole column.
	synced uint64
}

func (o *output) out() *output { return o }

// shape is the label side of a vector.
type shape struct {
	// lanes is who stands where. Operators that keep their input's lanes share its pointer.
	lanes *column.Lanes
	// labels makes the labels of a lane that is in use. It is for binding and for results, not for evaluation: it may
	// build labels anew at each call.
	labels func(lane uint32) labels.Labels
	// unique says that no two lanes in use can have equal labels. Where it is false and nobody else has checked, the
	// root checks the lanes that have values (PromQL fails on duplicates).
	unique bool
	// named says that labels may contain the metric name; oneName that all lanes have the same one, so that dropping
	// it keeps unique.
	named, oneName bool
}

// scalarChanged sets the scalar during update and keeps changed right.
func (o *output) setScalar(v float64) {
	if v != o.scalar && (v == v || o.scalar == o.scalar) {
		o.changed = true
	}
	o.scalar = v
}

// Bail says that an expression could not be evaluated over columns this time, and that tier 0 has the answer, which may
// be an error. It is not a failure of the rule.
type Bail struct {
	// Reason is one of a few, for counting: see the Reason constants.
	Reason string
	// Detail says more, for people; may be empty.
	Detail string
}

// The reasons for which an evaluation is left to tier 0.
const (
	// ReasonHistogram: a selected series has native histograms.
	ReasonHistogram = "native_histogram"
	// ReasonWindow: a window does not reach back far enough: it was cut by its memory limit, or the evaluation is for
	// a time that is long gone.
	ReasonWindow = "window"
	// ReasonDuplicate: two elements have the same labels, or match the same element; PromQL may fail here.
	ReasonDuplicate = "duplicate"
	// ReasonParameter: an aggregation's or function's parameter is one that PromQL warns of or fails on.
	ReasonParameter = "parameter"
	// ReasonUnknown: the plan was not loaded, or its windows are not filled yet.
	ReasonUnknown = "not_loaded"
	// ReasonSubquery: the steps of a subquery could not be had.
	ReasonSubquery = "subquery"
	// ReasonPanic: a mistake of ours; the log has it.
	ReasonPanic = "panic"
	// ReasonBroken: the last arrival could not be followed; the next tick computes everything again.
	ReasonBroken = "broken"
)

// Error implements error.
func (b *Bail) Error() string {
	if b.Detail == "" {
		return "left to tier 0: " + b.Reason
	}
	return fmt.Sprintf("left to tier 0: %s: %s", b.Reason, b.Detail)
}

// AsBail returns err as a *Bail, nil if it is none.
func AsBail(err error) *Bail {
	b, _ := errors.AsType[*Bail](err)
	return b
}
