package amd64

import (
	"math"

	"github.com/tocsin/tocsin/internal/kernel"
)

// never is the step of a use that does not come.
const never = math.MaxInt32

// step is an instruction in its part, with what it needs: values and masks by their instructions, and constants. The
// step that stores a part's result has no instruction.
type step struct {
	ins   int32
	count int32
	args  [3]int32
	// next is, by argument, the next step of the part that needs it too, never if there is none.
	next [3]int32
}

// user numbers what steps use: the instructions of a program, and after them the constants.
type user struct{ instructions int32 }

// The constants: -0, which is the sign's bit alone, and 1.
const (
	minusZero int32 = iota
	one
	constants
)

func (u *user) constant(c int32) int32 { return u.instructions + c }

// names is how many names of values there are.
func (u *user) names() int { return int(u.instructions + constants) }

func (u *user) step(i int32, in *kernel.Ins) step {
	s := step{ins: i, args: [3]int32{in.A, in.B, in.C}}
	switch in.Op {
	case kernel.Neg, kernel.Abs:
		s.args[1], s.count = u.constant(minusZero), 2
	case kernel.Bool:
		s.args[1], s.count = u.constant(one), 2
	case kernel.Valid:
	default:
		s.count = int32(in.Op.Operands())
	}
	return s
}

// look finds the next uses of all arguments of a part. What it leaves in next are the first uses.
func look(steps []step, next []int32) {
	for i := range next {
		next[i] = never
	}
	for s := len(steps) - 1; s >= 0; s-- {
		step := &steps[s]
		for n := range step.count {
			step.next[n] = next[step.args[n]]
		}
		for n := range step.count {
			next[step.args[n]] = int32(s)
		}
	}
}
