package body

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

func TestPermanent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		reason string
	}{
		{&series.LimitError{What: "labels"}, OverLimit},
		{storage.ErrOutOfOrderSample, OutOfOrder},
		{fmt.Errorf("%w: too far in the future", storage.ErrOutOfBounds), OutOfBounds},
		{storage.ErrTooOldSample, TooOld},
		{storage.ErrDuplicateSampleForTimestamp, Duplicate},
		{storage.NewDuplicateFloatErr(1, 2, 3), Duplicate},
		{histogram.ErrHistogramSpanNegativeOffset, BadHistogram},
		{storage.ErrNativeHistogramsDisabled, BadHistogram},
	} {
		reason, ok := Permanent(fmt.Errorf("wrapped: %w", c.err))
		require.True(t, ok, c.err)
		require.Equal(t, c.reason, reason)
	}
	_, ok := Permanent(errors.New("no space left on device"))
	require.False(t, ok)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	var r Refusals
	require.False(t, r.Any())
	require.Empty(t, r.Text())
	for i := range 25 {
		r.Add(OutOfOrder, 2, "series %d", i)
	}
	require.True(t, r.Any())
	require.Equal(t, map[string]int{OutOfOrder: 50}, r.ByReason())
	lines := strings.Split(r.Text(), "\n")
	require.Len(t, lines, maxTexts+1)
	require.Equal(t, "and 15 more", lines[maxTexts])
}

func TestClip(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", Clip("short", 10))
	clipped := Clip(strings.Repeat("é", 10), 5)
	require.True(t, utf8.ValidString(clipped))
	require.Equal(t, "éé…", clipped)
}
