package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// The series that are to be marked stale are those of the last kept evaluation that the running one has not, whatever
// comes, goes and fails in between; and memory follows what there is.
func TestRecorded(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var r recorded
	kept := map[string]bool{}
	for round := range 3000 {
		r.begin()
		running := map[string]bool{}
		for range random.IntN(40) {
			name := fmt.Sprint(random.IntN(30) + round/10)
			at := r.place(labels.FromStrings("i", name))
			require.Equal(t, !running[name], r.mark(at))
			require.Equal(t, labels.FromStrings("i", name), r.series[at].labels)
			require.Equal(t, kept[name], r.reference(at) != 0, name)
			r.series[at].ref, r.series[at].value, r.series[at].plain = 7, 1, true
			running[name] = true
		}
		var gone []string
		for at := r.gone(0); at >= 0; at = r.gone(at + 1) {
			gone = append(gone, r.series[at].labels.Get("i"))
		}
		for name := range kept {
			require.Equal(t, !running[name], slices.Contains(gone, name))
		}
		if random.IntN(5) == 0 {
			r.doubt()
			continue
		}
		r.keep()
		kept = running
		require.Len(t, r.appendTo(nil), len(kept))
		require.Equal(t, len(kept) == 0, r.idle())
		require.LessOrEqual(t, len(r.series), 2*len(kept)+spareSeries)
	}
}

func TestRecordedValues(t *testing.T) {
	t.Parallel()
	var r recorded
	r.begin()
	at := r.place(labels.FromStrings("i", "1"))
	r.mark(at)
	r.series[at].value, r.series[at].plain = 3, true
	require.False(t, r.has(at, 3), "not kept yet")
	r.keep()
	require.True(t, r.has(at, 3))
	require.False(t, r.has(at, 4))
	r.doubt()
	require.False(t, r.has(at, 3))
}

func TestDerivation(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var d derivation
	for round := range 500 {
		d.begin()
		for range random.IntN(50) {
			from := labels.FromStrings("i", fmt.Sprint(random.IntN(60)+round))
			want := labels.FromStrings("i", from.Get("i"), "made", "yes")
			to, ok := d.of(from)
			if !ok {
				to = want
				d.set(from, to)
			}
			require.Equal(t, want, to)
		}
		require.LessOrEqual(t, len(d.made), 300)
	}
}
