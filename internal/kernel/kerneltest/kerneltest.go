// Package kerneltest makes programs and columns at random, and says where two ways to run a program differ.
package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Program returns a random program of about size instructions.
func Program(r *rand.Rand, size int) *kernel.Program {
	b := kernel.NewBuilder()
	inputs := 1 + r.IntN(4)
	var values, masks []int32
	for n := range inputs {
		values = append(values, b.Load(n))
		masks = append(masks, b.Valid(n))
	}
	for range r.IntN(6) {
		values = append(values, b.Param())
	}
	// Old values stay wanted, so that many live at the same time; the newest are wanted more often.
	pick := func(from []int32) int32 {
		if r.IntN(2) == 0 {
			return from[len(from)-1-r.IntN(min(4, len(from)))]
		}
		return from[r.IntN(len(from))]
	}
	for range size {
		op := kernel.Op(r.IntN(kernel.Ops))
		var n int32
		switch {
		case op.Leaf():
			continue
		case op == kernel.And || op == kernel.Or || op == kernel.AndNot:
			n = b.Do(op, pick(masks), pick(masks))
		case op == kernel.Select:
			n = b.Do(op, pick(masks), pick(values), pick(values))
		case op == kernel.Bool:
			n = b.Do(op, pick(masks))
		case op.Operands() == 1:
			n = b.Do(op, pick(values))
		default:
			n = b.Do(op, pick(values), pick(values))
		}
		if op.Mask() {
			masks = append(masks, n)
		} else {
			values = append(values, n)
		}
	}
	value := int32(kernel.None)
	if r.IntN(3) > 0 {
		value = pick(values)
		for range r.IntN(8) { // Much of what was made is wanted at the end.
			value = b.Do(kernel.Sub, value, pick(values))
		}
	}
	mask := pick(masks)
	for range r.IntN(4) {
		mask = b.Do(kernel.Or, mask, pick(masks))
	}
	return b.Program(value, mask)
}

// Block returns a block of so many words with random columns for p, all of it full of numbers that go wrong easily.
func Block(r *rand.Rand, p *kernel.Program, words int) *kernel.Block {
	b := &kernel.Block{Words: words, OK: make([]uint64, words)}
	for range p.Inputs {
		in := kernel.Input{V: make([]float64, words*kernel.WordLanes), OK: make([]uint64, words)}
		for i := range in.V {
			in.V[i] = Number(r)
		}
		for i := range in.OK {
			switch r.IntN(4) {
			case 0:
				in.OK[i] = math.MaxUint64
			case 1:
				in.OK[i] = r.Uint64() & r.Uint64()
			default:
				in.OK[i] = r.Uint64()
			}
		}
		b.In = append(b.In, in)
	}
	for range p.Params {
		b.Params = append(b.Params, Number(r))
	}
	if p.Value != kernel.None {
		b.V = make([]float64, words*kernel.WordLanes)
	}
	return b
}

// Number returns a number, often one that goes wrong easily: NaN with payloads, quiet and signalling (the staleness marker
// is one), zeros, infinities, denormals, extremes, and small whole numbers that meet each other.
func Number(r *rand.Rand) float64 {
	special := [...]uint64{
		0x7ff0000000000002, 0x7ff8000000000001, 0x7ff8000000000000, 0xfff8000000000000, 0xfff0000000000003, 0x7fffffffffffffff,
		0, 1 << 63, 0x7ff0000000000000, 0xfff0000000000000, 1, 0x800fffffffffffff, 0x000fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0xffefffffffffffff, 0x4330000000000001, 0x3fe0000000000000, 0xbfe0000000000000, 0x3fdfffffffffffff,
	}
	switch r.IntN(4) {
	case 0:
		return math.Float64frombits(special[r.IntN(len(special))])
	case 1:
		return float64(r.IntN(7) - 3)
	case 2:
		return math.Float64frombits(r.Uint64())
	}
	return r.NormFloat64() * 100
}

// Clone returns b with the same columns and with results of its own.
func Clone(b *kernel.Block) *kernel.Block {
	c := &kernel.Block{Words: b.Words, In: b.In, Params: b.Params, OK: make([]uint64, len(b.OK))}
	if b.V != nil {
		c.V = make([]float64, len(b.V))
	}
	return c
}

// Differ says where the results of two runs of p differ, "" where they are equal bit for bit in all lanes that have one.
func Differ(p *kernel.Program, a, b *kernel.Block) string {
	for w := range a.Words {
		if a.OK[w] != b.OK[w] {
			return fmt.Sprintf("word %d: present %#016x and %#016x\n%s", w, a.OK[w], b.OK[w], p)
		}
		if p.Value == kernel.None {
			continue
		}
		for i := range kernel.WordLanes {
			lane := w*kernel.WordLanes + i
			x, y := math.Float64bits(a.V[lane]), math.Float64bits(b.V[lane])
			if a.OK[w]>>uint(i)&1 != 0 && x != y {
				return fmt.Sprintf("lane %d: %#016x (%v) and %#016x (%v)\n%s", lane, x, a.V[lane], y, b.V[lane], p)
			}
		}
	}
	return ""
}
