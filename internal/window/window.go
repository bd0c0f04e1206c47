// Package window keeps the recent samples of the series that somebody selects, as columns, fed on arrival.
//
// A Store is what history was told lately, in the form in which expressions read it: the newest sample of each series in
// arrays by ID, the others in small buffers, and a Selector's series in lanes. It knows where its knowledge ends: see
// Floor. It must not know expressions beyond what a selector selects, nor who evaluates them. Nothing here is safe for
// concurrent use; the owner serialises.
//
// The owner's duties: Select before a new reader's samples are needed, then Fill each series that history has, as far
// back as Selector.Reach says, then SetComplete; Feed all that history commits from Select on; Expire whenever NextExpiry
// says so. Rounds of Select, Fill and SetComplete must not overlap.
package window

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/wheel"
)

// ID is a series' place in the Store: an index from 0, recycled when the series is evicted.
type ID uint32

// Sample is one sample that history has committed.
type Sample struct {
	// Ref is history's reference: unique and stable while history is open. Two references may be one series; the labels
	// decide.
	Ref uint64
	// Labels may be empty where the reference was seen before. They are kept, and must not change.
	Labels labels.Labels
	// T is in Unix milliseconds.
	T int64
	// V may be a staleness marker.
	V float64
	// Histogram says that it is a native histogram sample; then V is meaningless.
	Histogram bool
}

// Options configures a Store. Times are in milliseconds.
type Options struct {
	// Lookback is the reach of instant selectors.
	Lookback int64
	// Slack is how far before the newest sample of a series evaluations may be. It is kept on top of what selectors ask
	// for.
	Slack int64
	// SlackSamples bounds the samples of a series that are kept for Slack alone; where it cuts, the floor rises. 0 is no
	// bound.
	SlackSamples int
	// MaxBytes bounds the memory of all buffers of samples; a series whose buffer may not grow loses its oldest samples,
	// and its floor rises. A buffer of four samples is never refused. 0 is no bound.
	MaxBytes int64
	// OutOfOrder says that history takes samples out of order. Otherwise it drops, of several samples of a series in one
	// batch, those that are not newer than the one before, and so does Feed.
	OutOfOrder bool
	// Resolve returns the labels of a reference that comes without any and is not known here (any more); nil, or empty
	// labels: the sample is lost, and counted.
	Resolve func(ref uint64) labels.Labels
}

// Store keeps the windows. See the package's comment.
type Store struct {
	opts Options
	// now is the latest time that the owner told of, math.MinInt64 before that.
	now int64

	// By ID. lastT is math.MinInt64 where the series has no sample.
	series []series
	lastT  []int64
	lastV  []float64
	labels []labels.Labels
	free   []ID
	live   int

	refs    refs
	byHash  map[uint64]ID
	twins   map[ID]ID       // the next series of the same hash
	more    map[ID][]uint64 // references of a series beyond its first
	hash    func(labels.Labels) uint64
	hists   map[ID]int64 // time of the newest native histogram sample
	buffers buffers

	selectors selectors
	touched   []*Selector // since the last ClearTouched
	links     links
	batch     uint32
	// inserted is, in the running batch, the time of a series' sample that was not its newest: see ordered.
	inserted map[ID]int64
	scratchT []int64
	scratchV []float64

	wheel   *wheel.Wheel
	soon    agenda
	fired   func(id uint32)
	sweepAt int64

	stats Stats
}

// series is what is known of one series beside its newest sample. It is one cache line.
type series struct {
	// block of class holds the samples, the n from head on.
	block, head, n uint32
	// markers is how many of them are staleness markers.
	markers uint32
	// first is the first of the lanes that the series stands in.
	first link
	// batch is the number of the batch that last brought the newest sample.
	batch uint32
	class uint8
	flags uint8
	// lost is the time of the newest sample that was let go, math.MinInt64 if none.
	lost int64
	// unknown is the time up to which samples may exist that the store was never given: math.MaxInt64 if nothing is
	// known of the past.
	unknown int64
	// ref is the first reference, 0 if none.
	ref uint64
}

