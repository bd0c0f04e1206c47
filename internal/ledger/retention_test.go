package ledger

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// keepNow does at once what the keeper does by and by.
func keepNow(t *testing.T, l *Ledger) {
	t.Helper()
	require.NoError(t, l.index.await(t.Context()))
	k := newKeeper(l)
	k.flushed = time.Time{}
	require.NoError(t, k.upkeep(time.Now()))
	require.NoError(t, k.move())
}

func TestRetentionByAge(t *testing.T) {
	now := start()
	dir := t.TempDir()
	change := func(o *Options) { o.Now, o.Retention = func() time.Time { return now }, 1000*time.Second }
	l := openAt(t, dir, change)
	for n := range 10_000 {
		var changed []Instance
		if n < 50 {
			changed = append(changed, instanceOf(n, n, alert.Firing))
		}
		require.NoError(t, l.Record([]Entry{entryOf(n%50, n, alert.Firing)}, changed, nil))
	}
	old, err := l.Acknowledge(Ack{Labels: labelsOf(1)})
	require.NoError(t, err)
	require.NoError(t, l.Unacknowledge(old.ID))
	held, err := l.Acknowledge(Ack{Labels: labelsOf(2)})
	require.NoError(t, err)
	id, err := l.Enqueue(Notification{NextAt: now})
	require.NoError(t, err)
	waits, err := l.Enqueue(Notification{NextAt: now})
	require.NoError(t, err)
	require.NoError(t, l.Bury(id, ""))

	for _, age := range []int{0, 1000, 1001, 5000, 9500} {
		now = start().Add(time.Duration(age) * time.Second)
		keepNow(t, l)
		first := max(age-1000, 0)
		got := entriesOf(t, l, Query{Limit: MaxLimit})
		require.Len(t, got, 10_000-first)
		require.Equal(t, entryOf(first%50, first, alert.Firing), got[0].Entry)
		require.Equal(t, float64(first), testutil.ToFloat64(l.metrics.deletions.WithLabelValues(deletedForAge)))
		require.Equal(t, float64(10_000-first), testutil.ToFloat64(l.metrics.indexed))
	}
	require.Len(t, stateOf(t, l), 50, "the state of instances stays, however old")
	acks, err := l.acks("")
	require.NoError(t, err)
	require.Equal(t, []Ack{held}, acks, "those that ended are gone")
	dead, err := l.Dead()
	require.NoError(t, err)
	require.Empty(t, dead)
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Equal(t, waits, waiting[0].ID)

	require.NoError(t, l.Record([]Entry{entryOf(1, 10_000, alert.Firing)}, nil, nil))
	require.NoError(t, l.Close())
	l = openAt(t, dir, change)
	require.Len(t, entriesOf(t, l, Query{Limit: MaxLimit}), 1501)
	require.NoError(t, l.Close())
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.Equal(t, []int{1501, 50}, []int{report.Transitions, report.Instances})
}

// Everything gone, the numbers go on all the same: tokens and IDs stay valid.
func TestRetentionOfEverything(t *testing.T) {
	now := start()
	dir := t.TempDir()
	change := func(o *Options) { o.Now, o.Retention = func() time.Time { return now }, time.Hour }
	l := openAt(t, dir, change)
	for n := range 100 {
		require.NoError(t, l.Record([]Entry{entryOf(1, n, alert.Firing)}, []Instance{instanceOf(1, n, alert.Firing)}, nil))
	}
	last := entriesOf(t, l, Query{})[99].ID
	now = now.Add(10 * time.Hour)
	keepNow(t, l)
	require.Empty(t, entriesOf(t, l, Query{}))
	require.NoError(t, l.Close())
	l = openAt(t, dir, change)
	require.NoError(t, l.Record([]Entry{entryOf(1, 1000, alert.Firing)}, nil, nil))
	require.Greater(t, entriesOf(t, l, Query{})[0].ID, last)
	require.Len(t, stateOf(t, l), 1)
	require.NoError(t, l.Close())
}

func TestRetentionBySize(t *testing.T) {
	const most = 1 << 20
	dir := t.TempDir()
	l := openAt(t, dir, func(o *Options) { o.MaxBytes = most })
	n := 0
	for round := range 4 {
		for range 4000 {
			require.NoError(t, l.Record([]Entry{entryOf(n%500, n, alert.Firing)}, nil, nil))
			n++
		}
		keepNow(t, l)
		got := entriesOf(t, l, Query{Limit: MaxLimit})
		require.Equal(t, entryOf((n-1)%500, n-1, alert.Firing), got[len(got)-1].Entry, "the oldest go")
		require.Less(t, len(got), 4000)
		require.Greater(t, len(got), 1000, "no more than needed")
		require.Equal(t, n, len(got)+int(testutil.ToFloat64(l.metrics.deletions.WithLabelValues(deletedForSize))))
		info, err := os.Stat(filepath.Join(dir, fileName))
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(most*3/2), "round %d: free pages are given back", round)
	}
	require.NoError(t, l.Close())
}

// Deleting goes on beside commits and searches, and takes little of them.
func TestRetentionBesideCommits(t *testing.T) {
	l := openTest(t, func(o *Options) { o.MaxBytes = 1 << 20 })
	stop := make(chan struct{})
	done := make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				require.NoError(t, l.Record([]Entry{entryOf(n%500, n, alert.Firing)}, []Instance{instanceOf(n%500, n, alert.Firing)}, nil))
				l.RecordDelivery(Delivery{At: start(), Receiver: "team", Alerts: []DeliveredAlert{{Labels: labelsOf(n % 500)}}})
			}
		}
	}()
	k := newKeeper(l)
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		k.flushed, k.retained = time.Time{}, time.Time{}
		require.NoError(t, k.upkeep(time.Now()))
		for _, e := range pages(t, l, Query{Rule: "Rule7", Limit: 20}) {
			require.Equal(t, "Rule7", e.Rule)
		}
	}
	close(stop)
	n := <-done
	keepNow(t, l)
	all := entriesOf(t, l, Query{Limit: MaxLimit})
	require.Equal(t, n, len(all)+int(testutil.ToFloat64(l.metrics.deletions.WithLabelValues(deletedForSize))))
	require.Len(t, stateOf(t, l), min(n, 500))
}

// What is deleted is forgotten in memory, too.
func TestTheIndexForgets(t *testing.T) {
	x := newIndex(newMetrics(nil), 0)
	const n = 5 * chunkEntries
	for seq := range int64(n) {
		e := entryOf(int(seq), int(seq), alert.Firing)
		x.takeIn(seq, &row{entries: []Entry{e}})
		x.takeIn(seq, &row{deliveries: []storedDelivery{{refs: []EntryID{makeID(seq, 0)}}}})
	}
	require.Equal(t, 1000, x.trim(999))
	require.Equal(t, chunkEntries, x.trim(999+chunkEntries))
	require.Zero(t, x.trim(5), "what is gone is gone once")
	require.Len(t, x.chunks, 4)
	require.Equal(t, 4*chunkEntries, len(x.sets.sets)-len(x.sets.free))
	require.Len(t, x.sets.heads, 4*chunkEntries)
	require.Equal(t, n-1000-chunkEntries, len(x.find(&Query{}, 0, n)))
	require.Equal(t, n-1000-chunkEntries, x.trim(n))
	require.Equal(t, 0, len(x.find(&Query{}, 0, n)))
	require.Empty(t, x.sets.heads)
	require.Empty(t, x.sets.symbols.ids)
	x.takeIn(n+1, &row{entries: []Entry{entryOf(1, 1, alert.Firing)}})
	require.Len(t, x.find(&Query{}, 0, n), 1)
}
