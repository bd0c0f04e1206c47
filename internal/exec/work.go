package exec

import (
	"github.com/tocsin/tocsin/internal/kernel"
)

// work is a program at work: its runner, its parameters, and the block that it runs over.
type work struct {
	program *kernel.Program
	runner  kernel.Runner
	args    []scalarInput
	params  []param
	block   kernel.Block
	word    lanes64 // of an update
	ok      [1]uint64
}

// newWork takes l's program, whose result is value and mask. expression is what it is for, for people.
func newWork(l *lowering, value, mask int32, e *env, expression string) *work {
	k := &work{program: l.b.Program(value, mask), params: l.params}
	for _, arg := range l.args {
		k.args = append(k.args, newScalarInput(arg))
	}
	k.runner = e.open(k.program, expression)
	k.block.In = make([]kernel.Input, k.program.Inputs)
	k.block.Params = make([]float64, len(k.params))
	for i, p := range k.params {
		k.block.Params[i] = p.number
	}
	return k
}

func (k *work) works() *work { return k }

// settle prepares the parameters as of t. It reports whether they are others than last time.
func (k *work) settle(t int64) (moved bool) {
	for i := range k.params {
		p := &k.params[i]
		if p.arg < 0 {
			continue
		}
		v, other := k.args[p.arg].take(t)
		if p.inverse {
			v = 1 / v
		}
		k.block.Params[i], moved = v, moved || other
	}
	return moved
}

// run computes so many words of the inputs that are set, into v, which may be nil where the program has no value, and ok.
func (k *work) run(words int, v []float64, ok []uint64) {
	b := &k.block
	b.Words, b.V, b.OK = words, v, ok
	k.runner.Run(b)
}
