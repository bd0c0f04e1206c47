package ledger

import "github.com/prometheus/prometheus/model/labels"

// labelSets numbers the label sets of transitions. A set is kept as the numbers of its names and values, so that a
// matcher is tried once for each value and not for each set.
type labelSets struct {
	symbols symbols
	sets    []labelSet
	heads   map[uint64]uint32 // hash → first set, plus one; the rest follows next
	free    []uint32
}

type labelSet struct {
	pairs []uint32 // name, value, name, value, … in the order of the labels
	hash  uint64
	next  uint32 // set with the same hash, plus one; 0 ends the chain
	refs  uint32
	// The newest transitions to firing and from firing to inactive, 0 if there is none: what deliveries tell of.
	fired, ended EntryID
}

// find returns the number of ls.
func (t *labelSets) find(ls labels.Labels, hash uint64) (uint32, bool) {
	for at := t.heads[hash]; at != 0; at = t.sets[at-1].next {
		if t.equal(&t.sets[at-1], ls) {
			return at - 1, true
		}
	}
	return 0, false
}

func (t *labelSets) equal(s *labelSet, ls labels.Labels) bool {
	if 2*ls.Len() != len(s.pairs) {
		return false
	}
	i, same := 0, true
	ls.Range(func(l labels.Label) {
		same = same && t.symbols.text[s.pairs[i]] == l.Name && t.symbols.text[s.pairs[i+1]] == l.Value
		i += 2
	})
	return same
}

// acquire returns the number of ls and counts one more use of it.
func (t *labelSets) acquire(ls labels.Labels) uint32 {
	hash := ls.Hash()
	if id, ok := t.find(ls, hash); ok {
		t.sets[id].refs++
		return id
	}
	s := labelSet{pairs: make([]uint32, 0, 2*ls.Len()), hash: hash, next: t.heads[hash], refs: 1}
	ls.Range(func(l labels.Label) {
		s.pairs = append(s.pairs, t.symbols.acquire(l.Name), t.symbols.acquire(l.Value))
	})
	id := uint32(len(t.sets))
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
		t.sets[id] = s
	} else {
		t.sets = append(t.sets, s)
	}
	if t.heads == nil {
		t.heads = map[uint64]uint32{}
	}
	t.heads[hash] = id + 1
	return id
}

func (t *labelSets) release(id uint32) {
	s := &t.sets[id]
	if s.refs--; s.refs > 0 {
		return
	}
	for _, symbol := range s.pairs {
		t.symbols.release(symbol)
	}
	if t.heads[s.hash] == id+1 {
		if s.next == 0 {
			delete(t.heads, s.hash)
		} else {
			t.heads[s.hash] = s.next
		}
	} else {
		at := t.heads[s.hash] - 1
		for t.sets[at].next != id+1 {
			at = t.sets[at].next - 1
		}
		t.sets[at].next = s.next
	}
	*s = labelSet{}
	t.free = append(t.free, id)
}
