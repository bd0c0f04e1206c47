package history

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

func TestInstant(t *testing.T) {
	s := open(t, Options{})
	now := time.Now().Truncate(time.Minute)
	for i := range 3 {
		write(t, s, now.Add(time.Duration(i-2)*time.Minute), float64(i), "m", "a", "1")
	}
	v, err := s.Instant(t.Context(), "m > 1", now)
	require.NoError(t, err)
	require.Len(t, v.Vector, 1)
	v, err = s.Instant(t.Context(), "m[5m]", now)
	require.NoError(t, err)
	require.Len(t, v.Matrix[0].Floats, 3)
	v, err = s.Instant(t.Context(), "1 + 1", now)
	require.NoError(t, err)
	require.InDelta(t, 2, *v.Scalar, 0)
	v, err = s.Instant(t.Context(), `"text"`, now)
	require.NoError(t, err)
	require.Equal(t, "text", *v.Text)
	v, err = s.Instant(t.Context(), "rate(m[5m])", now)
	require.NoError(t, err)
	require.NotEmpty(t, v.Warnings, "a name that is no counter's")
	_, err = s.Instant(t.Context(), "m * on () group_left () (m or n)", now)
	require.NoError(t, err)
	_, err = s.Instant(t.Context(), "m +", now)
	require.Error(t, err)
}

// TestRead compares what is read, at every limit, with what was written.
func TestRead(t *testing.T) {
	s := open(t, Options{})
	now := time.Now().Truncate(time.Minute)
	at := func(i int) time.Time { return now.Add(time.Duration(i-9) * time.Minute) }
	for i := range 10 {
		write(t, s, at(i), float64(i), "m", "a", "1")
		write(t, s, at(i), float64(-i), "m", "a", "2")
	}
	write(t, s, now.Add(time.Second), math.Float64frombits(value.StaleNaN), "m", "a", "2")
	write(t, s, now, 1, "other")
	all := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")}
	for keep := range 13 {
		for most := range 4 {
			got, total, err := s.Read(t.Context(), Reading{Matchers: all, From: at(2), To: now.Add(time.Minute), MaxSeries: most, MaxSamples: keep})
			require.NoError(t, err)
			require.Equal(t, 2, total)
			require.Len(t, got, min(most, 2))
			for i, series := range got {
				want := 8 + i // The second has a marker besides.
				if keep == 0 {
					require.Empty(t, series.Points)
					continue
				}
				require.Equal(t, want, series.Count)
				require.Len(t, series.Points, min(keep, want))
				last := series.Points[len(series.Points)-1]
				require.Equal(t, i == 1, last.Stale)
				if i == 0 {
					require.Equal(t, StoredPoint{T: now.UnixMilli(), V: 9}, last)
				}
			}
		}
	}
	got, total, err := s.Read(t.Context(), Reading{Matchers: all, From: now.Add(time.Hour), To: now.Add(2 * time.Hour), MaxSeries: 5, MaxSamples: 5})
	require.NoError(t, err)
	require.Zero(t, total)
	require.Empty(t, got)
	from, ok := s.Beginning()
	require.True(t, ok)
	require.Equal(t, at(0).UnixMilli(), from.UnixMilli())
	_, ok = open(t, Options{}).Beginning()
	require.False(t, ok)
}
