package kernel_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// TestPrograms holds random programs to what Program promises.
func TestPrograms(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, i))
		p := randomProgram(r, 1+r.IntN(150))
		seen := map[kernel.Ins]bool{}
		needed := make([]bool, len(p.Code))
		if p.Value != kernel.None {
			require.False(t, p.Code[p.Value].Op.Mask())
			needed[p.Value] = true
		}
		require.True(t, p.Code[p.Mask].Op.Mask())
		needed[p.Mask] = true
		for n, in := range slices.Backward(p.Code) {
			require.True(t, needed[n], "instruction %d is needed:\n%s", n, p)
			require.False(t, seen[in], "instruction %d is there twice:\n%s", n, p)
			seen[in] = true
			for _, a := range in.Args() {
				require.GreaterOrEqual(t, a, int32(0))
				require.Less(t, a, int32(n), "instructions need earlier ones")
				needed[a] = true
			}
			switch in.Op {
			case kernel.Load, kernel.Valid:
				require.Less(t, int(in.A), p.Inputs)
			case kernel.Param:
				require.Less(t, int(in.A), p.Params)
			}
		}
		requireLastUses(t, p)
	}
}

func requireLastUses(t *testing.T, p *kernel.Program) {
	t.Helper()
	want := make([]int32, len(p.Code))
	for n := range p.Code {
		for i, in := range p.Code {
			if slices.Contains(in.Args(), int32(n)) {
				want[n] = int32(i)
			}
		}
		if int32(n) == p.Value || int32(n) == p.Mask {
			want[n] = int32(len(p.Code))
		}
	}
	require.Equal(t, want, p.LastUses(), p.String())
}

func TestLastUses(t *testing.T) {
	b := kernel.NewBuilder()
	x, y := b.Load(0), b.Load(1)
	sum := b.Do(kernel.Add, x, y)
	m := b.Do(kernel.Less, x, sum)
	p := b.Program(b.Do(kernel.Neg, sum), m)
	require.Equal(t, []int32{3, 2, 4, 5, 5}, p.LastUses())
}

func TestEqualInstructionsBecomeOne(t *testing.T) {
	b := kernel.NewBuilder()
	require.Equal(t, b.Load(2), b.Load(2))
	require.Equal(t, b.Valid(2), b.Valid(2))
	require.NotEqual(t, b.Load(2), b.Load(1))
	x, y := b.Load(2), b.Load(1)
	require.Equal(t, b.Do(kernel.Add, x, y), b.Do(kernel.Add, x, y))
	require.NotEqual(t, b.Do(kernel.Add, x, y), b.Do(kernel.Add, y, x), "the order tells which NaN comes out")
	require.NotEqual(t, b.Do(kernel.Sub, x, y), b.Do(kernel.Add, x, y))
	require.NotEqual(t, b.Param(), b.Param(), "parameters are each their own")
	m := b.Valid(1)
	require.Equal(t, m, b.Do(kernel.And, m, m))
	require.Equal(t, m, b.Do(kernel.Or, m, m))
	deep := func() int32 { return b.Do(kernel.Sqrt, b.Do(kernel.Mul, b.Do(kernel.Neg, x), y)) }
	require.Equal(t, deep(), deep())
}

func TestWhatIsNotNeededIsLeftOut(t *testing.T) {
	b := kernel.NewBuilder()
	x := b.Load(0)
	b.Do(kernel.Div, b.Load(3), b.Param())
	k := b.Param()
	b.Do(kernel.Bool, b.Do(kernel.Less, x, k))
	p := b.Program(b.Do(kernel.Add, x, k), b.Valid(1))
	require.Equal(t, []kernel.Ins{
		{Op: kernel.Load, A: 0}, {Op: kernel.Param, A: 1}, {Op: kernel.Add, A: 0, B: 1}, {Op: kernel.Valid, A: 1},
	}, p.Code)
	require.Equal(t, 4, p.Inputs, "inputs keep their numbers")
	require.Equal(t, 2, p.Params, "so do parameters")
	require.Equal(t, int32(2), p.Value)
	require.Equal(t, int32(3), p.Mask)
	require.Equal(t, "v0 = load 0\nv1 = param 1\nv2 = add 0 1\nm3 = valid 1\nvalue 2, mask 3\n", p.String())

	p = b.Program(kernel.None, b.Valid(1))
	require.Equal(t, []kernel.Ins{{Op: kernel.Valid, A: 1}}, p.Code)
	require.Equal(t, int32(kernel.None), p.Value)
}

// comparison is `in 0 op (in 1 + parameter)`, whose mask is asked for, and maybe the value.
func comparison(op kernel.Op, withValue, dead bool) *kernel.Program {
	b := kernel.NewBuilder()
	if dead {
		b.Do(kernel.Sqrt, b.Do(kernel.Mul, b.Load(0), b.Load(1)))
	}
	x := b.Load(0)
	value := int32(kernel.None)
	if withValue {
		value = x
	}
	return b.Program(value, b.Do(op, x, b.Do(kernel.Add, b.Load(1), b.Param())))
}

