package jit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

func TestAPanicOfTheEncoderIsOneKernelsAffair(t *testing.T) {
	m := here(t)
	compile := m.compile
	bad := nth(4).Key()
	m.compile = func(p *kernel.Program) compiled {
		if p.Key() == bad {
			panic("no such register")
		}
		return compile(p)
	}
	var log logs
	l := openOn(t, Options{Logger: log.logger()}, m, watch())
	var runners []kernel.Runner
	for i := range 8 {
		runners = append(runners, l.Open(nth(i), fmt.Sprintf("metric > %d", i)))
	}
	warm(t, l)
	require.NoError(t, l.Apply(Options{}), "to apply settings is no reason to try again")
	warm(t, l)
	random := rand.New(rand.NewPCG(3, 3))
	for i, r := range runners {
		require.Equal(t, i != 4, r.Tier() == 2)
		same(t, random, nth(i), r, 2)
	}
	require.Equal(t, uint64(1), l.Stats().Refused["failed"])
	require.Len(t, log.lines(), 1)
	require.Contains(t, log.lines()[0], "no such register")
	require.Contains(t, log.lines()[0], "metric > 4")
	require.Equal(t, int64(7), l.granted.Load())
}

func TestMaxKernels(t *testing.T) {
	var log logs
	l := open(t, Options{MaxKernels: 5, Logger: log.logger()})
	var runners []kernel.Runner
	for i := range 8 {
		runners = append(runners, l.Open(nth(i), "x"))
	}
	warm(t, l)
	tiers := func() (n int) {
		for _, r := range runners {
			n += r.Tier() - 1
		}
		return n
	}
	require.Equal(t, 5, tiers())
	require.Equal(t, uint64(3), l.Stats().Refused["full"])
	require.Len(t, log.lines(), 1, "one stands for all")
	for range 3 { // Whoever leaves makes room.
		runners[0].Close()
		runners = runners[1:]
		warm(t, l)
		require.Equal(t, 5, tiers())
	}
	require.Equal(t, uint64(3), l.Stats().Refused["full"], "each counts once")
	require.Len(t, log.lines(), 1, "one stands for all")
}

// TestAKernelThatNeedsNoCodeMakesRoom: what failed, or was closed while it waited, leaves its place to others.
func TestAKernelThatNeedsNoCodeMakesRoom(t *testing.T) {
	m := here(t)
	compile, goOn := m.compile, make(chan struct{})
	m.compile = func(p *kernel.Program) compiled {
		<-goOn
		if p.Key() == nth(0).Key() {
			panic("no such register")
		}
		return compile(p)
	}
	l := openOn(t, Options{MaxKernels: 2}, m, watch())
	fails, closed := l.Open(nth(0), "x"), l.Open(nth(1), "x")
	starves, second, third := l.Open(nth(2), "x"), l.Open(nth(3), "x"), l.Open(nth(4), "x")
	require.Equal(t, uint64(3), l.Stats().Refused["full"])
	require.Len(t, l.queue.starved, 3)
	starves.Close()
	require.Len(t, l.queue.starved, 2)
	closed.Close()
	close(goOn)
	warm(t, l)
	require.Equal(t, []int{1, 2, 2}, []int{fails.Tier(), second.Tier(), third.Tier()})
}

func TestMaxCodeBytes(t *testing.T) {
	var log logs
	l := open(t, Options{MaxCodeBytes: 4096, Logger: log.logger()})
	var runners []kernel.Runner
	const all = 200
	for i := range all {
		runners = append(runners, l.Open(nth(i), "x"))
	}
	warm(t, l)
	s := l.Stats()
	require.Positive(t, s.Compiled)
	require.Equal(t, uint64(all-s.Compiled), s.Refused["memory"])
	require.LessOrEqual(t, s.CodeBytes, s.CodeReserved)
	require.LessOrEqual(t, s.CodeReserved, int64(4096))
	require.Contains(t, log.lines()[0], "reason=memory")
	random := rand.New(rand.NewPCG(4, 4))
	for i, r := range runners {
		same(t, random, nth(i), r, 1)
	}
	for again := true; again; { // Whoever leaves makes room for another, which leaves in the next turn.
		again = false
		for i, r := range runners[:all-1] {
			if r != nil && r.Tier() == 2 {
				r.Close()
				warm(t, l)
				runners[i], again = nil, true
			}
		}
	}
	require.Equal(t, 2, runners[all-1].Tier(), "memory that others gave back is used")
	require.Equal(t, s.Refused, l.Stats().Refused, "each counts once")
	for _, r := range runners {
		if r != nil {
			r.Close()
		}
	}
	warm(t, l) // what was asked for and left again
	require.Empty(t, l.queue.starved)
	require.Zero(t, l.Stats().CodeBytes)
	require.Zero(t, l.granted.Load())
}
