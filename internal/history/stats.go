package history

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

// rateWindow is over how many full seconds the arrival rate is taken: several scrape intervals.
const rateWindow = 60

// rate counts events per second over the last minute. Its lock is taken once a batch.
type rate struct {
	mu      sync.Mutex
	buckets [rateWindow + 1]int
	second  int64 // of the newest bucket
	first   int64 // of the first event
}

// add counts n events at now.
func (r *rate) add(now time.Time, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(now.Unix())
	r.buckets[r.second%int64(len(r.buckets))] += n
	if r.first == 0 {
		r.first = r.second
	}
}

// perSecond returns the mean rate over the full seconds before now: up to a minute, fewer after the first event.
func (r *rate) perSecond(now time.Time) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(now.Unix())
	span := min(r.second-r.first, rateWindow)
	if r.first == 0 || span <= 0 {
		return 0
	}
	sum := -r.buckets[r.second%int64(len(r.buckets))] // This second is not over.
	for _, n := range r.buckets {
		sum += n
	}
	return float64(sum) / float64(span)
}

// advance empties the buckets of the seconds that passed. A clock set back counts into the newest bucket.
func (r *rate) advance(second int64) {
	if second-r.second > int64(len(r.buckets)) {
		clear(r.buckets[:])
		r.second = second
	}
	for r.second < second {
		r.second++
		r.buckets[r.second%int64(len(r.buckets))] = 0
	}
}

// Stats says how much is kept.
type Stats struct {
	// Series is how many series are in the head, the part of the database that is written to.
	Series uint64
	// SamplesPerSecond is the mean rate of committed samples over the last minute.
	SamplesPerSecond float64
	// Blocks is how many compacted blocks there are, DiskBytes the size of blocks, head chunks and write-ahead log.
	Blocks    int
	DiskBytes int64
	// Oldest and Newest bound the samples' times; both are zero where there are none.
	Oldest, Newest time.Time
}

// Stats returns how much is kept. It walks the write-ahead log's directory.
func (s *Store) Stats() Stats {
	head := s.db.Head()
	st := Stats{
		Series:           head.NumSeries(),
		SamplesPerSecond: s.arrivals.perSecond(time.Now()),
		DiskBytes:        head.Size(),
	}
	oldest, newest := head.MinTime(), head.MaxTime()
	for _, b := range s.db.Blocks() {
		st.Blocks++
		st.DiskBytes += b.Size()
		oldest, newest = min(oldest, b.MinTime()), max(newest, b.MaxTime())
	}
	if oldest <= newest { // An empty head has the extreme values the other way round.
		st.Oldest, st.Newest = time.UnixMilli(oldest), time.UnixMilli(newest)
	}
	return st
}

// Admin is the part of the database that upstream's HTTP API administers; it satisfies that API's TSDBAdminStats.
type Admin struct{ db *tsdb.DB }

// Admin returns the store's administration.
func (s *Store) Admin() Admin { return Admin{s.db} }

// CleanTombstones rewrites blocks without what was deleted.
func (a Admin) CleanTombstones() error { return a.db.CleanTombstones() }

// Delete marks samples in [mint, maxt], in Unix milliseconds, of matching series as deleted.
func (a Admin) Delete(ctx context.Context, mint, maxt int64, ms ...*labels.Matcher) error {
	return a.db.Delete(ctx, mint, maxt, ms...)
}

// Snapshot writes the database, the head only if asked, as blocks into dir.
func (a Admin) Snapshot(dir string, withHead bool) error { return a.db.Snapshot(dir, withHead) }

// Stats returns the head's cardinality by label.
func (a Admin) Stats(statsByLabelName string, limit int) (*tsdb.Stats, error) {
	return a.db.Head().Stats(statsByLabelName, limit), nil
}

// WALReplayStatus reports a finished replay: Open returns only then.
func (a Admin) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }

// BlockMetas returns the descriptions of all blocks.
func (a Admin) BlockMetas() ([]tsdb.BlockMeta, error) { return a.db.BlockMetas(), nil }
