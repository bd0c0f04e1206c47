package threshold_test

import (
	"encoding/binary"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
	"github.com/tocsin/tocsin/internal/threshold"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return seed
}

// chooser decides what happens next in a world.
type chooser interface {
	// intN returns a number from 0 to n-1.
	intN(n int) int
	bits() uint64
	number() float64
}

// dice is a chooser at random.
type dice struct{ *rand.Rand }

func (d dice) intN(n int) int  { return d.IntN(n) }
func (d dice) bits() uint64    { return d.Uint64() }
func (d dice) number() float64 { return kerneltest.Number(d.Rand) }

// script is a chooser by a fuzzer's bytes; at its end all is zero.
type script []byte

func (s *script) intN(n int) int {
	if len(*s) == 0 {
		return 0
	}
	c := (*s)[0]
	*s = (*s)[1:]
	return int(c) % n
}

func (s *script) bits() uint64 {
	var raw [8]byte
	*s = (*s)[copy(raw[:], *s):]
	return binary.LittleEndian.Uint64(raw[:])
}

func (s *script) number() float64 { return math.Float64frombits(s.bits()) }

// world is an index, the column over which it stands, and what must be in its lines.
type world struct {
	t     testing.TB
	c     chooser
	index *threshold.Index
	col   column.Column
	lanes int
	lines []*wantLine
	// few says that values are the lines' constants, mostly.
	few bool
}

// wantLine is a line and what it was asked for.
type wantLine struct {
	line  *threshold.Line
	op    threshold.Op
	c     float64
	fresh bool     // it has not been brought to the column yet
	was   []uint64 // its OK before the running update
}

func newWorld(t testing.TB, c chooser) *world {
	return &world{t: t, c: c, index: threshold.New(nil), few: c.intN(2) == 0}
}

// constant is what a line may compare with: often one that there is, or one right beside it.
func (w *world) constant() float64 {
	for range 10 {
		c := w.c.number()
		if len(w.lines) > 0 && w.c.intN(3) > 0 {
			c = w.near()
		}
		if !math.IsNaN(c) {
			return c
		}
	}
	return 0
}

// near is a line's constant or one of its neighbours, or a zero of either sign.
func (w *world) near() float64 {
	if len(w.lines) == 0 || w.c.intN(16) == 0 {
		return math.Copysign(0, float64(w.c.intN(2)*2-1))
	}
	c := w.lines[w.c.intN(len(w.lines))].c
	switch w.c.intN(4) {
	case 0:
		return math.Nextafter(c, math.Inf(1))
	case 1:
		return math.Nextafter(c, math.Inf(-1))
	}
	return c
}

func (w *world) value() float64 {
	if w.c.intN(4) > 0 == w.few {
		return w.near()
	}
	return w.c.number()
}

func (w *world) add() {
	op, c := threshold.Op(w.c.intN(6)), w.constant()
	l := w.index.Add(op, c)
	require.Equal(w.t, op, l.Op())
	require.True(w.t, l.Constant() == c)
	w.lines = append(w.lines, &wantLine{line: l, op: op, c: c, fresh: true})
}

func (w *world) remove() {
	if len(w.lines) == 0 {
		return
	}
	i := w.c.intN(len(w.lines))
	w.index.Remove(w.lines[i].line)
	w.lines = append(w.lines[:i], w.lines[i+1:]...)
}

// grow adds lanes. The index is told, or finds out.
func (w *world) grow(lanes int) {
	w.lanes += lanes
	w.col.Grow(w.lanes)
	if w.c.intN(2) == 0 {
		w.index.Grow(w.lanes)
	}
}

// fewBits returns some lanes of a word, mostly not many.
func (w *world) fewBits() uint64 {
	mask := w.c.bits()
	for range w.c.intN(5) {
		mask &= w.c.bits()
	}
	return mask
}

// change gives new values to some lanes of word n, and returns those which have another value now.
func (w *world) change(n int) (moved uint64) {
	mask := w.fewBits()
	for i := range column.WordLanes {
		lane := n*column.WordLanes + i
		if mask>>i&1 == 0 || lane >= w.lanes {
			continue
		}
		was := w.col.V[lane]
		w.col.V[lane] = w.value()
		if w.c.intN(5) == 0 {
			w.col.OK.Unset(uint32(lane)) // What stands in V means nothing.
		} else {
			w.col.OK.Set(uint32(lane))
		}
		if math.Float64bits(was) != math.Float64bits(w.col.V[lane]) {
			moved |= 1 << i
		}
	}
	return moved
}

