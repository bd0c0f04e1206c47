package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"
)

// away is a store whose directory can be taken away and put back, with more samples of a series than stay in memory.
type away struct {
	*Store
	t        *testing.T
	dir      string
	registry *prometheus.Registry
	at       int64
}

func newAway(t *testing.T) *away {
	t.Helper()
	a := &away{t: t, dir: filepath.Join(t.TempDir(), "tsdb"), registry: prometheus.NewRegistry()}
	var err error
	a.Store, err = Open(Options{Dir: a.dir, Registerer: a.registry, tuneDB: func(o *tsdb.Options) {
		o.BlockReloadInterval = time.Second // Upstream looks after itself so often.
	}})
	require.NoError(t, err)
	for range 500 {
		require.NoError(t, a.write("known"))
	}
	return a
}

func (a *away) write(name string) error {
	a.at += 1000
	app := a.AppenderV2(a.t.Context())
	if _, err := app.Append(0, labels.FromStrings("__name__", name), 0, a.at, 1, nil, nil, storage.AppendV2Options{}); err != nil {
		return err
	}
	return app.Commit()
}

func (a *away) move(from, to string) { require.NoError(a.t, os.Rename(from, to)) }

// metric is the value of a metric without labels.
func (a *away) metric(name string) float64 {
	families, err := a.registry.Gather()
	require.NoError(a.t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	a.t.Fatalf("there is no metric %s", name)
	return 0
}

const moved = "prometheus_tsdb_mmap_chunks_total"

// TestADirectoryThatGoesAndComesBack takes the directory away from under an open store. Upstream would end the process when
// it is to move full chunks there.
func TestADirectoryThatGoesAndComesBack(t *testing.T) {
	a := newAway(t)
	a.move(a.dir, a.dir+".away")
	require.Zero(t, a.metric(moved), "this machine is too slow for this test")
	time.Sleep(2 * roomInterval)
	err := a.write("known")
	require.ErrorContains(t, err, "the directory is gone; put it back")
	require.ErrorContains(t, a.write("unknown"), "the directory is gone")
	time.Sleep(2500 * time.Millisecond)
	require.Zero(t, a.metric(moved))
	require.Zero(t, a.metric("tocsin_history_healthy"))
	ok, why := a.Healthy()
	require.False(t, ok)
	require.Contains(t, why, "samples are refused")

	require.NoError(t, os.MkdirAll(filepath.Join(a.dir, walName), 0o700))
	time.Sleep(2 * lastLook)
	require.ErrorContains(t, a.write("known"), "it is not the directory that was opened")
	require.NoError(t, os.RemoveAll(a.dir))

	a.move(a.dir+".away", a.dir)
	require.Eventually(t, func() bool { return a.write("known") == nil }, 10*time.Second, 50*time.Millisecond)
	require.NoError(t, a.write("unknown"))
	require.Eventually(t, func() bool { return a.metric(moved) > 0 }, 10*time.Second, 50*time.Millisecond)
	ok, why = a.Healthy()
	require.True(t, ok, why)
	require.Equal(t, 1.0, a.metric("tocsin_history_healthy"))
	require.NoError(t, a.Close())
}

// TestNothingIsMovedWhereSamplesAreTaken shows that the log goes on where only new files cannot be made.
func TestNothingIsMovedWhereSamplesAreTaken(t *testing.T) {
	a := newAway(t)
	// What probes find there is in their way, whoever runs this test.
	require.NoError(t, os.MkdirAll(filepath.Join(a.dir, walName, probeName, "full"), 0o700))
	time.Sleep(2500 * time.Millisecond)
	require.Zero(t, a.metric(moved))
	require.NoError(t, a.write("known"))
	ok, why := a.Healthy()
	require.False(t, ok)
	require.Contains(t, why, "samples are taken, but nothing is compacted")
	require.NoError(t, os.RemoveAll(filepath.Join(a.dir, walName, probeName)))
	require.Eventually(t, func() bool { return a.metric(moved) > 0 }, 10*time.Second, 50*time.Millisecond)
	ok, why = a.Healthy()
	require.True(t, ok, why)
	require.NoError(t, a.Close())
}

func TestClosingWhereTheDirectoryIsGone(t *testing.T) {
	a := newAway(t)
	a.move(a.dir, a.dir+".away")
	time.Sleep(1500 * time.Millisecond)
	err := a.Close()
	require.ErrorContains(t, err, "the directory is gone")
	require.ErrorContains(t, err, a.dir)
	a.move(a.dir+".away", a.dir)
	s, err := Open(Options{Dir: a.dir})
	require.NoError(t, err)
	require.Equal(t, time.UnixMilli(a.at), s.Stats().Newest)
	require.NoError(t, s.Close())
}
