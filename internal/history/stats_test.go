package history

import (
	"testing"
	"time"

	v1 "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/require"
)

var _ v1.TSDBAdminStats = Admin{}

func TestRate(t *testing.T) {
	var r rate
	at := func(s int) time.Time { return time.Unix(1_700_000_000+int64(s), 500) }
	require.Zero(t, r.perSecond(at(0)))
	r.add(at(0), 10)
	require.Zero(t, r.perSecond(at(0)), "the first second is not over")
	r.add(at(0), 10)
	require.EqualValues(t, 20, r.perSecond(at(1)))
	for i := 1; i < 100; i++ {
		r.add(at(i), 30)
	}
	require.EqualValues(t, 30, r.perSecond(at(100)))
	require.EqualValues(t, 15, r.perSecond(at(130)))
	require.Zero(t, r.perSecond(at(161)))
	require.Zero(t, r.perSecond(at(100_000)))
	r.add(at(50), 60) // A clock set back must not lose the count, nor go wrong.
	require.EqualValues(t, 1, r.perSecond(at(100_001)))
}

func TestStats(t *testing.T) {
	s := open(t, Options{})
	empty := s.Stats()
	require.Zero(t, empty.Series)
	require.True(t, empty.Oldest.IsZero() && empty.Newest.IsZero())
	now := time.Now().Truncate(time.Millisecond)
	write(t, s, now.Add(-time.Minute), 1, "a")
	write(t, s, now, 1, "b")
	st := s.Stats()
	require.EqualValues(t, 2, st.Series)
	require.Positive(t, st.DiskBytes)
	require.True(t, st.Oldest.Equal(now.Add(-time.Minute)), "%s", st.Oldest)
	require.True(t, st.Newest.Equal(now), "%s", st.Newest)
}

func TestAdmin(t *testing.T) {
	s := open(t, Options{})
	write(t, s, time.Now(), 1, "a")
	admin := s.Admin()
	stats, err := admin.Stats("__name__", 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, stats.NumSeries)
	require.NoError(t, admin.Snapshot(t.TempDir(), true))
	metas, err := admin.BlockMetas()
	require.NoError(t, err)
	require.Empty(t, metas)
}
