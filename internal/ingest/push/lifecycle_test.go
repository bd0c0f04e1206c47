package push

import (
	"bytes"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// timeline returns a series' samples as seconds since from.
func timeline(points []point, from time.Time) map[float64]string {
	out := map[float64]string{}
	for _, p := range points {
		out[float64(p.t-from.UnixMilli())/1000] = p.v
	}
	return out
}

func TestRestating(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		g := newGateway(t, Options{Appendable: db, Interval: 10 * time.Second})
		from := time.Now()
		require.NoError(t, g.Start())
		time.Sleep(3 * time.Second)
		put(t, g, "/metrics/job/j", "a 1\nb 2\n")
		time.Sleep(20 * time.Second) // restated at 10, 20
		put(t, g, "/metrics/job/j", "a 5\n")
		time.Sleep(10 * time.Second) // at 30
		require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/j", "").Code)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		all := storedAll(t, db)
		require.Equal(t, map[float64]string{3: "1", 10: "1", 20: "1", 23: "5", 30: "5", 33: "stale"},
			timeline(all[`{__name__="a", job="j"}`], from))
		require.Equal(t, map[float64]string{3: "2", 10: "2", 20: "2", 23: "stale"}, timeline(all[`{__name__="b", job="j"}`], from))
		first, second := seconds(from.Add(3*time.Second)), seconds(from.Add(23*time.Second))
		require.Equal(t, map[float64]string{3: first, 10: first, 20: first, 23: second, 30: second, 33: "stale"},
			timeline(all[`{__name__="push_time_seconds", job="j"}`], from))
		g.Stop()
	})
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDB(t)
		g := newGateway(t, Options{Appendable: db, Interval: 15 * time.Second, TTL: time.Minute})
		require.NoError(t, g.Start())
		from := time.Now()
		put(t, g, "/metrics/job/default", "a 1\n")
		put(t, g, "/metrics/job/header?ttl=1h", "a 1\n", ttlHeader, "20s")
		put(t, g, "/metrics/job/parameter?ttl=1.5s", "a 1\n")
		put(t, g, "/metrics/job/never", "a 1\n", ttlHeader, "0s")
		refused(t, do(g, http.MethodPut, "/metrics/job/failed?ttl=5s", "a 1 1\n"), http.StatusBadRequest)
		time.Sleep(40 * time.Second)
		put(t, g, "/metrics/job/default", "a 2\n")                                                  // lives on from here
		refused(t, do(g, http.MethodPut, "/metrics/job/default", "a 1 1\n"), http.StatusBadRequest) // which this does not change
		status := statusOf(t, g, grouping{"job": "default"})
		require.Equal(t, 60.0, status.TTL)
		require.Equal(t, from.Add(100*time.Second), status.ExpiresAt.Add(0).Round(time.Millisecond))
		time.Sleep(80 * time.Second)
		synctest.Wait()

		ends := map[string]float64{}
		for s, points := range storedAll(t, db) {
			if last := points[len(points)-1]; last.v == "stale" {
				ends[s] = float64(last.t-from.UnixMilli()) / 1000
			}
		}
		require.InDeltaMapValues(t, map[string]float64{
			`{__name__="a", job="default"}`:                           100,
			`{__name__="push_time_seconds", job="default"}`:           100,
			`{__name__="push_failure_time_seconds", job="default"}`:   100,
			`{__name__="a", job="header"}`:                            20,
			`{__name__="push_time_seconds", job="header"}`:            20,
			`{__name__="push_failure_time_seconds", job="header"}`:    20,
			`{__name__="a", job="parameter"}`:                         1.5,
			`{__name__="push_time_seconds", job="parameter"}`:         1.5,
			`{__name__="push_failure_time_seconds", job="parameter"}`: 1.5,
			`{__name__="push_time_seconds", job="failed"}`:            5,
			`{__name__="push_failure_time_seconds", job="failed"}`:    5,
		}, ends, 0.01)
		require.Len(t, g.Groups(), 1)
		require.Equal(t, map[string]string{`{__name__="a", job="never"}`: "1"}, latest(t, db))
		require.EqualValues(t, 4, testutil.ToFloat64(g.metrics.expired))
		g.Stop()
	})
}

// TestTimeToLiveRunsOutWhileStopped lets a group's time pass between two processes.
func TestTimeToLiveRunsOutWhileStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, dir := newDB(t), t.TempDir()
		g := newGateway(t, Options{Appendable: db, Dir: dir})
		put(t, g, "/metrics/job/short", "a 1\n", ttlHeader, "30s")
		put(t, g, "/metrics/job/long", "a 1\n", ttlHeader, "100s")
		g.Stop()
		time.Sleep(time.Minute)
		g = newGateway(t, Options{Appendable: db, Dir: dir})
		require.NoError(t, g.Start())
		synctest.Wait()
		require.Equal(t, []string{`{__name__="a", job="long"}`}, names(latest(t, db)))
		require.Len(t, files(t, dir), 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, latest(t, db))
		require.Empty(t, files(t, dir))
		g.Stop()
	})
}

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{})
	g.Stop() // before the start
	g = newGateway(t, Options{})
	require.NoError(t, g.Start())
	require.Error(t, g.Start())
	g.Stop()
	g.Stop()
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	_, err := New(Options{})
	require.ErrorContains(t, err, "Appendable")
	_, err = New(Options{Appendable: newDB(t), Interval: -1})
	require.ErrorContains(t, err, "Interval")
	_, err = New(Options{Appendable: newDB(t), TTL: -1})
	require.ErrorContains(t, err, "TTL")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = New(Options{Appendable: newDB(t), Dir: file})
	require.ErrorContains(t, err, "directory of pushed groups")
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, filepath.Join(dir, e.Name()))
	}
	return out
}

