package exec

import (
	"math"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/plan"
)

// lowering makes the program of a run of nodes.
type lowering struct {
	demand *demand
	b      *kernel.Builder
	// at are the operators at which the run begins, by key.
	at     map[string]operator
	inputs []operator
	places map[string]int // of inputs, by key
	params []param
	args   []operator
	// head, if any, has been lowered already, to headed.
	head   *plan.Node
	headed part
	// drops says that a name is dropped on the way, joins that elements meet by their lanes, impossible that the labels
	// are not such that this kernel would be right.
	drops, joins, impossible bool
	// mixed says that elements meet of which one side bears what goes with a name, a type or a unit, and the other not.
	mixed bool
}

// param is where a parameter's value comes from.
type param struct {
	number float64
	// arg is the scalar among the kernel's, none for a number; inverse takes 1 divided by it.
	arg     int
	inverse bool
}

// part is what a node of the run becomes.
type part struct {
	value, mask int32
	// from is the input whose labels the elements bear, named that they bear the name still, stripped that it was dropped
	// on the way, with what goes with it.
	from            int
	named, stripped bool
}

// lower makes the program of n over the operators of at. It fails where the labels of the inputs do not allow it.
func lower(d *demand, n *plan.Node, at map[string]operator) (*lowering, part, bool) {
	l := &lowering{demand: d, b: kernel.NewBuilder(), at: at, places: map[string]int{}}
	p := l.compute(n)
	if l.impossible {
		return nil, part{}, false
	}
	for _, in := range l.inputs {
		out := in.out()
		if out.lanes != l.inputs[0].out().lanes {
			return nil, part{}, false
		}
		// Names may go, and elements meet by lanes, where the rest of the labels tells all series apart.
		if (l.drops || l.joins) && (!out.unique || out.named && !out.oneName) {
			return nil, part{}, false
		}
	}
	return l, p, true
}

// node lowers what another node works on.
func (l *lowering) node(n *plan.Node) part {
	if l.head != nil && n.Key == l.head.Key {
		return l.headed
	}
	if l.demand.inner(n) {
		return l.compute(n)
	}
	place, known := l.places[n.Key]
	if !known {
		place = len(l.inputs)
		l.places[n.Key] = place
		l.inputs = append(l.inputs, l.at[n.Key])
	}
	return part{
		value: l.b.Load(place), mask: l.b.Valid(place), from: place, named: l.inputs[place].out().named,
	}
}

func (l *lowering) compute(n *plan.Node) part {
	switch n.Op {
	case plan.Arithmetic:
		return l.arithmetic(n)
	case plan.Map:
		p := l.node(n.In[0])
		return l.nameless(p, mapLowering(n)(l, n, p.value))
	case plan.Match:
		return l.match(n)
	case plan.Set:
		return l.set(n)
	}
	panic("BUG: a node that is not element-wise in a kernel")
}

// nameless is p with another value and without its name.
func (l *lowering) nameless(p part, value int32) part {
	l.drops = true
	p.value, p.named, p.stripped = value, false, true
	return p
}

// number is a parameter with a value that is known.
func (l *lowering) number(v float64) int32 {
	l.params = append(l.params, param{number: v, arg: -1})
	return l.b.Param()
}

// scalar is a parameter with the value of a scalar node.
func (l *lowering) scalar(n *plan.Node, inverse bool) int32 {
	if n.Op == plan.Number {
		if inverse {
			return l.number(1 / n.Number)
		}
		return l.number(n.Number)
	}
	l.params = append(l.params, param{arg: len(l.args), inverse: inverse})
	l.args = append(l.args, l.at[n.Key])
	return l.b.Param()
}

func (l *lowering) arithmetic(n *plan.Node) part {
	v, s := operands(n)
	p := l.node(v)
	c := l.scalar(s, false)
	op, first := n.Binary.Op, n.In[0].Scalar
	if op.Comparison() {
		if first {
			op = mirrored(op)
		}
		return l.compared(n, p, p.mask, l.comparison(op, p.value, c))
	}
	if first && (op == plan.Sub || op == plan.Div) {
		return l.nameless(p, l.b.Do(arithmeticOp(op), c, p.value))
	}
	return l.nameless(p, l.b.Do(arithmeticOp(op), p.value, c))
}

// compared is p where holds, or with the bool modifier 1 and 0 wherever present.
func (l *lowering) compared(n *plan.Node, p part, present, holds int32) part {
	if n.Binary.Bool {
		p.mask = present
		return l.nameless(p, l.b.Do(kernel.Bool, holds))
	}
	p.mask = l.b.Do(kernel.And, present, holds)
	return p
}

func (l *lowering) match(n *plan.Node) part {
	l.joins = true
	return l.meet(n, l.node(n.In[0]), l.node(n.In[1]))
}

// meet lowers n over its two sides.
func (l *lowering) meet(n *plan.Node, left, right part) part {
	l.mixed = l.mixed || left.named != right.named || left.stripped != right.stripped
	both := l.b.Do(kernel.And, left.mask, right.mask)
	if op := n.Binary.Op; op.Comparison() {
		return l.compared(n, left, both, l.comparison(op, left.value, right.value))
	}
	left.mask = both
	return l.nameless(left, l.b.Do(arithmeticOp(n.Binary.Op), left.value, right.value))
}

