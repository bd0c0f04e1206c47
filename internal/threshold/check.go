package threshold

import "github.com/tocsin/tocsin/internal/kernel"

// The inputs of Check, in their order.
const (
	inputValue = iota
	inputLow
	inputHigh
	checkInputs
)

// Check returns the program that says which lanes are in their slot still: of the inputs v, lo and hi, the mask of lanes
// that v has and where lo <= v and v <= hi.
func Check() *kernel.Program {
	b := kernel.NewBuilder()
	v := b.Load(inputValue)
	above := b.Do(kernel.LessEqual, b.Load(inputLow), v)
	below := b.Do(kernel.LessEqual, v, b.Load(inputHigh))
	within := b.Do(kernel.And, above, below)
	return b.Program(kernel.None, b.Do(kernel.And, b.Valid(inputValue), within))
}