// TestPersistence throws a gateway away without stopping it, as kill -9 would, and reads its directory with another.
func TestPersistence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newGateway(t, Options{Dir: dir})
	put(t, g, "/metrics/job/a/path@base64/L3Zhci90bXA", "# HELP m Help.\n# TYPE m histogram\nm_bucket{le=\"1\"} 1\nm_bucket{le=\"+Inf\"} 2\nm_sum 3\nm_count 2\n", ttlHeader, "1h")
	put(t, g, "/metrics/job/b/empty@base64/=", "x 1\ny 2\n")
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/b/empty@base64/=", "x 3\n").Code)
	refused(t, do(g, http.MethodPost, "/metrics/job/b/empty@base64/=", "x 3 3\n"), http.StatusBadRequest)
	put(t, g, "/metrics/job/deleted", "x 1\n")
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/deleted", "").Code)
	require.Len(t, files(t, dir), 2)

	db := newDB(t)
	again := newGateway(t, Options{Appendable: db, Dir: dir})
	require.Equal(t, asJSON(t, g.Groups()), asJSON(t, again.Groups()))
	require.NoError(t, again.Start())
	require.Eventually(t, func() bool { return len(latest(t, db)) == 6 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "3", latest(t, db)[`{__name__="x", job="b"}`])
	require.Equal(t, "1", latest(t, db)[`{__name__="m_bucket", job="a", le="1.0", path="/var/tmp"}`])
	// The checks between groups know the groups that were read.
	refused(t, do(again, http.MethodPut, "/metrics/job/c", "# TYPE m gauge\nm 1\n"), http.StatusBadRequest, "in another group")
}

func TestCorruptFilesHarmOnlyThemselves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := newGateway(t, Options{Dir: dir})
	for _, job := range []string{"flipped", "cut", "empty", "foreign", "good"} {
		put(t, g, "/metrics/job/"+job, "m{of=\""+job+"\"} 1\n")
	}
	path := func(job string) string { return filepath.Join(dir, fileName(keyOf(grouping{"job": job}))) }
	b, err := os.ReadFile(path("flipped"))
	require.NoError(t, err)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(path("flipped"), b, 0o600))
	require.NoError(t, os.Truncate(path("cut"), 60))
	require.NoError(t, os.Truncate(path("empty"), 0))
	good, err := os.ReadFile(path("good"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path("foreign"), good, 0o600))
	require.NoError(t, os.WriteFile(path("good")+tempSuffix, []byte("half written"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))

	var log bytes.Buffer
	again := newGateway(t, Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Len(t, again.Groups(), 1)
	require.Equal(t, grouping{"job": "good"}, again.Groups()[0].Labels)
	require.EqualValues(t, 4, testutil.ToFloat64(again.metrics.corrupt))
	require.Equal(t, 4, bytes.Count(log.Bytes(), []byte("moved aside")))
	require.FileExists(t, path("flipped")+".corrupt")
	require.NoFileExists(t, path("good")+tempSuffix)
	// A lost group can be pushed again.
	put(t, again, "/metrics/job/flipped", "m 1\n")
}

func TestDiskTroubleRefusesThePushAndChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db, Dir: dir})
	put(t, g, "/metrics/job/j", "m 1\n")
	before := asJSON(t, g.Groups())
	// A directory in the place of the temporary file makes every write fail, for root too.
	blocked := filepath.Join(dir, fileName(keyOf(grouping{"job": "j"}))) + tempSuffix
	require.NoError(t, os.Mkdir(blocked, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(blocked, "x"), nil, 0o600))
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "m 2\n"), http.StatusServiceUnavailable, "keeping the pushed group")
	require.Equal(t, before, asJSON(t, g.Groups()))
	require.Equal(t, "1", latest(t, db)[`{__name__="m", job="j"}`])
	require.NoError(t, os.RemoveAll(blocked))
	put(t, g, "/metrics/job/j", "m 2\n")
}

// TestConcurrentUse is for the race detector, and for an end state that adds up.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db, Dir: t.TempDir(), Interval: time.Millisecond})
	require.NoError(t, g.Start())
	var wg sync.WaitGroup
	for _, job := range []string{"a", "b", "c", "d"} {
		wg.Go(func() {
			for range 20 {
				put(t, g, "/metrics/job/"+job, "m 1\n", ttlHeader, "1ms")
				do(g, http.MethodDelete, "/metrics/job/"+job, "")
				put(t, g, "/metrics/job/"+job, "m 1\nn 2\n", ttlHeader, "0s")
				g.Groups()
			}
		})
	}
	wg.Wait()
	g.Stop()
	require.Len(t, g.Groups(), 4)
	require.Len(t, latest(t, db), 8)
	require.Equal(t, 16, g.index.series())
}

func FuzzUnmarshalGroup(f *testing.F) {
	g := newGateway(f, Options{})
	put(f, g, "/metrics/job/j", "# TYPE m histogram\nm_bucket{le=\"1\"} 1\nm_bucket{le=\"+Inf\"} 2\nm_sum 3\nm_count 2\n", ttlHeader, "1h")
	b, err := marshalGroup(g.groups[keyOf(grouping{"job": "j"})])
	require.NoError(f, err)
	f.Add(b[len(fileMagic) : len(b)-4])
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := unmarshalGroup(content); err == nil {
			t.Fatal("no magic, no checksum, no error")
		}
		p, err := unmarshalGroup(sealed(content))
		if err != nil {
			return
		}
		again, err := marshalGroup(p.seal())
		require.NoError(t, err)
		p2, err := unmarshalGroup(again)
		require.NoError(t, err)
		require.Equal(t, p.status(), p2.seal().status())
	})
}
