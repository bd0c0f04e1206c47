package arm64

import (
	"math/rand/v2"

	"github.com/tocsin/tocsin/internal/kernel"
)

// ratio is what most rules are: a / b > x, where both have a value.
func ratio() *kernel.Program {
	b := kernel.NewBuilder()
	v := b.Do(kernel.Div, b.Load(0), b.Load(1))
	both := b.Do(kernel.And, b.Valid(0), b.Valid(1))
	return b.Program(v, b.Do(kernel.And, both, b.Do(kernel.Less, b.Param(), v)))
}

// crowds are makers of programs in which n of something are alive at the same time.
func crowds() map[string]func(r *rand.Rand, n int) *kernel.Program {
	return map[string]func(r *rand.Rand, n int) *kernel.Program{
		"values": crowdOfValues, "lanes": crowdOfLanes, "words": crowdOfWords, "spread": crowdOfSpreadWords,
		"inputs": crowdOfInputs, "params": crowdOfParams, "collected": crowdOfCollected,
	}
}

// fold joins all of what by op, in a random order.
func fold(b *kernel.Builder, r *rand.Rand, op kernel.Op, what []int32) int32 {
	all := what[0]
	for _, n := range r.Perm(len(what) - 1) {
		all = b.Do(op, all, what[n+1])
	}
	return all
}

// chain is n values of two inputs, each different.
func chain(b *kernel.Builder, n int) []int32 {
	all := []int32{b.Load(0)}
	ops := []kernel.Op{kernel.Sub, kernel.Mul, kernel.Add}
	for i := 1; i < n; i++ {
		all = append(all, b.Do(ops[i%len(ops)], all[i-1], b.Load(1)))
	}
	return all
}

func crowdOfValues(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(fold(b, r, kernel.Sub, chain(b, n)), b.Valid(0))
}

// comparisons are n masks of lanes.
func comparisons(b *kernel.Builder, n int) []int32 {
	var all []int32
	ops := []kernel.Op{kernel.Less, kernel.LessEqual, kernel.Equal, kernel.NotEqual}
	for i, v := range chain(b, n) {
		all = append(all, b.Do(ops[i%len(ops)], v, b.Load(2)))
	}
	return all
}

func crowdOfLanes(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	m := fold(b, r, kernel.AndNot, comparisons(b, n))
	v := b.Do(kernel.Select, m, b.Load(0), b.Load(1))
	return b.Program(v, m)
}

// validities are n masks of whole words.
func validities(b *kernel.Builder, n int) []int32 {
	all := []int32{b.Valid(0)}
	ops := []kernel.Op{kernel.AndNot, kernel.Or, kernel.And}
	for i := 1; i < n; i++ {
		all = append(all, b.Do(ops[i%len(ops)], b.Valid(i), all[i-1]))
	}
	return all
}

func crowdOfWords(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(kernel.None, fold(b, r, kernel.AndNot, validities(b, n)))
}

func crowdOfSpreadWords(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	var values []int32
	words := validities(b, n)
	for _, m := range words {
		values = append(values, b.Do(kernel.Select, m, b.Load(0), b.Load(1)), b.Do(kernel.Bool, m))
	}
	v := fold(b, r, kernel.Sub, values)
	return b.Program(v, b.Do(kernel.Or, b.Do(kernel.Less, v, b.Load(0)), fold(b, r, kernel.AndNot, words)))
}

func crowdOfInputs(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	var values []int32
	for i := range n {
		values = append(values, b.Load(i))
	}
	v := fold(b, r, kernel.Sub, values)
	return b.Program(b.Do(kernel.Add, v, fold(b, r, kernel.Mul, values)), b.Valid(n-1))
}

func crowdOfParams(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	values := []int32{b.Load(0)}
	for range n {
		values = append(values, b.Param())
	}
	v := fold(b, r, kernel.Sub, values)
	return b.Program(v, b.Do(kernel.Less, v, fold(b, r, kernel.Add, values)))
}

// crowdOfCollected joins lanes and words in turn, which is done for all lanes of a word at once.
func crowdOfCollected(r *rand.Rand, n int) *kernel.Program {
	b := kernel.NewBuilder()
	m := b.Valid(0)
	ops := []kernel.Op{kernel.Or, kernel.And, kernel.AndNot}
	for i, lanes := range comparisons(b, n) {
		m = b.Do(ops[r.IntN(len(ops))], m, lanes)
		if i%3 == 0 {
			m = b.Do(ops[r.IntN(len(ops))], m, b.Valid(i%7))
		}
	}
	return b.Program(kernel.None, m)
}
