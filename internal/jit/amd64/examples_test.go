package amd64_test

import "github.com/tocsin/tocsin/internal/kernel"

// example is a program with a name.
type example struct {
	name, expression string
	program          *kernel.Program
}

// examples are programs as rules make them.
func examples() []example {
	return []example{
		{"above", "v > c, presence only", above()},
		{"ratio", "(1 - a/b)*100 > c", ratio()},
		{"three", "(a > c1 and b < c2) or (a/b*k1 - k2 >= c3), presence only", three(false)},
		{"choice", "(a > c1 and b < c2) or (a/b*k1 - k2 >= c3)", three(true)},
	}
}

func above() *kernel.Program {
	b := kernel.NewBuilder()
	v, c := b.Load(0), b.Param()
	return b.Program(kernel.None, b.Do(kernel.And, b.Valid(0), b.Do(kernel.Less, c, v)))
}

func ratio() *kernel.Program {
	b := kernel.NewBuilder()
	v := b.Do(kernel.Sub, b.Param(), b.Do(kernel.Div, b.Load(0), b.Load(1)))
	v = b.Do(kernel.Mul, v, b.Param())
	both := b.Do(kernel.And, b.Valid(0), b.Valid(1))
	return b.Program(v, b.Do(kernel.And, both, b.Do(kernel.Less, b.Param(), v)))
}

// three has a value that is that of a or of the arithmetic, if it is wanted.
func three(value bool) *kernel.Program {
	b := kernel.NewBuilder()
	x, y, hasX, hasY := b.Load(0), b.Load(1), b.Valid(0), b.Valid(1)
	left := b.Do(kernel.And,
		b.Do(kernel.And, hasX, b.Do(kernel.Less, b.Param(), x)),
		b.Do(kernel.And, hasY, b.Do(kernel.Less, y, b.Param())))
	v := b.Do(kernel.Sub, b.Do(kernel.Mul, b.Do(kernel.Div, x, y), b.Param()), b.Param())
	right := b.Do(kernel.And, b.Do(kernel.And, hasX, hasY), b.Do(kernel.LessEqual, b.Param(), v))
	result := int32(kernel.None)
	if value {
		result = b.Do(kernel.Select, left, x, v)
	}
	return b.Program(result, b.Do(kernel.Or, left, right))
}
