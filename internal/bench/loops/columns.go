package loops

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"

	"github.com/tocsin/tocsin/internal/kernel"
)

const (
	// maxLanes is the length of the columns, the longest that one run works on.
	maxLanes = kernel.MaxWords * kernel.WordLanes
	// inputs is how many columns there are; the first expression reads the first alone.
	inputs = 2
	// One lane in absentOneIn has no value, one in oddOneIn holds NaN or an infinity.
	absentOneIn = 50
	oddOneIn    = 200
)

// columns returns the inputs: what is used and what there is of something, the same each time.
func columns() [inputs]kernel.Input {
	r := rand.New(rand.NewPCG(20, 26))
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1)}
	var in [inputs]kernel.Input
	for n := range in {
		in[n] = kernel.Input{V: make([]float64, maxLanes), OK: make([]uint64, kernel.MaxWords)}
		for i := range in[n].V {
			in[n].V[i] = r.Float64()*100 + float64(n*50)
			if r.IntN(oddOneIn) == 0 {
				in[n].V[i] = odd[r.IntN(len(odd))]
			}
			if r.IntN(absentOneIn) != 0 {
				in[n].OK[i/kernel.WordLanes] |= 1 << (i % kernel.WordLanes)
			}
		}
	}
	return in
}

// block returns a block for e over the first lanes of the columns, with results of its own.
func (e expression) block(in *[inputs]kernel.Input, lanes int) *kernel.Block {
	b := &kernel.Block{
		Words: lanes / kernel.WordLanes, In: in[:], Params: e.params, OK: make([]uint64, lanes/kernel.WordLanes),
	}
	if e.value {
		b.V = make([]float64, lanes)
	}
	return b
}

// paramSlots is how many parameters an expression has room for in the file of columns: PARAMS in source/loops.c.
const paramSlots = 8

// writeColumns writes the columns as source/loops.c reads them: the values of both, the bitmaps of both, and the
// parameters of each expression.
func writeColumns(path string, in *[inputs]kernel.Input, es []expression) error {
	var out []byte
	add := func(bits uint64) { out = binary.NativeEndian.AppendUint64(out, bits) }
	for _, c := range in {
		for _, v := range c.V {
			add(math.Float64bits(v))
		}
	}
	for _, c := range in {
		for _, ok := range c.OK {
			add(ok)
		}
	}
	for _, e := range es {
		var slots [paramSlots]float64
		copy(slots[:], e.params)
		for _, v := range slots {
			add(math.Float64bits(v))
		}
	}
	return os.WriteFile(path, out, 0o600)
}
