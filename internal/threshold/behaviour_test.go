package threshold_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/threshold"
)

// TestNumbersThatGoWrongEasily compares each with each: values and constants.
func TestNumbersThatGoWrongEasily(t *testing.T) {
	numbers := []float64{
		0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64,
		math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, 0x1p-1022, -0x1p-1022, 1, -1,
		math.Nextafter(1, 2), math.Nextafter(1, 0), math.NaN(), math.Float64frombits(0x7ff0000000000002),
		math.Float64frombits(0xfff8000000000001),
	}
	for _, alone := range []bool{true, false} {
		for _, c := range numbers {
			if math.IsNaN(c) {
				continue
			}
			x := threshold.New(nil)
			var lines []*threshold.Line
			for op := threshold.Less; op <= threshold.NotEqual; op++ {
				lines = append(lines, x.Add(op, c))
			}
			for _, other := range numbers {
				if !alone && !math.IsNaN(other) {
					x.Add(threshold.Greater, other)
				}
			}
			var col column.Column
			col.Grow(64)
			copy(col.V, numbers)
			col.OK[0] = 1<<len(numbers) - 1
			x.Full(col.V, col.OK)
			for op, l := range lines {
				for i, v := range numbers {
					require.Equal(t, threshold.Op(op).Holds(v, c), l.OK.Has(uint32(i)), "%v %d %v", v, op, c)
				}
				require.Zero(t, l.OK[0]>>len(numbers))
			}
		}
	}
}

// TestNothingIsAllocated lets values change for long; there must be no allocation, and no growth.
func TestNothingIsAllocated(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		r := rand.New(rand.NewPCG(seedOf(t), 0))
		x, p := threshold.New(nil), newPair(r, 0.02)
		for i := range 200 {
			op := threshold.Greater
			if mixed {
				op = threshold.Op(i % 6)
			}
			x.Add(op, p.v[i%2][i*64])
		}
		step := func(i int) {
			x.Full(p.v[i%2], p.ok)
			x.Update(p.words, p.moved, p.v[1-i%2], p.ok)
		}
		step(0)
		step(1)
		bytes := x.Bytes()
		i := 0
		require.Zero(t, testing.AllocsPerRun(20, func() { step(i); i++ }))
		require.Equal(t, bytes, x.Bytes())
	}
}

// TestBytesPerLane bounds what a lane costs, apart from the lines' own bits.
func TestBytesPerLane(t *testing.T) {
	x := threshold.New(nil)
	x.Add(threshold.Greater, 1)
	small := x.Bytes()
	x.Grow(1 << 20)
	require.Less(t, x.Bytes()-small, 21<<20)
}

// TestAWordThatWasNotGiven changes a value without saying so while a line comes: the lines go on with what they were told,
// each in agreement with some number, until they are told.
func TestAWordThatWasNotGiven(t *testing.T) {
	x := threshold.New(nil)
	below, above := x.Add(threshold.Less, 10), x.Add(threshold.Greater, 20)
	var col column.Column
	col.Grow(64)
	col.V[0], col.OK[0] = 30, 1
	x.Full(col.V, col.OK)
	col.V[0] = 5
	far := x.Add(threshold.Greater, 25)
	x.Update(nil, nil, col.V, col.OK)
	require.Equal(t, [3]uint64{0, 1, 0}, [3]uint64{below.OK[0], above.OK[0], far.OK[0]}, "as if it were right above 20")
	x.Update([]uint32{0}, nil, col.V, col.OK)
	require.Equal(t, [3]uint64{1, 0, 0}, [3]uint64{below.OK[0], above.OK[0], far.OK[0]})
}

// TestRemovedLinesAreSilent from the moment on at which they were removed.
func TestRemovedLinesAreSilent(t *testing.T) {
	x := threshold.New(nil)
	gone, stays := x.Add(threshold.Less, 10), x.Add(threshold.Less, 11)
	var col column.Column
	col.Grow(64)
	col.OK[0] = 1
	x.Full(col.V, col.OK)
	x.Remove(gone)
	var found []*threshold.Line
	x.Visit(0, 1, func(l *threshold.Line) { found = append(found, l) })
	require.Equal(t, []*threshold.Line{stays}, found)
	col.V[0] = 20
	x.Update([]uint32{0}, nil, col.V, col.OK)
	require.Equal(t, []*threshold.Line{stays}, x.Changed())
	x.ClearChanges()
	require.Empty(t, x.Changed())
	require.Empty(t, stays.Changes())
}

// TestStats counts by hand.
func TestStats(t *testing.T) {
	x := threshold.New(nil)
	x.Add(threshold.Greater, 1)
	x.Add(threshold.Less, 1)
	var col column.Column
	col.Grow(64)
	col.V[0], col.V[1], col.OK[0] = 0, 2, 3
	x.Full(col.V, col.OK)
	before := x.Stats()
	col.V[0] = 5
	x.Update([]uint32{0}, nil, col.V, col.OK)
	after := x.Stats()
	require.Equal(t, uint64(2), after.Checked-before.Checked)
	require.Equal(t, uint64(4), after.Answered-before.Answered)
	require.Equal(t, uint64(1), after.Moved-before.Moved)
	require.Equal(t, uint64(2), after.Toggles-before.Toggles)
}

// TestMemoryComesBack after many lines went, and after an update that changed very much.
func TestMemoryComesBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := newPair(r, 1)
	x := threshold.New(nil)
	x.Add(threshold.Greater, 1)
	x.Full(p.v[0], p.ok)
	one := x.Bytes()
	var lines []*threshold.Line
	for range benchLines {
		lines = append(lines, x.Add(threshold.Less, r.Float64()*100))
	}
	x.Full(p.v[0], p.ok)
	many := x.Bytes()
	require.Greater(t, many, one+benchLines*benchLanes/8)
	x.Update(p.words, p.moved, p.v[1], p.ok)
	require.Greater(t, x.Bytes(), 2*many)
	for range 200 {
		x.Update(nil, nil, p.v[1], p.ok)
	}
	require.Equal(t, many, x.Bytes())
	for _, l := range lines {
		x.Remove(l)
	}
	x.Update(nil, nil, p.v[1], p.ok)
	require.Less(t, x.Bytes(), one+one/4)
}

// TestMistakes are the caller's.
func TestMistakes(t *testing.T) {
	x := threshold.New(nil)
	require.PanicsWithValue(t, "BUG: a threshold that is not a number", func() { x.Add(threshold.Less, math.NaN()) })
	require.Panics(t, func() { x.Add(threshold.NotEqual+1, 0) })
	require.Panics(t, func() { threshold.Op(6).Holds(0, 0) })
	l := x.Add(threshold.Less, 0)
	x.Remove(l)
	require.PanicsWithValue(t, "BUG: a line was removed twice", func() { x.Remove(l) })
	x.Grow(65)
	require.Panics(t, func() { x.Full(make([]float64, 64), make([]uint64, 1)) })
}
