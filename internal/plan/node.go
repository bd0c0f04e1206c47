package plan

import (
	"github.com/prometheus/prometheus/model/labels"
)

// Op is what a node does.
type Op uint8

// The operations. "Vector" and "scalar" are PromQL's value types.
const (
	// Number is the scalar Node.Number.
	Number Op = iota
	// Time is the scalar time(): the evaluation time in seconds.
	Time
	// Instant is an instant vector selector, Node.Select. One lane a series.
	Instant
	// Window is a function over a range vector selector: Node.Select and Node.Func, e.g. rate(x[5m]). Inputs are the
	// function's scalar arguments in their order: φ of quantile_over_time, t of predict_linear.
	Window
	// Subwindow is a function over a subquery: Node.Subquery and Node.Func; inputs as for Window. The subquery's inner
	// expression is not an input.
	Subwindow
	// Map is an element-wise function Node.Func of In[0] (vector) and scalars In[1:]: math, clamp*, round, date
	// functions, timestamp of something that is no selector, and "neg", unary minus. The metric name is dropped.
	Map
	// ScalarOf is scalar(v), VectorOf is vector(s).
	ScalarOf
	VectorOf
	// Arithmetic is a binary arithmetic or comparison operator, Node.Binary, with at least one scalar operand: two
	// scalars make a scalar (comparisons are bool), otherwise the result has the vector's lanes.
	Arithmetic
	// Match is a binary arithmetic or comparison operator between two vectors, Node.Binary.
	Match
	// Set is and, or, unless between two vectors, Node.Binary.
	Set
	// Aggregate is an aggregation of In[0], Node.Aggregate; In[1] is the scalar parameter of quantile, topk, bottomk.
	Aggregate
	// HistogramQuantile is histogram_quantile(In[0] scalar, In[1] vector) on classic histograms.
	HistogramQuantile
	// Absent is absent(In[0]), or absent_over_time with a present_over_time Window as In[0]. Node.Labels are what the
	// result's one element bears.
	Absent
	// Relabel is label_replace or label_join of In[0], Node.Relabel.
	Relabel
	// Sort is sort, sort_desc, sort_by_label, sort_by_label_desc of In[0], Node.Func and, for the latter two,
	// Node.Strings. Values and lanes are the input's; the order matters at the root only.
	Sort
)

// Node is one operation of a plan. It is immutable, and may be shared by plans.
type Node struct {
	Op Op
	// Scalar says that the value is a scalar; otherwise it is an instant vector.
	Scalar bool
	// Key is canonical: nodes of equal key have equal values at every time, over the same samples.
	Key string
	// In are the inputs in the order of their evaluation.
	In []*Node

	// What follows is set as Op says.

	Number    float64
	Func      string // upstream's name of the function; "neg" is unary minus
	Select    *Select
	Subquery  *Subquery
	Binary    *Binary
	Aggregate *Aggregation
	Relabel   *Relabeling
	Labels    labels.Labels
	Strings   []string
}

// Select says which series, and which of their samples, a selector takes at evaluation time t: samples in
// (t-Offset-Range, t-Offset] for a range, the latest in (t-Offset-lookback, t-Offset] otherwise.
type Select struct {
	// Matchers are sorted by name, type and value, __name__ included.
	Matchers []*labels.Matcher
	// Key is canonical for Matchers alone.
	Key string
	// Range is 0 for an instant selector. Range and Offset are in milliseconds; Offset may be negative.
	Range, Offset int64
	// Timestamp makes the sample's time, in seconds, the value in place of the sample's: timestamp(selector).
	Timestamp bool
}

// Subquery is the argument of a Subwindow: expression [Range:Step] offset Offset.
type Subquery struct {
	// Text is the inner expression, for tier 0.
	Text string
	// Range, Step and Offset are in milliseconds. Step 0 is the default resolution.
	Range, Step, Offset int64
	// Selects are the inner expression's selectors with the whole span of time that they reach back from the
	// evaluation time of the Subwindow.
	Selects []*Select
}

// Operator is a binary operator.
type Operator uint8

// The operators.
const (
	Add Operator = iota
	Sub
	Mul
	Div
	Mod
	Pow
	Atan2
	Equal
	NotEqual
	Less
	Greater
	LessEqual
	GreaterEqual
	And
	Or
	Unless
)

// Comparison reports whether o compares.
func (o Operator) Comparison() bool { return o >= Equal && o <= GreaterEqual }

// Cardinality of a match between two vectors.
type Cardinality uint8

// The cardinalities; the "many" side of ManyToOne (group_left) is the left one. Set operators are ManyToMany.
const (
	OneToOne Cardinality = iota
	ManyToOne
	OneToMany
	ManyToMany
)

// Binary is a binary operator with its modifiers.
type Binary struct {
	Op Operator
	// Bool is the bool modifier: comparisons return 0 or 1 in place of filtering.
	Bool bool
	// On says that Labels are those to match on; otherwise they are those to ignore.
	On     bool
	Labels []string // sorted
	Card   Cardinality
	// Include are the labels that group_left or group_right takes over from the "one" side.
	Include []string
}

// Aggregator is an aggregation operator.
type Aggregator uint8

// The aggregation operators.
const (
	Sum Aggregator = iota
	Avg
	Count
	Min
	Max
	Group
	Stddev
	Stdvar
	Quantile
	TopK
	BottomK
	CountValues
)

// Aggregation is an aggregation with its grouping.
type Aggregation struct {
	Op Aggregator
	// Without says that Labels are those to drop, beside the metric name; otherwise they are those to keep.
	Without bool
	Labels  []string // sorted
	// Label is the label that count_values writes.
	Label string
}

// Relabeling is label_replace (Join false) or label_join.
type Relabeling struct {
	Join bool
	Dst  string
	// Src is one label for label_replace, any number for label_join.
	Src []string
	// Replacement and Regex are label_replace's, Separator is label_join's. Regex is not anchored yet.
	Replacement, Regex, Separator string
}

// Walk calls visit for n and all nodes below it, inputs first, shared ones once.
func (n *Node) Walk(visit func(*Node)) { n.walk(visit, map[*Node]bool{}) }

func (n *Node) walk(visit func(*Node), seen map[*Node]bool) {
	if seen[n] {
		return
	}
	seen[n] = true
	for _, in := range n.In {
		in.walk(visit, seen)
	}
	visit(n)
}
