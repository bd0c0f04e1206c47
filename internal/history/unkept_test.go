package history

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

// TestWhatCannotBeKeptIsTold shows that samples of known series reach observers while the disk takes nothing, that their
// writer is told that they are not kept, and that the same samples are kept when they come again.
func TestWhatCannotBeKeptIsTold(t *testing.T) {
	var seen []float64
	s, err := Open(Options{
		Dir: filepath.Join(t.TempDir(), "tsdb"),
		OnCommit: func(_ context.Context, batch []Sample) {
			for _, one := range batch {
				seen = append(seen, one.V)
			}
		},
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	known, unknown := labels.FromStrings("__name__", "known"), labels.FromStrings("__name__", "unknown")
	write := func(at int64, v float64, of ...labels.Labels) error {
		app := s.AppenderV2(t.Context())
		for _, ls := range of {
			_, err := app.Append(0, ls, 0, at, v, nil, nil, storage.AppendV2Options{})
			require.NoError(t, err)
		}
		return app.Commit()
	}
	require.NoError(t, write(1000, 1, known))
	free := s.room.free
	s.room.free = func(string) (int64, int64, error) { return 0, 1 << 40, nil }
	s.room.next.Store(0)
	require.ErrorIs(t, write(2000, 2, known, unknown), syscall.ENOSPC)
	require.Equal(t, []float64{1, 2}, seen)
	s.room.free = free
	s.room.next.Store(0)
	require.NoError(t, write(2000, 2, known))
	require.Equal(t, []float64{1, 2, 2}, seen)
}