func TestKeys(t *testing.T) {
	p := comparison(kernel.Less, true, false)
	require.Equal(t, p.Key(), comparison(kernel.Less, true, false).Key())
	require.Equal(t, p.Key(), comparison(kernel.Less, true, true).Key(), "what is left out does not count")
	require.NotEqual(t, p.Key(), comparison(kernel.LessEqual, true, false).Key())
	require.NotEqual(t, p.Key(), comparison(kernel.Less, false, false).Key())
}

// TestKeysTellProgramsApart: of random programs, those of equal key list the same, and no others do.
func TestKeysTellProgramsApart(t *testing.T) {
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	type content struct {
		text           string
		inputs, params int
	}
	byKey, byContent := map[string]content{}, map[content]string{}
	for range 3000 {
		p := randomProgram(r, r.IntN(4))
		c := content{p.String(), p.Inputs, p.Params}
		if other, ok := byKey[p.Key()]; ok {
			require.Equal(t, other, c)
		}
		if other, ok := byContent[c]; ok {
			require.Equal(t, other, p.Key())
		}
		byKey[p.Key()], byContent[c] = c, p.Key()
	}
	require.Greater(t, len(byKey), 100)
	require.Less(t, len(byKey), 2900, "some came more than once")
}

func TestBuilderPanics(t *testing.T) {
	b := kernel.NewBuilder()
	v, m := b.Load(0), b.Valid(0)
	for name, f := range map[string]func(){
		"a leaf":                   func() { b.Do(kernel.Load) },
		"too few":                  func() { b.Do(kernel.Add, v) },
		"too many":                 func() { b.Do(kernel.Neg, v, v) },
		"a mask for a value":       func() { b.Do(kernel.Neg, m) },
		"a value for a mask":       func() { b.Do(kernel.And, v, m) },
		"a value for bool":         func() { b.Do(kernel.Bool, v) },
		"a value to select by":     func() { b.Do(kernel.Select, v, v, v) },
		"a mask to select":         func() { b.Do(kernel.Select, m, v, m) },
		"an instruction to come":   func() { b.Do(kernel.Neg, 17) },
		"no instruction":           func() { b.Do(kernel.Less, v, kernel.None) },
		"comparing presence":       func() { b.Do(kernel.Equal, m, m) },
		"combining values by bits": func() { b.Do(kernel.AndNot, v, v) },
	} {
		require.Panics(t, f, name)
	}
}

func TestCheckPanics(t *testing.T) {
	b := kernel.NewBuilder()
	p := b.Program(b.Do(kernel.Mul, b.Load(0), b.Param()), b.Valid(1))
	block := func(change func(*kernel.Block)) func() {
		b := kerneltest.Block(rand.New(rand.NewPCG(1, 1)), p, 2)
		change(b)
		return func() { p.Check(b) }
	}
	require.NotPanics(t, block(func(*kernel.Block) {}))
	require.NotPanics(t, block(func(b *kernel.Block) { b.Words = 0 }))
	require.NotPanics(t, block(func(b *kernel.Block) { b.In[0].OK, b.In[1].V = nil, nil }), "what is not read need not be there")
	for name, change := range map[string]func(*kernel.Block){
		"fewer than no words": func(b *kernel.Block) { b.Words = -1 },
		"too many words":      func(b *kernel.Block) { b.Words = kernel.MaxWords + 1 },
		"an input too few":    func(b *kernel.Block) { b.In = b.In[:1] },
		"no parameter":        func(b *kernel.Block) { b.Params = nil },
		"no presence":         func(b *kernel.Block) { b.OK = b.OK[:1] },
		"no values":           func(b *kernel.Block) { b.V = nil },
		"values too short":    func(b *kernel.Block) { b.V = b.V[:2*kernel.WordLanes-1] },
		"an input too short":  func(b *kernel.Block) { b.In[0].V = b.In[0].V[:2*kernel.WordLanes-1] },
		"a bitmap too short":  func(b *kernel.Block) { b.In[1].OK = b.In[1].OK[:1] },
		"words past the last": func(b *kernel.Block) { b.Words = 3 },
	} {
		require.Panics(t, block(change), name)
		require.Panics(t, func() {
			b := kerneltest.Block(rand.New(rand.NewPCG(1, 1)), p, 2)
			change(b)
			kernel.NewInterpreter(p).Run(b)
		}, name)
	}
}

func TestOperations(t *testing.T) {
	names := map[string]bool{}
	for op := range kernel.Op(kernel.Ops) {
		require.NotEmpty(t, op.String())
		require.False(t, names[op.String()], op.String())
		names[op.String()] = true
		require.Equal(t, op.Leaf(), op.Operands() == 0, op.String())
		require.Len(t, kernel.Ins{Op: op}.Args(), op.Operands())
	}
}
