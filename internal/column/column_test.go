package column_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
)

// TestLanesAgainstAModel binds and releases at random; followers that look at random times must come to know exactly the
// lanes in use and miss no change of hands.
func TestLanesAgainstAModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var l column.Lanes
	holder := map[uint32]int{} // who has a lane
	type follower struct {
		cursor column.Cursor
		knows  map[uint32]int
	}
	followers := []*follower{{knows: map[uint32]int{}}, {knows: map[uint32]int{}}, {knows: map[uint32]int{}}}
	for i := range 20_000 {
		if len(holder) == 0 || r.IntN(100) < 52 {
			lane := l.Bind()
			_, taken := holder[lane]
			require.False(t, taken)
			holder[lane] = i
		} else {
			for lane := range holder {
				l.Release(lane)
				delete(holder, lane)
				break
			}
		}
		require.Equal(t, len(holder), l.Used())
		for n, f := range followers {
			if r.IntN([]int{2, 300, 15_000}[n]) > 0 {
				continue
			}
			require.True(t, l.Changed(f.cursor))
			l.Follow(&f.cursor, func(lane uint32, live bool) {
				delete(f.knows, lane)
				if live {
					f.knows[lane] = holder[lane]
				}
			})
			require.Equal(t, holder, f.knows)
			require.False(t, l.Changed(f.cursor))
			require.Equal(t, len(holder), l.Live().Count())
		}
	}
	require.Less(t, l.Bytes(), 200_000, "the log is trimmed")
}

func TestMarksKeepTheFirst(t *testing.T) {
	var m column.Marks
	v := make([]float64, 64)
	v[3] = 7
	require.True(t, m.Add(5, v, 8))
	v[3] = 9
	require.False(t, m.Add(5, v, 0))
	require.True(t, m.Touch(200))
	require.Equal(t, []uint32{5, 200}, m.Words())
	require.Equal(t, 7.0, m.Old(0).V[3])
	require.Equal(t, uint64(8), m.Old(0).OK)
	require.Zero(t, m.Old(1).OK)
	require.True(t, m.Has(200))
	require.False(t, m.Has(6))
	m.Clear()
	require.False(t, m.Any())
	require.False(t, m.Has(5))
	require.True(t, m.Add(5, v, 1))
	require.Zero(t, testing.AllocsPerRun(100, func() { m.Clear(); m.Add(5, v, 1); m.Touch(200) }))
}

func TestColumnsGrow(t *testing.T) {
	var c column.Column
	for n := range 1000 {
		c.Grow(n)
		require.Len(t, c.V, len(c.OK)*column.WordLanes)
		require.GreaterOrEqual(t, len(c.V), n)
		if n > 0 {
			c.OK.Set(uint32(n - 1))
			c.V[n-1] = float64(n)
		}
	}
	require.Equal(t, 999, c.OK.Count())
	c.OK.Unset(500)
	require.False(t, c.OK.Has(500))
	require.Equal(t, 700.0, c.V[699])
}
