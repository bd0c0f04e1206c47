package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

func TestRoom(t *testing.T) {
	const mib = 1 << 20
	free, total, broken := int64(100*mib), int64(1000*mib), error(nil)
	looks := 0
	var log strings.Builder
	r := &room{
		dir: "d", reserve: 16 * mib, logger: slog.New(slog.NewTextHandler(&log, nil)),
		refuses: prometheus.NewGauge(prometheus.GaugeOpts{Name: "g"}),
		free:    func(string) (int64, int64, error) { looks++; return free, total, broken },
	}
	now := time.Unix(1000, 0)
	try := func(samples int, after time.Duration) error { now = now.Add(after); return r.take(samples, now) }

	require.NoError(t, try(1, 0))
	free = 15 * mib
	require.NoError(t, try(1, time.Millisecond), "what was seen just now counts")
	require.Equal(t, 1, looks)
	require.ErrorIs(t, try(1, roomInterval), syscall.ENOSPC)
	require.ErrorIs(t, try(1, roomInterval), syscall.ENOSPC)
	require.Equal(t, 1, strings.Count(log.String(), "samples are refused"))
	free = 17 * mib
	require.Error(t, try(1, roomInterval), "not yet a quarter more")
	free = 20 * mib
	require.NoError(t, try(1, roomInterval))
	require.Equal(t, 1, strings.Count(log.String(), "samples are taken"))

	require.Error(t, try(4*mib/roomPerSample+1, roomInterval), "a batch that would take more than there is")
	require.NoError(t, try(100, roomInterval))
	free = 16*mib + 10*roomPerSample
	require.NoError(t, try(9, roomInterval))
	looks = 0
	free = 15 * mib
	require.Error(t, try(9, 0), "many batches between two looks")
	require.NotZero(t, looks)

	free, total = 3*mib, 20*mib
	require.Error(t, try(1, roomInterval))
	free = 5 * mib
	require.NoError(t, try(1, roomInterval), "a small disk keeps an eighth free")
	broken = errors.New("it does not say")
	free = 0
	require.NoError(t, try(1, roomInterval))
	broken, r.reserve = nil, -1
	require.NoError(t, try(1, roomInterval))
}

// TestAFullDiskLosesNothingAcknowledged writes while another fills the disk and frees it again, and expects what was
// acknowledged to be there after a restart. The batches are larger than a page of the log, so that writing one may fail
// half-way.
func TestAFullDiskLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "tocsin-test", dir).CombinedOutput(); err != nil {
		t.Skipf("LOUD SKIP: a small file system cannot be mounted (%v: %s): a full disk was NOT tried", err, out)
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	o := Options{Dir: filepath.Join(dir, "tsdb")}
	s, err := Open(o)
	require.NoError(t, err)
	const series = 3000
	acknowledged := map[int64]bool{}
	at := int64(1_000_000)
	batch := func() error {
		at += 1000
		app := s.AppenderV2(context.Background())
		for i := range series {
			// A few are new each time: what is not known of series is lost with them.
			ls := labels.FromStrings("__name__", "full", "i", fmt.Sprint(i))
			if i < 10 {
				ls = labels.FromStrings("__name__", "fresh", "i", fmt.Sprint(i), "at", fmt.Sprint(at))
			}
			if _, err := app.Append(0, ls, 0, at, float64(at)*1.1+float64(i), nil, nil, storage.AOptions{}); err != nil {
				return errors.Join(err, app.Rollback())
			}
		}
		if err := app.Commit(); err != nil {
			return err
		}
		acknowledged[at] = true
		return nil
	}
	refused := 0
	filler := filepath.Join(dir, "filler")
	for range 4 {
		for range 5 {
			require.NoError(t, batch())
		}
		f, err := os.Create(filler)
		require.NoError(t, err)
		for err == nil { // Little by little, and at last to the last byte.
			if _, err = f.Write(make([]byte, 256<<10)); err == nil && batch() != nil {
				refused++
			}
		}
		for _, size := range []int{4096, 1} {
			for err = nil; err == nil; {
				_, err = f.Write(make([]byte, size))
			}
		}
		require.NoError(t, f.Close())
		for range 5 {
			err := batch()
			require.ErrorContains(t, err, "free some space")
			refused++
		}
		require.NoError(t, os.Remove(filler))
		time.Sleep(2 * roomInterval)
	}
	require.NoError(t, batch())
	require.NoError(t, s.Close())

	s, err = Open(o)
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Querier(0, at)
	require.NoError(t, err)
	defer q.Close()
	there := map[int64]int{}
	set := q.Select(context.Background(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", "full|fresh"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != 0 {
			at, _ := it.At()
			there[at]++
		}
	}
	require.NoError(t, set.Err())
	require.NotZero(t, refused)
	t.Logf("%d batches acknowledged, %d refused", len(acknowledged), refused)
	for at := range acknowledged {
		require.Equal(t, series, there[at], "of the batch at %d", at)
	}
}
