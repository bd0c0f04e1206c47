package jit

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

func TestEqualProgramsShareAKernel(t *testing.T) {
	l := open(t, Options{})
	a, again, other := l.Open(nth(5), "a > 1"), l.Open(nth(5), "a > 2"), l.Open(nth(6), "b > 1")
	require.Equal(t, a.ID(), again.ID())
	require.NotEqual(t, a.ID(), other.ID())
	require.Regexp(t, "^k[0-9a-f]{10}$", a.ID())
	require.Equal(t, idOf(nth(5).Key()), a.ID(), "an ID depends on the program alone")
	warm(t, l)
	require.Equal(t, []int{2, 2, 2}, []int{a.Tier(), again.Tier(), other.Tier()})
	s := l.Stats()
	require.Equal(t, []int{2, 1, 2, 0}, []int{s.Kernels, s.Shared, s.Compiled, s.Waiting})
	require.Equal(t, uint64(2), s.Compiles)
	require.Positive(t, s.CodeBytes)
	require.Positive(t, s.CompileTime)

	a.Close()
	require.Equal(t, 2, again.Tier(), "one user is left")
	require.Equal(t, 2, l.Stats().Compiled)
	again.Close()
	s = l.Stats()
	require.Equal(t, []int{1, 0, 1}, []int{s.Kernels, s.Shared, s.Compiled})
	other.Close()
	require.Zero(t, l.Stats().CodeBytes, "the last user's code is freed")
	require.Panics(t, func() { other.Close() })
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	m := here(t)
	before := executable(t)
	l := newLibrary(Options{Mode: Adaptive}, m, watch())
	require.NoError(t, l.Apply(Options{Mode: Eager}))
	runners := make([]kernel.Runner, 20)
	for i := range runners {
		runners[i] = l.Open(nth(i), "x")
	}
	warm(t, l)
	require.Equal(t, 20, l.Stats().Compiled)
	require.Greater(t, executable(t), before)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.Equal(t, before, executable(t), "mappings") // goroutines are looked at in TestMain
	require.Error(t, l.Apply(Options{}))

	random := rand.New(rand.NewPCG(1, 1))
	late := l.Open(nth(3), "late")
	for i, r := range append(runners, late) {
		p := nth(i)
		if r == late {
			p = nth(3)
		}
		require.Equal(t, 1, r.Tier())
		same(t, random, p, r, 2)
		r.Close()
	}
	require.Zero(t, l.Stats().Kernels)
}

func TestWithoutExecutableMemoryEverythingIsInterpreted(t *testing.T) {
	m := noMemory(thisMachine(), errors.New("the system refuses"))
	var log logs
	l := openOn(t, Options{Logger: log.logger()}, m, watch())
	random := rand.New(rand.NewPCG(2, 2))
	for i := range 10 {
		r := l.Open(nth(i), "x")
		same(t, random, nth(i), r, 3)
		require.Equal(t, 1, r.Tier())
	}
	warm(t, l)
	for _, mode := range []Mode{Eager, Off, Adaptive} {
		require.NoError(t, l.Apply(Options{Mode: mode}))
	}
	require.Len(t, log.lines(), 1)
	require.Contains(t, log.lines()[0], "the system refuses")
	s := l.Stats()
	require.Equal(t, uint64(10), s.Refused["unsupported"])
	require.Equal(t, Work{Runs: 10, Lanes: 10 * 3 * 64, Time: s.Interpreted.Time}, s.Interpreted)
	require.Equal(t, "unsupported", l.Kernels()[0].Reason)
}

func TestWarmUpSaysHowManyAreLeft(t *testing.T) {
	m := here(t)
	compile, goOn := m.compile, make(chan struct{})
	m.compile = func(p *kernel.Program) compiled {
		<-goOn
		return compile(p)
	}
	l := openOn(t, Options{}, m, watch())
	for i := range 3 {
		l.Open(nth(i), "x")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := l.WarmUp(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "3 are left to compile")
	require.Equal(t, 3, l.Stats().Waiting)
	require.Equal(t, "waiting", l.Kernels()[0].Reason)
	close(goOn)
	warm(t, l)
	s := l.Stats()
	require.Equal(t, 3, s.Compiled)
	require.Zero(t, s.Waiting)
	require.Zero(t, s.MachineCode.Runs, "dummy lanes are nobody's runs")
}

func TestOptions(t *testing.T) {
	require.NoError(t, Options{}.Validate())
	for _, o := range []Options{
		{Mode: 3}, {CompileCPUs: []int{-1}}, {CompileCPUs: []int{1024}}, {CompileNice: 20}, {CompileNice: -21},
		{MaxCodeBytes: -1}, {MaxCodeBytes: 1 << 31}, {MaxKernels: -1}, {HotAfter: -1}, {ColdAfter: -1},
	} {
		require.Error(t, o.Validate(), "%+v", o)
	}
	for _, m := range []Mode{Eager, Adaptive, Off} {
		again, err := ParseMode(m.String())
		require.NoError(t, err)
		require.Equal(t, m, again)
	}
	_, err := ParseMode("on")
	require.ErrorContains(t, err, "eager, adaptive or off")
}
