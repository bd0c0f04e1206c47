package history

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
	"github.com/stretchr/testify/require"
)

// logged writes records of random sizes as upstream does and returns the segment and the records. None is of a kind
// that upstream passes over.
func logged(t *testing.T, r *rand.Rand, n int) (segment []byte, records [][]byte) {
	t.Helper()
	dir := t.TempDir()
	w, err := wlog.New(slog.New(slog.DiscardHandler), nil, dir, compression.Snappy)
	require.NoError(t, err)
	for range n {
		rec := make([]byte, 1+r.IntN([]int{20, 3000, 120_000}[r.IntN(3)]))
		for i := range rec { // Half of them can be compressed.
			rec[i] = byte(r.IntN(3))
			if n%2 == 0 {
				rec[i] = byte(r.IntN(255))
			}
		}
		rec[0] = byte(r.IntN(10))
		require.NoError(t, w.Log(rec))
		records = append(records, rec)
	}
	require.NoError(t, w.Close())
	segment, err = os.ReadFile(wlog.SegmentName(dir, 0))
	require.NoError(t, err)
	return segment, records
}

// readLog returns the records that upstream does not pass over.
func readLog(dir string) (records [][]byte, err error) {
	segments, err := wlog.NewSegmentsReader(dir)
	if err != nil {
		return nil, err
	}
	defer segments.Close()
	r := wlog.NewReader(bufio.NewReader(segments))
	for r.Next() {
		if rec := r.Record(); len(rec) > 0 && rec[0] != unknownRecord {
			records = append(records, bytes.Clone(rec))
		}
	}
	return records, r.Err()
}

// cutLog returns a segment that ends with a page, as one does of which the next write failed, and what can be read of it.
func cutLog(t *testing.T, r *rand.Rand) (segment []byte, whole [][]byte) {
	t.Helper()
	part, records := logged(t, r, 1+r.IntN(30))
	segment = part[:r.IntN(len(part)/pageBytes+1)*pageBytes]
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(wlog.SegmentName(dir, 0), segment, 0o600))
	whole, _ = readLog(dir) // It may be torn: that is the point.
	for i := range whole {
		require.Equal(t, records[i], whole[i])
	}
	return segment, whole
}

// TestMendLog tears logs where a failed write does, at the end of a page, and goes on as upstream does, with the next page.
func TestMendLog(t *testing.T) {
	torn := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		var want [][]byte
		segments := 1 + r.IntN(3)
		for i := range segments {
			var segment []byte
			for range r.IntN(4) { // A disk may fail more than once.
				part, whole := cutLog(t, r)
				segment, want = append(segment, part...), append(want, whole...)
			}
			if i == segments-1 || r.IntN(2) == 0 {
				rest, records := logged(t, r, 10)
				segment, want = append(segment, rest...), append(want, records...)
			}
			require.NoError(t, os.WriteFile(wlog.SegmentName(dir, i), segment, 0o600))
		}
		got, err := readLog(dir)
		if err != nil {
			torn++
			require.Less(t, len(got), len(want))
		}
		changed, mendErr := mendLog(dir, 0)
		require.NoError(t, mendErr)
		require.Equal(t, err != nil, changed > 0, "seed %d", seed)
		got, err = readLog(dir)
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, want, got, "seed %d", seed)
		changed, err = mendLog(dir, 0)
		require.NoError(t, err)
		require.Zero(t, changed, "what is mended is good")
	}
	require.Greater(t, torn, 20)
}

func TestMendLogLeavesWhatItDoesNotKnow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	segment, _ := logged(t, r, 30)
	dir := t.TempDir()
	for what, damage := range map[string]func(b []byte){
		"a last part alone": func(b []byte) { b[0] = pieceLast },
		"an unknown kind":   func(b []byte) { b[0] = 7 },
		"a wrong length":    func(b []byte) { b[1], b[2] = 0xff, 0xff },
	} {
		bad := bytes.Clone(segment)
		damage(bad)
		require.NoError(t, os.WriteFile(wlog.SegmentName(dir, 0), bad, 0o600))
		_, err := mendLog(dir, 0)
		require.ErrorIs(t, err, errDamaged, what)
		require.ErrorContains(t, err, filepath.Join(dir, "00000000"), what)
		is, err := os.ReadFile(wlog.SegmentName(dir, 0))
		require.NoError(t, err)
		require.Equal(t, bad, is, what)
	}
	_, err := mendLog(t.TempDir(), 0)
	require.ErrorIs(t, err, os.ErrNotExist)
	// A record that is being written.
	for cut := range 300 {
		require.NoError(t, os.WriteFile(wlog.SegmentName(dir, 0), segment[:cut], 0o600))
		n, err := mendLog(dir, 0)
		require.NoError(t, err, fmt.Sprint(cut))
		require.Zero(t, n)
	}
}
