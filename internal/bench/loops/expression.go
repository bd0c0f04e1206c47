package loops

import "github.com/tocsin/tocsin/internal/kernel"

// expression is what is measured. Its place among expressions() is its number in source/loops.c.
type expression struct {
	text   string
	params []float64
	// value says that the result has values, not only which lanes have one.
	value bool
	build func(b *kernel.Builder) (value, mask int32)
}

// expressions are a plain threshold, arithmetic whose result is shown, and a condition that only holds or does not. About
// a tenth, a third and a half of the lanes fulfil them.
func expressions() []expression {
	return []expression{
		{text: "v > c", params: []float64{90}, build: above},
		{text: "(1 - a/b)*100 > c", params: []float64{1, 100, 60}, value: true, build: used},
		{
			text:   "(a > c1 and b < c2) or (a/b*k1 - k2 >= c3)",
			params: []float64{80, 100, 1.5, 0.5, 0.3}, build: either,
		},
	}
}

func above(b *kernel.Builder) (value, mask int32) {
	v, c := b.Load(0), b.Param()
	return kernel.None, b.Do(kernel.And, b.Valid(0), b.Do(kernel.Less, c, v))
}

func used(b *kernel.Builder) (value, mask int32) {
	one, scale, c := b.Param(), b.Param(), b.Param()
	value = b.Do(kernel.Mul, b.Do(kernel.Sub, one, b.Do(kernel.Div, b.Load(0), b.Load(1))), scale)
	return value, b.Do(kernel.And, present(b), b.Do(kernel.Less, c, value))
}

func either(b *kernel.Builder) (value, mask int32) {
	c1, c2, k1, k2, c3 := b.Param(), b.Param(), b.Param(), b.Param(), b.Param()
	x, y := b.Load(0), b.Load(1)
	high := b.Do(kernel.And, b.Do(kernel.And, b.Valid(0), b.Do(kernel.Less, c1, x)),
		b.Do(kernel.And, b.Valid(1), b.Do(kernel.Less, y, c2)))
	share := b.Do(kernel.Sub, b.Do(kernel.Mul, b.Do(kernel.Div, x, y), k1), k2)
	return kernel.None, b.Do(kernel.Or, high, b.Do(kernel.And, present(b), b.Do(kernel.LessEqual, c3, share)))
}

// present says which lanes have a value in both inputs.
func present(b *kernel.Builder) int32 { return b.Do(kernel.And, b.Valid(0), b.Valid(1)) }

// program returns the expression as a program.
func (e expression) program() *kernel.Program {
	b := kernel.NewBuilder()
	return b.Program(e.build(b))
}