func (l *lowering) set(n *plan.Node) part {
	l.joins = true
	left, right := l.node(n.In[0]), l.node(n.In[1])
	l.mixed = l.mixed || left.named != right.named || left.stripped != right.stripped
	switch n.Binary.Op {
	case plan.And:
		left.mask = l.b.Do(kernel.And, left.mask, right.mask)
	case plan.Unless:
		left.mask = l.b.Do(kernel.AndNot, left.mask, right.mask)
	case plan.Or:
		// The elements of both sides have to bear the same labels.
		l.impossible = l.impossible || left.named != right.named
		if left.value != right.value {
			left.value = l.b.Do(kernel.Select, left.mask, left.value, right.value)
		}
		left.mask = l.b.Do(kernel.Or, left.mask, right.mask)
	}
	return left
}

func (l *lowering) comparison(op plan.Operator, a, b int32) int32 {
	switch op {
	case plan.Equal:
		return l.b.Do(kernel.Equal, a, b)
	case plan.NotEqual:
		return l.b.Do(kernel.NotEqual, a, b)
	case plan.Less:
		return l.b.Do(kernel.Less, a, b)
	case plan.LessEqual:
		return l.b.Do(kernel.LessEqual, a, b)
	case plan.Greater:
		return l.b.Do(kernel.Less, b, a)
	case plan.GreaterEqual:
		return l.b.Do(kernel.LessEqual, b, a)
	}
	panic("BUG: not a comparison: " + op.String())
}

func arithmeticOp(op plan.Operator) kernel.Op {
	switch op {
	case plan.Add:
		return kernel.Add
	case plan.Sub:
		return kernel.Sub
	case plan.Mul:
		return kernel.Mul
	case plan.Div:
		return kernel.Div
	}
	panic("BUG: an operator that kernels do not have: " + op.String())
}

// mapper makes the instructions of an element-wise function of value v.
type mapper func(l *lowering, n *plan.Node, v int32) int32

// mapLowering returns how a function is computed in kernels, nil where it is not.
func mapLowering(n *plan.Node) mapper {
	unary := func(op kernel.Op) mapper {
		return func(l *lowering, _ *plan.Node, v int32) int32 { return l.b.Do(op, v) }
	}
	switch n.Func {
	case "neg":
		return unary(kernel.Neg)
	case "abs":
		return unary(kernel.Abs)
	case "ceil":
		return unary(kernel.Ceil)
	case "floor":
		return unary(kernel.Floor)
	case "sqrt":
		return unary(kernel.Sqrt)
	case "sgn":
		return lowerSign
	case "deg":
		return func(l *lowering, _ *plan.Node, v int32) int32 {
			return l.b.Do(kernel.Div, l.b.Do(kernel.Mul, v, l.number(180)), l.number(math.Pi))
		}
	case "rad":
		return func(l *lowering, _ *plan.Node, v int32) int32 {
			return l.b.Do(kernel.Div, l.b.Do(kernel.Mul, v, l.number(math.Pi)), l.number(180))
		}
	case "round":
		return lowerRound
	case "clamp", "clamp_min", "clamp_max":
		for _, bound := range n.In[1:] {
			if bound.Op != plan.Number || math.IsNaN(bound.Number) {
				return nil
			}
		}
		if n.Func == "clamp" && n.In[2].Number < n.In[1].Number {
			return nil // No element comes through.
		}
		return lowerClamp
	}
	return nil
}

// lowerSign leaves zeros and NaN as they are.
func lowerSign(l *lowering, _ *plan.Node, v int32) int32 {
	zero := l.number(0)
	above := l.b.Do(kernel.Select, l.b.Do(kernel.Less, zero, v), l.number(1), v)
	return l.b.Do(kernel.Select, l.b.Do(kernel.Less, v, zero), l.number(-1), above)
}

// lowerRound is round of this package's mapped: floor(v/to + 1/2) · to, by to's inverse.
func lowerRound(l *lowering, n *plan.Node, v int32) int32 {
	var inverse int32
	if len(n.In) > 1 {
		inverse = l.scalar(n.In[1], true)
	} else {
		inverse = l.number(1)
	}
	half := l.b.Do(kernel.Add, l.b.Do(kernel.Mul, v, inverse), l.number(0.5))
	return l.b.Do(kernel.Div, l.b.Do(kernel.Floor, half), inverse)
}

// lowerClamp is math.Max(low, math.Min(high, v)) for bounds that are numbers, and for every v: of zeros of both signs the
// minimum is the negative one and the maximum the positive one, and NaN comes to what it comes to there.
func lowerClamp(l *lowering, n *plan.Node, v int32) int32 {
	low, high := math.Inf(-1), math.Inf(1)
	switch n.Func {
	case "clamp":
		low, high = n.In[1].Number, n.In[2].Number
	case "clamp_min":
		low = n.In[1].Number
	case "clamp_max":
		high = n.In[1].Number
	}
	x := v
	if top := l.number(high); high == 0 && math.Signbit(high) {
		x = l.b.Do(kernel.Select, l.b.Do(kernel.Less, x, top), x, top)
	} else {
		x = l.b.Do(kernel.Select, l.b.Do(kernel.Less, top, x), top, x)
	}
	if bottom := l.number(low); low == 0 && !math.Signbit(low) {
		x = l.b.Do(kernel.Select, l.b.Do(kernel.Less, bottom, x), x, bottom)
	} else {
		x = l.b.Do(kernel.Select, l.b.Do(kernel.Less, x, bottom), bottom, x)
	}
	nan := l.number(math.Max(low, math.Min(high, math.NaN())))
	return l.b.Do(kernel.Select, l.b.Do(kernel.NotEqual, v, v), nan, x)
}
