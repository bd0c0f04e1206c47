package loops

import (
	"fmt"
	"math"

	"github.com/tocsin/tocsin/internal/kernel"
)

// differ says where two results differ, "" where they do not: in which lanes have one, and in the values of those.
// anyNaN takes NaN for equal whatever its payload: a C compiler may turn the operands of a product round.
func differ(want, got *kernel.Block, anyNaN bool) string {
	for w := range want.Words {
		if want.OK[w] != got.OK[w] {
			return fmt.Sprintf("lanes from %d on: present %#016x and %#016x", w*kernel.WordLanes, want.OK[w], got.OK[w])
		}
	}
	for i, x := range want.V {
		y := got.V[i]
		same := math.Float64bits(x) == math.Float64bits(y) || anyNaN && x != x && y != y
		if want.OK[i/kernel.WordLanes]>>(i%kernel.WordLanes)&1 != 0 && !same {
			return fmt.Sprintf("lane %d: %v (%#x) and %v (%#x)", i, x, math.Float64bits(x), y, math.Float64bits(y))
		}
	}
	return ""
}
