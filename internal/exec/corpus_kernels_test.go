package exec_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
	"github.com/tocsin/tocsin/internal/plan"
)

// collector is a library that remembers what it was asked for.
type collector struct{ programs map[string]*kernel.Program }

func (c *collector) Open(p *kernel.Program, _ string) kernel.Runner {
	c.programs[p.Key()] = p
	return kernel.NewInterpreter(p)
}

// TestCorpusKernels: the arithmetic of rules that others wrote, each rule loaded by itself and all together, comes to the
// same in machine code as interpreted, bit for bit, at lane counts around those of words and blocks.
func TestCorpusKernels(t *testing.T) {
	texts := corpusExpressions(t)
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	compiler := plan.NewCompiler(plan.Options{})
	c := &collector{programs: map[string]*kernel.Program{}}
	store := teststorage.New(t)
	load := func(plans ...*plan.Plan) {
		core := exec.New(exec.Options{Kernels: c})
		require.NoError(t, core.Load(context.Background(), plans, store, 1_700_000_000_000))
	}
	var all []*plan.Plan
	for _, text := range texts {
		p, err := compiler.Compile(text)
		require.NoError(t, err)
		all = append(all, p)
		load(p)
	}
	load(all...)
	library := jit.New(jit.Options{})
	defer func() { require.NoError(t, library.Close()) }()
	for _, p := range c.programs {
		code := library.Open(p, "corpus")
		require.NoError(t, library.WarmUp(context.Background()))
		for _, lanes := range []int{0, 1, 63, 64, 65, 1023, 65536} {
			words := (lanes + kernel.WordLanes - 1) / kernel.WordLanes
			want := kerneltest.Block(r, p, words)
			if rest := lanes % kernel.WordLanes; rest != 0 {
				for _, in := range want.In {
					in.OK[words-1] &= 1<<uint(rest) - 1
				}
			}
			got := kerneltest.Clone(want)
			kernel.NewInterpreter(p).Run(want)
			code.Run(got)
			if diff := kerneltest.Differ(p, want, got); diff != "" {
				t.Fatalf("seed %d, %d lanes: %s", seed, lanes, diff)
			}
		}
	}
	t.Logf("%d kernels of %d expressions, %d in machine code", len(c.programs), len(texts), library.Stats().Compiled)
	require.Greater(t, len(c.programs), 50)
}
