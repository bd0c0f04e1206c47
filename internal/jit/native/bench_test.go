//go:build linux && (amd64 || arm64)

package native

import (
	"fmt"
	"testing"
)

// BenchmarkRun measures the call of a function that does nothing, with the check of its block.
func BenchmarkRun(b *testing.B) {
	for _, inputs := range []int{1, 4} {
		b.Run(fmt.Sprintf("inputs=%d", inputs), func(b *testing.B) {
			f := add(b, opened(b, 1<<20, Open), padded(4))
			p, block := sum(inputs), block(1, inputs)
			for b.Loop() {
				f.Run(block, p, 2)
			}
		})
	}
}

// BenchmarkAdd measures adding and freeing 512 bytes beside other code.
func BenchmarkAdd(b *testing.B) {
	a := opened(b, 1<<20, Open)
	code := padded(512)
	add(b, a, code)
	for b.Loop() {
		add(b, a, code).Free()
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		a, err := Open(64 << 20)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
