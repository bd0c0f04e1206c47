package exec

import (
	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// comparisonKernel returns in which lanes of a word the comparison with c holds. It looks at all 64: what stands in lanes
// without a value is for the caller to mask.
type comparisonKernel func(v *lanes64, c float64) uint64

// comparison returns the kernel of op.
func comparison(op plan.Operator) comparisonKernel {
	switch op {
	case plan.Equal:
		return equalTo
	case plan.NotEqual:
		return notEqualTo
	case plan.Less:
		return lessThan
	case plan.Greater:
		return greaterThan
	case plan.LessEqual:
		return atMost
	case plan.GreaterEqual:
		return atLeast
	}
	panic("BUG: not a comparison: " + op.String())
}

// The kernels compare four lanes a step, without branches: their bits depend on nothing but themselves, so that the
// processor computes them side by side, and come in from the top.
const (
	stride   = 4
	topLanes = column.WordLanes - stride
)

func equalTo(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] == c) | bit(x[1] == c)<<1 | bit(x[2] == c)<<2 | bit(x[3] == c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}

func notEqualTo(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] != c) | bit(x[1] != c)<<1 | bit(x[2] != c)<<2 | bit(x[3] != c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}

func lessThan(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] < c) | bit(x[1] < c)<<1 | bit(x[2] < c)<<2 | bit(x[3] < c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}

func greaterThan(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] > c) | bit(x[1] > c)<<1 | bit(x[2] > c)<<2 | bit(x[3] > c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}

func atMost(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] <= c) | bit(x[1] <= c)<<1 | bit(x[2] <= c)<<2 | bit(x[3] <= c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}

func atLeast(v *lanes64, c float64) (holds uint64) {
	for i := 0; i < len(v); i += stride {
		x := (*[stride]float64)(v[i:])
		four := bit(x[0] >= c) | bit(x[1] >= c)<<1 | bit(x[2] >= c)<<2 | bit(x[3] >= c)<<3
		holds = holds>>stride | four<<topLanes
	}
	return holds
}
