package kernel_test

import (
	"fmt"
	"math"

	"github.com/tocsin/tocsin/internal/kernel"
)

// reference runs p over b as simply as it can be said: lane by lane, every instruction with a variable of its own.
// Nothing is reused, left out or done ahead.
func reference(p *kernel.Program, b *kernel.Block) {
	// Results may stand where inputs stand, and so are written at the end.
	v, ok := make([]float64, b.Words*kernel.WordLanes), make([]uint64, b.Words)
	for lane := range b.Words * kernel.WordLanes {
		values, masks := make([]float64, len(p.Code)), make([]bool, len(p.Code))
		for i, in := range p.Code {
			if in.Op.Mask() {
				masks[i] = referenceMask(in, b, lane, values, masks)
			} else {
				values[i] = referenceValue(in, b, lane, values, masks)
			}
		}
		if p.Value != kernel.None {
			v[lane] = values[p.Value]
		}
		if masks[p.Mask] {
			ok[lane/kernel.WordLanes] |= 1 << (lane % kernel.WordLanes)
		}
	}
	if p.Value != kernel.None {
		copy(b.V, v)
	}
	copy(b.OK, ok)
}

func referenceValue(in kernel.Ins, b *kernel.Block, lane int, values []float64, masks []bool) float64 {
	switch in.Op {
	case kernel.Load:
		return b.In[in.A].V[lane]
	case kernel.Param:
		return b.Params[in.A]
	case kernel.Add:
		return add(values[in.A], values[in.B])
	case kernel.Sub:
		return sub(values[in.A], values[in.B])
	case kernel.Mul:
		return mul(values[in.A], values[in.B])
	case kernel.Div:
		return div(values[in.A], values[in.B])
	case kernel.Neg:
		return math.Float64frombits(math.Float64bits(values[in.A]) ^ 1<<63)
	case kernel.Abs:
		return math.Float64frombits(math.Float64bits(values[in.A]) &^ (1 << 63))
	case kernel.Sqrt:
		return math.Sqrt(values[in.A])
	case kernel.Floor:
		return math.Floor(values[in.A])
	case kernel.Ceil:
		return math.Ceil(values[in.A])
	case kernel.Select:
		if masks[in.A] {
			return values[in.B]
		}
		return values[in.C]
	case kernel.Bool:
		if masks[in.A] {
			return 1
		}
		return 0
	}
	panic(fmt.Sprintf("the reference knows no value %s", in.Op))
}

func referenceMask(in kernel.Ins, b *kernel.Block, lane int, values []float64, masks []bool) bool {
	switch in.Op {
	case kernel.Valid:
		return b.In[in.A].OK[lane/kernel.WordLanes]>>(lane%kernel.WordLanes)&1 != 0
	case kernel.Less:
		return values[in.A] < values[in.B]
	case kernel.LessEqual:
		return values[in.A] <= values[in.B]
	case kernel.Equal:
		return values[in.A] == values[in.B]
	case kernel.NotEqual:
		return values[in.A] != values[in.B]
	case kernel.And:
		return masks[in.A] && masks[in.B]
	case kernel.Or:
		return masks[in.A] || masks[in.B]
	case kernel.AndNot:
		return masks[in.A] && !masks[in.B]
	}
	panic(fmt.Sprintf("the reference knows no mask %s", in.Op))
}

// The operations are functions, so that the compiler has their operands in registers, in order, and nothing to merge.

//go:noinline
func add(a, b float64) float64 { return a + b }

//go:noinline
func sub(a, b float64) float64 { return a - b }

//go:noinline
func mul(a, b float64) float64 { return a * b }

//go:noinline
func div(a, b float64) float64 { return a / b }
