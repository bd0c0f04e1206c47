package jit

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// TestTogether opens, runs and closes kernels from many goroutines, while others change the mode, let kernels grow cold
// and look at the numbers. No run may see anything but its result.
func TestTogether(t *testing.T) {
	m := here(t)
	seed := seedOf(t)
	before := executable(t)
	l := newLibrary(Options{MaxKernels: 40}, m, watch())
	const programs, users, rounds = 60, 6, 1500
	ps := make([]*kernel.Program, programs)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range ps {
		ps[i] = kerneltest.Program(random, 30)
	}
	common := make([]kernel.Runner, 3) // run by all at once
	for i := range common {
		common[i] = l.Open(ps[i], "common")
	}
	stop := make(chan struct{})
	var working, others sync.WaitGroup
	for u := range users {
		working.Go(func() { use(t, l, ps, common, rand.New(rand.NewPCG(seed, uint64(u+1))), rounds) })
	}
	until := func(f func(n int)) {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					f(n)
				}
			}
		})
	}
	until(func(n int) {
		o := Options{Mode: [...]Mode{Eager, Adaptive, Eager, Off}[n%4], HotAfter: time.Microsecond, ColdAfter: time.Nanosecond}
		if err := l.Apply(o); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Duration(2+n%20) * time.Millisecond)
	})
	until(func(int) {
		l.cool(l.clock())
		time.Sleep(time.Millisecond)
	})
	until(func(int) {
		if s := l.Stats(); s.Compiled > 40 || s.Kernels > programs || s.Shared < 0 {
			t.Errorf("%+v", s)
		}
		l.Kernels()
		time.Sleep(time.Millisecond)
	})
	until(func(int) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		_ = l.WarmUp(ctx)
		cancel()
	})
	working.Wait()
	close(stop)
	others.Wait()
	for _, r := range common {
		r.Close()
	}
	s := l.Stats()
	require.Zero(t, s.Kernels)
	require.Zero(t, s.Compiled)
	require.Zero(t, s.CodeBytes)
	require.Equal(t, uint64(users*rounds*3), s.Interpreted.Runs+s.MachineCode.Runs, "every run is counted once")
	t.Logf("%d runs interpreted, %d in machine code, %d compiles, %d evictions", s.Interpreted.Runs, s.MachineCode.Runs,
		s.Compiles, s.Evictions)
	require.NoError(t, l.Close())
	require.Zero(t, l.granted.Load())
	require.Equal(t, before, executable(t))
}

// TestNoCodeIsTakenFromUnderARun evicts one kernel as often as it can, while a runner of it hardly ever rests.
func TestNoCodeIsTakenFromUnderARun(t *testing.T) {
	m := here(t)
	l := openOn(t, Options{Mode: Adaptive, HotAfter: time.Hour}, m, watch())
	p := nth(5)
	r := l.Open(p, "x").(*runner)
	c := m.compile(p)
	install := func(k *shared) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.granted.Add(1)
		require.True(t, l.install(k, c, nil))
	}
	install(l.Open(nth(6), "keeps the memory mapped").(*runner).kernel)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		got := kerneltest.Block(rand.New(rand.NewPCG(15, 15)), p, 1)
		want := kerneltest.Clone(got)
		kernel.NewInterpreter(p).Run(want)
		for {
			select {
			case <-stop:
				return
			default:
			}
			clear(got.OK)
			r.Run(got)
			if d := kerneltest.Differ(p, got, want); d != "" {
				t.Error(d)
				return
			}
		}
	}()
	evicted := 0
	for deadline := time.Now().Add(400 * time.Millisecond); time.Now().Before(deadline); {
		install(r.kernel)
		for range evicted % 50 { // a moment for runs
			l.Stats()
		}
		l.mu.Lock()
		require.True(t, l.evict(r.kernel))
		l.mu.Unlock()
		evicted++
	}
	close(stop)
	<-done
	require.Positive(t, evicted)
	s := l.Stats()
	t.Logf("%d runs interpreted, %d in machine code, %d evictions", s.Interpreted.Runs, s.MachineCode.Runs, evicted)
}

// use opens, runs and closes: three runs a round, of which one is of a common runner.
func use(t *testing.T, l *Library, ps []*kernel.Program, common []kernel.Runner, random *rand.Rand, rounds int) {
	for range rounds {
		n := random.IntN(len(ps))
		r := l.Open(ps[n], "own")
		c := random.IntN(len(common))
		same(t, random, ps[n], r, random.IntN(4))
		same(t, random, ps[c], common[c], 2)
		same(t, random, ps[n], r, 1)
		r.Close()
	}
}
