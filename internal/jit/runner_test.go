package jit

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

func TestARunnerFillsCacheLines(t *testing.T) {
	require.Equal(t, uintptr(128), reflect.TypeFor[runner]().Size())
}

// TestRunsAreCountedBeyondTheBits runs past the point at which a runner's low bits begin again, with runs under way.
func TestRunsAreCountedBeyondTheBits(t *testing.T) {
	var r runner
	var runs, words uint64
	random := rand.New(rand.NewPCG(8, 8))
	var underWay []uint64
	for range 300_000 {
		if len(underWay) < 50 && random.IntN(2) == 0 {
			r.entered.Add(1)
			underWay = append(underWay, random.Uint64N(1025))
		} else if n := len(underWay); n > 0 {
			r.left.Add(1 + underWay[n-1]<<leftBits)
			runs, words = runs+1, words+underWay[n-1]
			underWay = underWay[:n-1]
		}
		gotRuns, gotWords := r.ran()
		require.Equal(t, runs, gotRuns)
		require.Equal(t, words, gotWords)
		require.Equal(t, len(underWay) > 0, r.busy())
	}
	require.Greater(t, runs, uint64(1<<leftBits))
}

func TestRunDoesNotAllocate(t *testing.T) {
	l := open(t, Options{})
	p := nth(9)
	r := l.Open(p, "x")
	warm(t, l)
	b := kerneltest.Block(rand.New(rand.NewPCG(9, 9)), p, 2)
	r.Run(b)
	require.Zero(t, testing.AllocsPerRun(1000, func() { r.Run(b) }))
	require.Equal(t, 2, r.Tier())
	require.NoError(t, l.Apply(Options{Mode: Off}))
	r.Run(b)
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Run(b) }))
	require.Equal(t, 1, r.Tier())
}

// TestAMistakeDoesNotKeepCodeForever: a run that panics has ended all the same.
func TestAMistakeDoesNotKeepCodeForever(t *testing.T) {
	l := open(t, Options{})
	p := nth(9)
	r := l.Open(p, "x")
	warm(t, l)
	b := kerneltest.Block(rand.New(rand.NewPCG(9, 9)), p, 2)
	b.V = nil
	for range 2 * timedEvery {
		require.Panics(t, func() { r.Run(b) })
	}
	require.NoError(t, l.Apply(Options{Mode: Off}))
}

// TestCodeThatComesAndGoes takes the code away and gives it back all the time, while runs look whether it is there.
func TestCodeThatComesAndGoes(t *testing.T) {
	l := open(t, Options{})
	p := nth(9)
	r := l.Open(p, "x").(*runner)
	warm(t, l)
	c := r.kernel.code.Load()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				r.kernel.code.Store(nil)
				r.kernel.code.Store(c)
			}
		}
	}()
	b := kerneltest.Block(rand.New(rand.NewPCG(9, 9)), p, 0)
	runs := uint64(0)
	for begin := time.Now(); time.Since(begin) < 300*time.Millisecond; {
		for range 1000 {
			r.Run(b)
			runs++
		}
	}
	close(stop)
	<-done
	require.False(t, r.busy(), "what found no code any more has not begun")
	u := r.usage()
	require.Equal(t, runs, u[interpreted].runs+u[machineCode].runs)
	require.Positive(t, u[machineCode].runs)
}