// passes returns which lanes of word n must pass the line: by the operators themselves.
func (w *world) passes(l *wantLine, n int) (want uint64) {
	for m := w.col.OK[n]; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		v, holds := w.col.V[n*column.WordLanes+i], false
		switch l.op {
		case threshold.Less:
			holds = v < l.c
		case threshold.LessEqual:
			holds = v <= l.c
		case threshold.Greater:
			holds = v > l.c
		case threshold.GreaterEqual:
			holds = v >= l.c
		case threshold.Equal:
			holds = v == l.c
		case threshold.NotEqual:
			holds = v != l.c
		}
		if holds != l.op.Holds(v, l.c) {
			w.t.Fatalf("%v, op %d with %v", v, l.op, l.c)
		}
		if holds {
			want |= 1 << i
		}
	}
	return want
}

// full changes anything and brings the index to it as a whole.
func (w *world) full() {
	for n := range w.col.OK {
		w.change(n)
	}
	w.index.Full(w.col.V, w.col.OK)
	require.Empty(w.t, w.index.Changed())
	w.verify()
}

// update changes some words and brings the index to these.
func (w *world) update() {
	var words []uint32
	var moved []uint64
	rest := uint32(0)
	for n := range w.col.OK {
		if w.c.intN(3) == 0 {
			words = append(words, uint32(n))
			moved = append(moved, w.change(n))
		} else {
			rest++
		}
	}
	if w.c.intN(2) == 0 { // in another order
		for i := len(words) - 1; i > 0; i-- {
			j := w.c.intN(i + 1)
			words[i], words[j] = words[j], words[i]
			moved[i], moved[j] = moved[j], moved[i]
		}
	}
	if w.c.intN(3) == 0 {
		moved = nil
	}
	for _, l := range w.lines {
		l.was = append(l.was[:0], l.line.OK...)
		for len(l.was) < len(w.col.OK) {
			l.was = append(l.was, 0)
		}
	}
	w.index.ClearChanges()
	w.index.Update(words, moved, w.col.V, w.col.OK)
	w.verifyChanges(words, moved)
	w.verify()
}

// verify compares all lines with the column.
func (w *world) verify() {
	require.Equal(w.t, len(w.lines), w.index.Len())
	for _, l := range w.lines {
		l.fresh = false
		require.Len(w.t, l.line.OK, len(w.col.OK))
		require.Len(w.t, l.line.Words, column.Words(len(w.col.OK)))
		count := 0
		for n, got := range l.line.OK {
			want := w.passes(l, n)
			if got != want {
				w.t.Fatalf("word %d, op %d with %v: %#x passes, want %#x", n, l.op, l.c, got, want)
			}
			if l.line.Words.Has(uint32(n)) != (want != 0) {
				w.t.Fatalf("word %d, op %d with %v: the summary is wrong", n, l.op, l.c)
			}
			count += bits.OnesCount64(want)
		}
		require.Equal(w.t, count, l.line.Count())
	}
	if len(w.col.OK) > 0 {
		w.verifyVisit(uint32(w.c.intN(len(w.col.OK))), w.fewBits())
	}
}

// verifyVisit looks whether exactly the lines that pass in lanes are found, each once.
func (w *world) verifyVisit(n uint32, lanes uint64) {
	found := map[*threshold.Line]int{}
	w.index.Visit(n, lanes, func(l *threshold.Line) { found[l]++ })
	for _, l := range w.lines {
		want := 0
		if l.line.OK[n]&lanes != 0 {
			want = 1
		}
		if found[l.line] != want {
			w.t.Fatalf("op %d with %v was found %d times, want %d", l.op, l.c, found[l.line], want)
		}
		delete(found, l.line)
	}
	require.Empty(w.t, found)
}

// verifyChanges looks whether the lines list what differs from before, and what is said to have moved, and no more.
func (w *world) verifyChanges(words []uint32, moved []uint64) {
	listed := map[*threshold.Line]bool{}
	for _, l := range w.index.Changed() {
		require.False(w.t, listed[l])
		listed[l] = true
	}
	for _, l := range w.lines {
		if l.fresh {
			require.Empty(w.t, l.line.Changes())
			continue
		}
		want, got := map[uint32]uint64{}, map[uint32]uint64{}
		for i, n := range words {
			now := w.passes(l, int(n))
			if now != l.was[n] || moved != nil && now&moved[i] != 0 {
				want[n] = l.was[n]
			}
		}
		for _, c := range l.line.Changes() {
			_, twice := got[c.Word]
			if twice || words[c.At] != c.Word {
				w.t.Fatalf("op %d with %v: word %d, number %d of those given, is there wrongly", l.op, l.c, c.Word, c.At)
			}
			got[c.Word] = c.OldOK
		}
		if !maps.Equal(got, want) || listed[l.line] != (len(want) > 0) {
			w.t.Fatalf("op %d with %v: changes are %v, want %v", l.op, l.c, got, want)
		}
		delete(listed, l.line)
	}
	require.Empty(w.t, listed)
}
