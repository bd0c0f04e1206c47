package amd64_test

import "github.com/tocsin/tocsin/internal/kernel"

// crowd is programs that need more of something than there are registers. n is how much.
func crowd(n int) []example {
	return []example{
		{"values", "many values at the same time", manyValues(n)},
		{"differences", "results that are spilled to where an operand stood", manyDifferences(n)},
		{"masks", "many masks at the same time, lane by lane", manyMasks(n)},
		{"words", "many words of validity at the same time", manyWords(n)},
		{"collected", "many comparisons that become words", manyCollected(n)},
		{"inputs", "many columns", manyInputs(n)},
		{"params", "many parameters, each used twice", manyParams(n)},
		{"constants", "signs and truths where all registers are taken", manyConstants(n)},
	}
}

// fold combines all, the newest with the oldest first, so that all live until then.
func fold(b *kernel.Builder, op kernel.Op, all []int32) int32 {
	result := all[len(all)-1]
	for _, n := range all[:len(all)-1] {
		result = b.Do(op, result, n)
	}
	return result
}

func manyValues(n int) *kernel.Program {
	b := kernel.NewBuilder()
	all := []int32{b.Load(0)}
	for range n {
		all = append(all, b.Do(kernel.Mul, all[len(all)-1], b.Load(1)))
	}
	return b.Program(fold(b, kernel.Sub, all), b.Valid(0))
}

func manyDifferences(n int) *kernel.Program {
	b := kernel.NewBuilder()
	x := []int32{b.Load(0)}
	for range n {
		x = append(x, b.Do(kernel.Mul, x[len(x)-1], b.Load(1)))
	}
	h := b.Do(kernel.Add, x[0], x[n])
	var all []int32
	for _, v := range x {
		all = append(all, b.Do(kernel.Sub, h, v))
	}
	return b.Program(b.Do(kernel.Sub, fold(b, kernel.Sub, all), h), b.Valid(0))
}

func manyMasks(n int) *kernel.Program {
	b := kernel.NewBuilder()
	x, y := b.Load(0), b.Load(1)
	v := x
	masks := []int32{b.Valid(0), b.Valid(1)}
	for range n {
		masks = append(masks, b.Do(kernel.Less, v, y))
		v = b.Do(kernel.Sub, v, b.Param())
	}
	for i, m := range masks {
		v = b.Do(kernel.Select, m, b.Do(kernel.Add, v, y), v)
		if i%2 == 0 {
			v = b.Do(kernel.Add, v, b.Do(kernel.Bool, b.Do(kernel.AndNot, masks[len(masks)-1-i], m)))
		}
	}
	return b.Program(v, fold(b, kernel.Or, masks))
}

func manyWords(n int) *kernel.Program {
	b := kernel.NewBuilder()
	masks := []int32{b.Valid(0), b.Valid(1)}
	for i := range n {
		masks = append(masks, b.Do(kernel.Or, b.Valid(i%7), b.Do(kernel.AndNot, masks[i], masks[i+1])))
	}
	result := fold(b, kernel.And, masks)
	for i, m := range masks { // That one of them is wanted by a value keeps those that it is made of early.
		result = b.Do([]kernel.Op{kernel.Or, kernel.AndNot}[i%2], result, m)
	}
	v := b.Do(kernel.Select, masks[n/2], b.Load(0), b.Load(1))
	return b.Program(v, b.Do(kernel.AndNot, result, b.Do(kernel.Less, v, b.Load(2))))
}

func manyCollected(n int) *kernel.Program {
	b := kernel.NewBuilder()
	x, y := b.Load(0), b.Load(1)
	var masks []int32
	for i := range n {
		x = b.Do(kernel.Sub, x, b.Param())
		ops := []kernel.Op{kernel.Less, kernel.LessEqual, kernel.Equal, kernel.NotEqual}
		masks = append(masks, b.Do(kernel.And, b.Valid(i%3), b.Do(ops[i%4], x, y)))
	}
	return b.Program(kernel.None, fold(b, kernel.Or, masks))
}

func manyInputs(n int) *kernel.Program {
	b := kernel.NewBuilder()
	v, m := b.Load(0), b.Valid(0)
	for i := range n {
		m = b.Do(kernel.And, m, b.Valid(i))
		v = b.Do(kernel.Add, b.Load(i), b.Do(kernel.Mul, v, b.Load(n-1-i)))
	}
	return b.Program(v, b.Do(kernel.Or, m, b.Do(kernel.Less, v, b.Load(n/2))))
}

func manyParams(n int) *kernel.Program {
	b := kernel.NewBuilder()
	var params []int32
	for range n {
		params = append(params, b.Param())
	}
	v := b.Load(0)
	for _, p := range params {
		v = b.Do(kernel.Sub, p, v)
	}
	for i, p := range params {
		ops := []kernel.Op{kernel.Add, kernel.Mul, kernel.Div}
		v = b.Do(ops[i%3], v, p)
	}
	m := b.Do(kernel.Less, params[0], params[n-1])
	v = b.Do(kernel.Select, m, params[n/2], v)
	return b.Program(b.Do(kernel.Add, v, b.Do(kernel.Sqrt, params[n/3])), b.Do(kernel.Equal, params[n/2], v))
}

func manyConstants(n int) *kernel.Program {
	b := kernel.NewBuilder()
	all := []int32{b.Load(0)}
	for i := range n {
		v := b.Do(kernel.Mul, all[len(all)-1], b.Load(1))
		switch i % 3 {
		case 0:
			v = b.Do(kernel.Neg, v)
		case 1:
			v = b.Do(kernel.Abs, v)
		case 2:
			v = b.Do(kernel.Bool, b.Do(kernel.NotEqual, v, b.Load(0)))
		}
		all = append(all, v)
	}
	return b.Program(fold(b, kernel.Sub, all), b.Valid(0))
}

// every is a program with every operation.
func every() *kernel.Program {
	b := kernel.NewBuilder()
	x, y, p, q := b.Load(0), b.Load(1), b.Param(), b.Param()
	v := b.Do(kernel.Div, b.Do(kernel.Sub, b.Do(kernel.Add, x, p), b.Do(kernel.Mul, y, q)), x)
	m := b.Do(kernel.And, b.Valid(0), b.Do(kernel.Less, v, p))
	n := b.Do(kernel.Or, b.Do(kernel.LessEqual, y, q), b.Do(kernel.AndNot, m, b.Valid(1)))
	v = b.Do(kernel.Select, n, b.Do(kernel.Neg, b.Do(kernel.Floor, v)), b.Do(kernel.Abs, b.Do(kernel.Ceil, y)))
	v = b.Do(kernel.Add, b.Do(kernel.Sqrt, v), b.Do(kernel.Bool, b.Do(kernel.Equal, v, x)))
	return b.Program(v, b.Do(kernel.AndNot, m, b.Do(kernel.NotEqual, v, y)))
}
