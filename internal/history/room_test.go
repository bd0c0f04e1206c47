package history

import (
	"context"
	"crypto/sha256"
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

// small mounts a small file system for the test's time, or skips loudly.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=16m", "tocsin-test", dir).CombinedOutput(); err != nil {
		t.Skipf("LOUD SKIP: a small file system cannot be mounted (%v: %s): a full disk was NOT tried", err, out)
	}
	t.Cleanup(func() {
		out, err := exec.Command("umount", dir).CombinedOutput()
		require.NoError(t, err, "%s", out)
	})
	return dir
}

// batches writes batches that are larger than a page of the log, so that writing one may fail half-way. One that is refused
// comes again, as from senders.
type batches struct {
	s            *Store
	at           int64
	acknowledged map[int64]bool
	refused      int
}

// batchSeries is how many samples a batch has. Some of its series are new each time: what is not known of series is lost
// with them.
const batchSeries, batchFresh = 3000, 300

func (b *batches) write() error {
	if b.acknowledged[b.at] {
		b.at += 1000
	}
	app := b.s.AppenderV2(context.Background())
	for i := range batchSeries {
		ls := labels.FromStrings("__name__", "full", "i", fmt.Sprint(i))
		if i < batchFresh {
			unlike := sha256.Sum256(fmt.Append(nil, i, b.at)) // It does not compress.
			ls = labels.FromStrings("__name__", "fresh", "i", fmt.Sprint(i), "at", fmt.Sprint(b.at), "long", fmt.Sprintf("%x", unlike))
		}
		if _, err := app.Append(0, ls, 0, b.at, float64(b.at)*1.1+float64(i), nil, nil, storage.AOptions{}); err != nil {
			return errors.Join(err, app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		b.refused++
		return err
	}
	b.acknowledged[b.at] = true
	return nil
}

// requireAll expects all that was acknowledged, and nothing else of it, to be in the store.
func (b *batches) requireAll(t *testing.T, s *Store) {
	t.Helper()
	q, err := s.Querier(0, b.at)
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
	require.NotZero(t, b.refused)
	t.Logf("%d batches acknowledged, %d refused", len(b.acknowledged), b.refused)
	for at := range b.acknowledged {
		require.Equal(t, batchSeries, there[at], "of the batch at %d", at)
	}
}

// TestAFullDiskLosesNothingAcknowledged writes while another fills the disk and frees it again, and expects what was
// acknowledged to be there after a restart: where samples are refused before the disk is full, and where it is not known
// beforehand that there is no room, as with a quota, so that writing fails half-way.
func TestAFullDiskLosesNothingAcknowledged(t *testing.T) {
	for name, reserve := range map[string]int64{"with a reserve": 0, "without one": -1} {
		t.Run(name, func(t *testing.T) {
			dir := small(t)
			o := Options{Dir: filepath.Join(dir, "tsdb"), MinFreeSpace: reserve}
			s, err := Open(o)
			require.NoError(t, err)
			b := &batches{s: s, at: 1_000_000, acknowledged: map[int64]bool{}}
			filler := filepath.Join(dir, "filler")
			for range 4 {
				for range 5 {
					require.NoError(t, b.write())
				}
				f, err := os.Create(filler)
				require.NoError(t, err)
				for err == nil { // Little by little, and at last to the last byte.
					if _, err = f.Write(make([]byte, 256<<10)); err == nil {
						_ = b.write() // It counts itself.
					}
				}
				for _, size := range []int{4096, 1} {
					for err = nil; err == nil; {
						_, err = f.Write(make([]byte, size))
					}
				}
				require.NoError(t, f.Close())
				refused := 0
				for range 20 { // There may be room left in what the log has on disk.
					if err := b.write(); err != nil {
						require.ErrorContains(t, err, "free some space")
						refused++
					}
				}
				require.Greater(t, refused, 5)
				ok, why := s.Healthy()
				require.False(t, ok)
				require.Contains(t, why, "free some space")
				require.NoError(t, os.Remove(filler))
				require.Eventually(t, func() bool { return b.write() == nil }, 20*time.Second, 2*roomInterval)
				ok, why = s.Healthy()
				require.True(t, ok, why)
			}
			require.NoError(t, b.write())
			require.NoError(t, s.Close())
			s, err = Open(o)
			require.NoError(t, err)
			defer s.Close()
			b.requireAll(t, s)
		})
	}
}