const (
	// flagLive: the ID is in use.
	flagLive = 1 << iota
	// flagLapsed: the newest sample has passed a horizon, so that the next one's horizons may come before the time that
	// the series is scheduled for.
	flagLapsed
	// flagAhead: a sample of a time that is still to come was taken.
	flagAhead
	// flagHistogram: the series is in hists.
	flagHistogram
	// flagBuffer: block of class is the series'.
	flagBuffer
	// flagInherits: lost is all that was let go since the series came, so that what its selectors know holds for it, too.
	flagInherits
	// flagLoses: something was let go since the last Select, so that a Fill from before may not lower lost.
	flagLoses

	// flagsSlow are those with which the short way of taking a sample is barred.
	flagsSlow = flagLapsed | flagHistogram
)

// New returns an empty store.
func New(o Options) *Store {
	s := &Store{
		opts:     o,
		now:      math.MinInt64,
		byHash:   map[uint64]ID{},
		twins:    map[ID]ID{},
		more:     map[ID][]uint64{},
		hash:     labels.Labels.Hash,
		hists:    map[ID]int64{},
		inserted: map[ID]int64{},
		wheel:    wheel.New(math.MinInt64),
		sweepAt:  math.MinInt64,
	}
	s.buffers.limit = o.MaxBytes
	s.selectors.byKey = map[string]*Selector{}
	s.selectors.byName = map[string][]*Selector{}
	s.fired = s.fire
	return s
}

// Last returns, by ID, the newest samples, staleness markers included. t is math.MinInt64 where there is none. Like all
// that is returned by ID, it is valid until the next call that changes the store.
func (s *Store) Last() (t []int64, v []float64) { return s.lastT, s.lastV }

// Samples returns the kept samples of a series, ascending, staleness markers included.
func (s *Store) Samples(id ID) (t []int64, v []float64) {
	r := &s.series[id]
	if r.n == 0 {
		return nil, nil
	}
	return s.buffers.view(r.class, r.block, r.head, r.n)
}

// Markers returns how many of the kept samples of a series are staleness markers.
func (s *Store) Markers(id ID) int { return int(s.series[id].markers) }

// Floor returns a time after which nothing is missing: every sample of the series with t > Floor is kept, and all that
// are kept are after it. What may lie at or before it has to be asked of tier 0. math.MaxInt64: the series came between
// Select and SetComplete, and nothing is known of its past yet.
//
// It never claims more than is true. What it is made of:
//   - what was let go of the series itself (trimmed, cut, refused for its age): lost;
//   - for a series that was filled, the time from which Fill had all;
//   - for one that first appeared in Feed, what its selectors know of all their series. When a selector was complete as
//     of c, a series that appears afterwards has no sample after c that was not fed; and if it was here before and was
//     evicted, none after the newest sample that was ever evicted from that selector. What is evicted is by then out of
//     the reach of every evaluation of that selector's, so in steady state a new series' floor is no obstacle.
func (s *Store) Floor(id ID) int64 { return max(s.series[id].lost, s.series[id].unknown) }

// Histograms returns the time of the newest native histogram sample of a series, math.MinInt64 if there is none. What
// may see it, or an older one, needs tier 0.
func (s *Store) Histograms(id ID) int64 {
	if s.series[id].flags&flagHistogram == 0 {
		return math.MinInt64
	}
	return s.hists[id]
}

// AnyHistogram reports whether any series has native histogram samples.
func (s *Store) AnyHistogram() bool { return len(s.hists) > 0 }

// Selectors returns those that are in use.
func (s *Store) Selectors() []*Selector { return s.selectors.all }

// clock takes notice of the time.
func (s *Store) clock(now int64) {
	s.now = max(s.now, now)
	if s.wheel.Len() == 0 {
		s.wheel.Advance(s.now, s.fired) // Nothing fires; what is scheduled next finds its place at once.
	}
}

// newest returns the time of a series' newest sample of any kind, math.MinInt64 if there is none.
func (s *Store) newest(id ID) int64 { return max(s.lastT[id], s.Histograms(id)) }

// latest returns the time of the latest sample that the series has, had, or may have without the store's knowledge: what
// has to be out of sight before the series may go. Where nothing is known of the past, that is found out later.
func (s *Store) latest(id ID) int64 {
	r := &s.series[id]
	t := max(s.newest(id), r.lost)
	if r.unknown != math.MaxInt64 {
		t = max(t, r.unknown)
	}
	return t
}

// plus adds without going over the ends.
func plus(a, b int64) int64 {
	switch c := a + b; {
	case b > 0 && c < a:
		return math.MaxInt64
	case b < 0 && c > a:
		return math.MinInt64
	default:
		return c
	}
}
