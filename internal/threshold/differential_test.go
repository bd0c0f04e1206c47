package threshold_test

import (
	"math/rand/v2"
	"testing"
)

// TestLinesAgainstComparisons lets lines and lanes come, go and change at random; after each step every line must have
// exactly the lanes that the comparison itself lets through, and exactly the changes that happened.
func TestLinesAgainstComparisons(t *testing.T) {
	seed := seedOf(t)
	for round := range uint64(200) {
		w := newWorld(t, dice{rand.New(rand.NewPCG(seed, round))})
		for range 60 {
			w.step()
		}
	}
}

// step does one thing.
func (w *world) step() {
	switch w.c.intN(10) {
	case 0:
		w.full()
	case 1:
		w.grow(w.c.intN(150))
		w.update()
	case 2:
		for range w.c.intN(12) {
			w.add()
		}
	case 3:
		for range w.c.intN(8) {
			w.remove()
		}
	case 4:
		w.add()
		w.remove()
		w.remove()
		w.update()
	default:
		w.update()
	}
}

// TestManyLanes needs several runs of the check, and words beyond the first of the summary.
func TestManyLanes(t *testing.T) {
	w := newWorld(t, dice{rand.New(rand.NewPCG(seedOf(t), 0))})
	w.grow(2500*64 - 17)
	for range 7 {
		w.add()
	}
	w.full()
	w.update()
	w.grow(64)
	w.remove()
	w.add()
	w.update()
	w.full()
}

// FuzzLines does what the bytes say.
func FuzzLines(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 10, 60, 300} {
		seed := make([]byte, n)
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		s := script(in)
		w := newWorld(t, &s)
		for steps := 0; len(s) > 0 && steps < 100; steps++ {
			w.step()
		}
		w.update()
	})
}
