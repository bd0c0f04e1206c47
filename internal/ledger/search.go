package ledger

import (
	"math"
	"time"
)

// hit is a transition that a search found, with the deliveries that told of it, oldest first.
type hit struct {
	id         EntryID
	deliveries []EntryID
}

// search is a Query made ready for the columns: what is wanted of rules, targets and label sets is known by number.
type search struct {
	since, until int64
	states       uint8  // a bit for each wanted state; all where none is named
	rules        []bool // nil is all
	targets      []bool // nil is all
	sets         []bool // nil is all
}

// prepare readies q. It reports false when nothing can be found. The caller holds the lock.
func (x *index) prepare(q *Query) (*search, bool) {
	s := &search{since: math.MinInt64, until: math.MaxInt64, states: math.MaxUint8}
	if !q.Since.IsZero() {
		s.since = clampNanos(q.Since)
	}
	if !q.Until.IsZero() {
		s.until = clampNanos(q.Until)
	}
	if len(q.States) > 0 {
		s.states = 0
		for _, state := range q.States {
			s.states |= 1 << state
		}
	}
	some := true
	if q.File != "" || q.Group != "" || q.Rule != "" {
		s.rules, some = choose(x.rules.keys, func(k ruleKey) bool {
			return (q.File == "" || q.File == k.file) && (q.Group == "" || q.Group == k.group) && (q.Rule == "" || q.Rule == k.rule)
		})
	}
	if some && q.Receiver != "" {
		s.targets, some = choose(x.targets.keys, func(t target) bool { return t.receiver == q.Receiver })
	}
	if some && len(q.Matchers) > 0 {
		s.sets, some = x.sets.match(q.Matchers)
	}
	return s, some
}

// clampNanos returns t in nanoseconds, the nearest possible where it is out of their range.
func clampNanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// choose returns which keys are wanted, and whether any is.
func choose[K any](keys []K, wanted func(K) bool) (chosen []bool, some bool) {
	chosen = make([]bool, len(keys))
	for i, k := range keys {
		chosen[i] = wanted(k)
		some = some || chosen[i]
	}
	return chosen, some
}

// find returns up to limit transitions after the given one, newest first or oldest first.
func (x *index) find(q *Query, after EntryID, limit int) []hit {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s, ok := x.prepare(q)
	if !ok {
		return nil
	}
	var hits []hit
	for k := range x.chunks {
		if !q.OldestFirst {
			k = len(x.chunks) - 1 - k
		}
		c := x.chunks[k]
		if c.youngest < s.since || c.oldest > s.until || !c.reaches(after, q.OldestFirst) {
			continue
		}
		for i := range c.n {
			if !q.OldestFirst {
				i = c.n - 1 - i
			}
			if !s.holds(c, i) || !follows(c.ids[i], after, q.OldestFirst) || c.ids[i] < x.floor {
				continue
			}
			hits = append(hits, hit{c.ids[i], c.deliveries(i)})
			if len(hits) == limit {
				return hits
			}
		}
	}
	return hits
}

// reaches reports whether any of c follows after.
func (c *chunk) reaches(after EntryID, oldestFirst bool) bool {
	return follows(c.ids[0], after, oldestFirst) || follows(c.ids[c.n-1], after, oldestFirst)
}

func follows(id, after EntryID, oldestFirst bool) bool {
	return after == 0 || id > after && oldestFirst || id < after && !oldestFirst
}

// holds reports whether transition i of c is wanted: what most likely says no is asked first.
func (s *search) holds(c *chunk, i int) bool {
	return (s.sets == nil || s.sets[c.set[i]]) &&
		(s.rules == nil || s.rules[c.rule[i]]) &&
		s.states>>c.changes[i].to()&1 != 0 &&
		c.at[i] >= s.since && c.at[i] <= s.until &&
		(s.targets == nil || s.told(c, i))
}

func (s *search) told(c *chunk, i int) bool {
	for at := c.told[i]; at != 0; at = c.links[at-1].next {
		if s.targets[c.links[at-1].target] {
			return true
		}
	}
	return false
}

// deliveries returns those that told of transition i, oldest first.
func (c *chunk) deliveries(i int) []EntryID {
	var ids []EntryID
	for at := c.told[i]; at != 0; at = c.links[at-1].next {
		ids = append(ids, c.links[at-1].delivery)
	}
	for a, b := 0, len(ids)-1; a < b; a, b = a+1, b-1 {
		ids[a], ids[b] = ids[b], ids[a]
	}
	return ids
}
