package pace

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRestAfter(t *testing.T) {
	require.Zero(t, restAfter(0))
	require.Zero(t, restAfter(slice-1))
	require.Equal(t, slice, restAfter(slice))
	require.Equal(t, 3*time.Millisecond, restAfter(3*time.Millisecond))
	require.Equal(t, longest, restAfter(time.Hour))
}

// TestHalfOfTheTime: work with rests is at it for half of the time at most, and alone it is never kept waiting.
func TestHalfOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pace
		work := func() time.Duration {
			began := time.Now()
			for range 1000 {
				time.Sleep(100 * time.Microsecond) // a piece of work
				p.Rest()
			}
			return time.Since(began)
		}
		require.Equal(t, 100*time.Millisecond, work())
		p.Begin()
		require.Equal(t, 200*time.Millisecond, work())
		p.End()
		require.Equal(t, 100*time.Millisecond, work())
	})
}
