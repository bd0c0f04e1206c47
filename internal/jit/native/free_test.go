//go:build linux && (amd64 || arm64)

package native

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFreeList holds the list against a byte a place.
func TestFreeList(t *testing.T) {
	r := random(t)
	for range 100 {
		size := 1 + r.IntN(100)
		l, used := newFreeList(size), make([]bool, size)
		live := map[int]int{}
		for range 300 {
			if r.IntN(2) == 0 {
				n := 1 + r.IntN(8)
				at, ok := l.take(n)
				want, fits := firstFit(used, n)
				require.Equal(t, fits, ok)
				if ok {
					require.Equal(t, want, at)
					live[at] = n
					set(used, at, n, true)
				}
			} else {
				for at, n := range live {
					l.put(at, n)
					delete(live, at)
					set(used, at, n, false)
					break
				}
			}
			requireSpans(t, used, l.spans)
		}
	}
}

func firstFit(used []bool, n int) (int, bool) {
	run := 0
	for i, u := range used {
		if run++; u {
			run = 0
		}
		if run == n {
			return i - n + 1, true
		}
	}
	return 0, false
}

func set(used []bool, at, n int, to bool) {
	for i := range n {
		used[at+i] = to
	}
}

func requireSpans(t *testing.T, used []bool, spans []span) {
	t.Helper()
	var want []span
	for i, u := range used {
		switch last := len(want) - 1; {
		case u:
		case last >= 0 && want[last].at+want[last].size == i:
			want[last].size++
		default:
			want = append(want, span{i, 1})
		}
	}
	if len(want)+len(spans) > 0 {
		require.Equal(t, want, spans)
	}
}

func TestFreeListFindsMistakes(t *testing.T) {
	l := newFreeList(64)
	_, _ = l.take(32)
	for _, s := range []span{{32, 8}, {40, 8}, {24, 16}, {56, 16}} {
		require.PanicsWithValue(t, "BUG: code memory was freed twice", func() { l.put(s.at, s.size) }, "%v", s)
	}
}
