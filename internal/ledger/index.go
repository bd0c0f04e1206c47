package ledger

import (
	"context"
	"slices"
	"sort"
	"sync"
)

// index is what History searches: of each transition its time, rule, label set, state and which deliveries told of it,
// in memory, some 60 bytes each. A search is a walk over columns, so that its time does not depend on what is searched
// for. A goroutine of its own reads the log once and then takes in what is committed: commits never wait for searches.
type index struct {
	metrics *metrics
	cancel  context.CancelFunc
	done    chan struct{}

	// What is committed and not taken in yet; see feed.go.
	feedMu sync.Mutex
	feed   []numberedRow
	last   int64 // the last row that was put into feed
	wake   chan struct{}

	mu       sync.RWMutex
	chunks   []*chunk
	sets     labelSets
	rules    numbering[ruleKey]
	targets  numbering[target]
	floor    EntryID // what is older is deleted
	taken    int64   // the last row that was taken in
	progress chan struct{}
	problem  error
}

// ruleKey tells rules apart.
type ruleKey struct{ file, group, rule string }

// target is where a delivery goes.
type target struct {
	receiver, integration string
	index                 int
}

// numbering numbers things of which there are few, such as rules and targets. Numbers stay.
type numbering[K comparable] struct {
	ids  map[K]uint32
	keys []K
}

func (t *numbering[K]) id(k K) uint32 {
	id, ok := t.ids[k]
	if !ok {
		if t.ids == nil {
			t.ids = map[K]uint32{}
		}
		id = uint32(len(t.keys))
		t.ids[k] = id
		t.keys = append(t.keys, k)
	}
	return id
}

// newIndex returns an empty index that is to know all up to row last before it answers.
func newIndex(m *metrics, last int64) *index {
	return &index{
		metrics: m, last: last, taken: -1, done: make(chan struct{}), wake: make(chan struct{}, 1), progress: make(chan struct{}),
	}
}

// takeIn adds a row of the log. The caller holds mu.
func (x *index) takeIn(seq int64, r *row) {
	for i := range r.entries {
		x.addEntry(makeID(seq, i), &r.entries[i])
	}
	for i := range r.deliveries {
		x.addDelivery(makeID(seq, i), &r.deliveries[i])
	}
}

func (x *index) addEntry(id EntryID, t *Entry) {
	if len(x.chunks) == 0 || x.chunks[len(x.chunks)-1].full() {
		x.chunks = append(x.chunks, newChunk())
	}
	set := x.sets.acquire(t.Labels)
	rule := x.rules.id(ruleKey{t.File, t.Group, t.Rule})
	what := changeOf(&t.Transition)
	x.chunks[len(x.chunks)-1].append(id, t.At.UnixNano(), set, rule, what)
	switch {
	case what.tells(false):
		x.sets.sets[set].fired = id
	case what.tells(true):
		x.sets.sets[set].ended = id
	}
}

func (x *index) addDelivery(id EntryID, d *storedDelivery) {
	target := x.targets.id(target{d.Receiver, d.Integration, d.Index})
	link := func(of EntryID) {
		if c, i, ok := x.locate(of); ok {
			c.link(i, id, target, d.Outcome == Delivered)
		}
	}
	for _, of := range d.refs {
		link(of)
	}
	for _, a := range d.Alerts {
		if of := x.transitionOf(a, d.asOf); of != 0 {
			link(of)
		}
	}
}

// transitionOf returns the newest transition up to row asOf that a tells of, 0 if there is none. The caller holds mu.
func (x *index) transitionOf(a DeliveredAlert, asOf int64) EntryID {
	set, ok := x.sets.find(a.Labels, a.Labels.Hash())
	if !ok {
		return 0
	}
	newest := x.sets.sets[set].fired
	if a.Resolved {
		newest = x.sets.sets[set].ended
	}
	if newest.seq() <= asOf {
		return newest
	}
	return x.earlier(set, a.Resolved, asOf)
}

// maxSteps bounds how far back a delivery's transition is looked for: what was recorded in the moment that it waited.
const maxSteps = 4 * chunkEntries

// earlier walks back to the newest transition up to row asOf that is of a set and tells of an end, or of a beginning.
func (x *index) earlier(set uint32, resolved bool, asOf int64) EntryID {
	steps := 0
	for _, c := range slices.Backward(x.chunks) {
		for i := c.n - 1; i >= 0; i-- {
			if steps++; steps > maxSteps {
				return 0
			}
			if c.set[i] == set && c.changes[i].tells(resolved) && c.ids[i].seq() <= asOf {
				return c.ids[i]
			}
		}
	}
	return 0
}

// resolve returns the last row that is on disk, the transitions that alerts tell of, and the alerts for which that is
// not known yet. While the index is behind, it is known of none: they are resolved when the delivery is taken in.
func (x *index) resolve(alerts []DeliveredAlert) (asOf int64, refs []EntryID, rest []DeliveredAlert) {
	asOf = x.published()
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.taken < asOf {
		return asOf, nil, slices.Clone(alerts)
	}
	for _, a := range alerts {
		if of := x.transitionOf(a, asOf); of != 0 {
			refs = append(refs, of)
		} else {
			rest = append(rest, a)
		}
	}
	return asOf, refs, rest
}

// locate finds a transition. The caller holds mu.
func (x *index) locate(id EntryID) (*chunk, int, bool) {
	if id < x.floor {
		return nil, 0, false
	}
	at := sort.Search(len(x.chunks), func(i int) bool { c := x.chunks[i]; return c.ids[c.n-1] >= id })
	if at == len(x.chunks) {
		return nil, 0, false
	}
	c := x.chunks[at]
	i := sort.Search(c.n, func(i int) bool { return c.ids[i] >= id })
	return c, i, c.ids[i] == id
}

// trim forgets the transitions of rows up to seq and returns how many there were.
func (x *index) trim(seq int64) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	floor := makeID(seq+1, 0)
	gone := 0
	for _, c := range x.chunks {
		from := sort.Search(c.n, func(i int) bool { return c.ids[i] >= x.floor })
		to := sort.Search(c.n, func(i int) bool { return c.ids[i] >= floor })
		gone += max(to-from, 0)
		if to < c.n {
			break
		}
	}
	x.floor = max(x.floor, floor)
	whole := 0
	for whole < len(x.chunks) && x.chunks[whole].full() && x.chunks[whole].ids[chunkEntries-1] < floor {
		for _, set := range x.chunks[whole].set {
			x.sets.release(set)
		}
		whole++
	}
	if whole > 0 {
		x.chunks = append([]*chunk(nil), x.chunks[whole:]...)
	}
	x.count()
	return gone
}

// count says how many transitions there are. The caller holds mu.
func (x *index) count() {
	n := 0
	for i, c := range x.chunks {
		n += c.n
		if i == 0 {
			n -= sort.Search(c.n, func(i int) bool { return c.ids[i] >= x.floor })
		}
	}
	x.metrics.indexed.Set(float64(n))
}
