package alert_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// With the input as it is, nothing changes before the deadline, and something does at it.
func TestDeadline(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	deadlines := 0
	for range 500 {
		p := alert.Params{
			For:           time.Duration(random.IntN(3)) * 7 * time.Second,
			KeepFiringFor: time.Duration(random.IntN(3)) * 5 * time.Second,
		}
		now, set, spare := time.Unix(1_700_000_000, 0), &alert.Set{}, &alert.Set{}
		for range 30 {
			var in []alert.Input
			for i := range 3 {
				if random.IntN(3) > 0 {
					in = append(in, alert.Input{Labels: labels.FromStrings("i", string(rune('a'+i)))})
				}
			}
			step := func(from *alert.Set, at time.Time) []alert.Transition {
				changes, err := alert.Step(spare, from, in, p, at, nil)
				require.NoError(t, err)
				return changes
			}
			step(set, now)
			set, spare = spare, set
			if at, ok := set.Deadline(p); ok {
				deadlines++
				require.True(t, at.After(now))
				require.Empty(t, step(set, at.Add(-time.Nanosecond)))
				require.NotEmpty(t, step(set, at))
			} else {
				require.Empty(t, step(set, now.Add(24*time.Hour)))
			}
			now = now.Add(time.Duration(1+random.IntN(4000)) * time.Millisecond)
		}
	}
	require.Greater(t, deadlines, 1000)
}

func TestFiring(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	in := []alert.Input{{Labels: labels.FromStrings("i", "1"), Annotations: labels.FromStrings("x", "y")}}
	var none, pending, firing alert.Set
	_, err := alert.Step(&pending, &none, in, alert.Params{For: time.Minute}, now, nil)
	require.NoError(t, err)
	_, err = alert.Step(&firing, &pending, in, alert.Params{For: time.Minute}, now.Add(time.Minute), nil)
	require.NoError(t, err)
	_, ok := pending.Firing(in[0].Labels)
	require.False(t, ok)
	annotations, ok := firing.Firing(in[0].Labels)
	require.True(t, ok)
	require.Equal(t, in[0].Annotations, annotations)
	_, ok = firing.Firing(labels.FromStrings("i", "2"))
	require.False(t, ok)
}
