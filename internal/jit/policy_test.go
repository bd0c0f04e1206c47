package jit

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

// ticking is a clock that goes on by step whenever it is asked, besides what time passes: so much does a timed run take.
func ticking(step time.Duration) func() time.Duration {
	var asked atomic.Int64
	start := time.Now()
	return func() time.Duration { return time.Since(start) + time.Duration(asked.Add(1))*step }
}

// TestAdaptive follows one kernel through heat and cold: interpreted until that has cost enough, compiled while it runs,
// interpreted again when it rests, and so on.
func TestAdaptive(t *testing.T) {
	m := here(t)
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, Options{Mode: Adaptive, HotAfter: 10 * time.Millisecond, ColdAfter: time.Hour}, m, ticking(time.Millisecond))
		random := rand.New(rand.NewPCG(5, 5))
		hot, cold := l.Open(nth(1), "hot"), l.Open(nth(2), "cold")
		for round := range 3 {
			for n := range 10 { // Each takes one millisecond by the clock.
				require.Equal(t, 1, hot.Tier(), "round %d, run %d", round, n)
				same(t, random, nth(1), hot, longWords)
				synctest.Wait()
			}
			require.Equal(t, 2, hot.Tier())
			for range 4 { // What runs once in a while stays.
				time.Sleep(40 * time.Minute)
				same(t, random, nth(1), hot, longWords)
				synctest.Wait()
				require.Equal(t, 2, hot.Tier())
			}
			require.Positive(t, l.Stats().CodeBytes)
			time.Sleep(time.Hour + time.Hour/looks + time.Minute)
			synctest.Wait()
			require.Equal(t, 1, hot.Tier())
			require.Equal(t, uint64(round+1), l.Stats().Evictions)
			require.Zero(t, l.Stats().CodeBytes)
		}
		require.Equal(t, 1, cold.Tier(), "what does not run is not compiled")
		s := l.Stats()
		require.Equal(t, uint64(3), s.Compiles)
		require.Equal(t, uint64(30), s.Interpreted.Runs)
		require.Equal(t, uint64(12), s.MachineCode.Runs)
		require.Equal(t, 30*time.Millisecond, s.Interpreted.Time)
		require.Equal(t, "cold", l.Kernels()[0].Reason)
	})
}

// TestShortRunsHeatToo: of short runs every eighth is timed, for eight.
func TestShortRunsHeatToo(t *testing.T) {
	m := here(t)
	synctest.Test(t, func(t *testing.T) {
		l := openOn(t, Options{Mode: Adaptive, HotAfter: 25 * time.Millisecond}, m, ticking(time.Millisecond))
		r := l.Open(nth(1), "x")
		random := rand.New(rand.NewPCG(6, 6))
		for n := 1; r.Tier() == 1; n++ {
			require.LessOrEqual(t, n, 25)
			same(t, random, nth(1), r, 1)
			synctest.Wait()
		}
		require.Equal(t, uint64(25), l.Stats().Interpreted.Runs)
	})
}

func TestApplyChangesModes(t *testing.T) {
	m := here(t)
	l := openOn(t, Options{Mode: Off}, m, ticking(time.Millisecond))
	before := executable(t)
	random := rand.New(rand.NewPCG(7, 7))
	var runners []kernel.Runner
	for i := range 30 {
		runners = append(runners, l.Open(nth(i), "x"))
	}
	check := func(tier int) {
		t.Helper()
		warm(t, l)
		for i, r := range runners {
			require.Equal(t, tier, r.Tier())
			same(t, random, nth(i), r, 2)
		}
	}
	check(1)
	require.Equal(t, "off", l.Kernels()[0].Reason)
	for range 3 {
		require.NoError(t, l.Apply(Options{Mode: Eager}))
		check(2)
		require.Equal(t, "", l.Kernels()[0].Reason)
		require.NoError(t, l.Apply(Options{Mode: Adaptive, HotAfter: time.Hour}))
		check(2) // What is compiled stays until it is cold.
		require.NoError(t, l.Apply(Options{Mode: Off}))
		check(1)
		require.Equal(t, before, executable(t))
		require.NoError(t, l.Apply(Options{Mode: Adaptive, HotAfter: time.Hour}))
		check(1)
	}
	require.NoError(t, l.Apply(Options{Mode: Adaptive, HotAfter: 1}))
	for i, r := range runners {
		for range timedEverySlow {
			same(t, random, nth(i), r, 1)
		}
	}
	check(2)
	require.Error(t, l.Apply(Options{Mode: 9}))
}

// TestApplyForgetsWhatWaits: a run that was slow may ask for code after the mode has changed to one without.
func TestApplyForgetsWhatWaits(t *testing.T) {
	l := open(t, Options{Mode: Off})
	r := l.Open(nth(1), "x").(*runner)
	l.want(r.kernel)
	warm(t, l)
	require.NoError(t, l.Apply(Options{Mode: Adaptive}))
	warm(t, l)
	require.Equal(t, 1, r.Tier())
	require.Zero(t, l.granted.Load())
	require.NoError(t, l.Apply(Options{}))
	warm(t, l)
	require.Equal(t, 2, r.Tier())
}
