package kernel_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// decoder makes a program and columns of any bytes. Unlike kerneltest's programs, leaves come anywhere in these.
type decoder struct {
	data          []byte
	b             *kernel.Builder
	values, masks []int32
	params        int
}

const (
	maxInputs = 4
	maxParams = 6
	maxSize   = 200
)

// next returns a number below n.
func (d *decoder) next(n int) int {
	if len(d.data) == 0 {
		return 0
	}
	first := int(d.data[0])
	d.data = d.data[1:]
	return first % n
}

// pick returns one of from, counted from the newest.
func (d *decoder) pick(from []int32) int32 { return from[len(from)-1-d.next(len(from))] }

// decode returns the program that data say.
func decode(data []byte) *kernel.Program {
	d := &decoder{data: data, b: kernel.NewBuilder()}
	d.values, d.masks = []int32{d.b.Load(0)}, []int32{d.b.Valid(0)}
	for n := 0; len(d.data) > 0 && n < maxSize; n++ {
		d.instruction(kernel.Op(d.next(kernel.Ops)))
	}
	value := int32(kernel.None)
	if len(data)%3 > 0 {
		value = d.pick(d.values)
	}
	return d.b.Program(value, d.pick(d.masks))
}

func (d *decoder) instruction(op kernel.Op) {
	var n int32
	switch op {
	case kernel.Load:
		n = d.b.Load(d.next(maxInputs))
	case kernel.Valid:
		n = d.b.Valid(d.next(maxInputs))
	case kernel.Param:
		if d.params == maxParams {
			return
		}
		d.params++
		n = d.b.Param()
	case kernel.Select:
		n = d.b.Do(op, d.pick(d.masks), d.pick(d.values), d.pick(d.values))
	case kernel.Bool:
		n = d.b.Do(op, d.pick(d.masks))
	case kernel.And, kernel.Or, kernel.AndNot:
		n = d.b.Do(op, d.pick(d.masks), d.pick(d.masks))
	default:
		args := []int32{d.pick(d.values), d.pick(d.values)}
		n = d.b.Do(op, args[:op.Operands()]...)
	}
	if op.Mask() {
		d.masks = append(d.masks, n)
	} else {
		d.values = append(d.values, n)
	}
}

// columns returns a block for p whose first numbers are those of data, so that a fuzzer can choose them.
func columns(r *rand.Rand, p *kernel.Program, words int, data []byte) *kernel.Block {
	b := kerneltest.Block(r, p, words)
	next := func() (float64, bool) {
		if len(data) < 8 {
			return 0, false
		}
		x := math.Float64frombits(binary.LittleEndian.Uint64(data))
		data = data[8:]
		return x, true
	}
	for i := range b.Params {
		if x, ok := next(); ok {
			b.Params[i] = x
		}
	}
	for i := range words * kernel.WordLanes {
		for n := range b.In {
			if x, ok := next(); ok {
				b.In[n].V[i] = x
			}
		}
	}
	return b
}

// randomBytes returns so many bytes of r.
func randomBytes(r *rand.Rand, n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}
