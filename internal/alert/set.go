package alert

import (
	"github.com/prometheus/prometheus/model/labels"
)

// Set is the alert instances of one rule: pending, firing, and for a while those that are resolved. Instances keep the
// order in which they were first seen. The zero value is an empty set.
//
// A Set is not safe for concurrent use. Its owner keeps two and lets Step write one from the other, so that readers may
// look at the one while the other is made, and neither allocates once both have grown.
type Set struct {
	instances []instance
	// heads leads from a label hash to the position of an instance, whose next leads to another of the same hash.
	heads map[uint64]int32
}

type instance struct {
	Alert
	hash uint64
	next int32 // position of another instance with this hash, or none
	// Scratch of Step: what the present input says of it; that it is to be forgotten. Both are zero between steps.
	now  evidence
	drop bool
	// out caches the label sets of the series that the instance is recorded as.
	out recorded
}

// none ends a chain of positions.
const none int32 = -1

// Len returns how many instances there are, the resolved ones included.
func (s *Set) Len() int { return len(s.instances) }

// At returns the i-th instance.
func (s *Set) At(i int) Alert { return s.instances[i].Alert }

// State returns the most urgent state of all instances.
func (s *Set) State() State {
	state := Inactive
	for i := range s.instances {
		state = max(state, s.instances[i].State)
	}
	return state
}

// AppendActive appends the instances that are pending or firing to dst.
func (s *Set) AppendActive(dst []Alert) []Alert {
	for i := range s.instances {
		if s.instances[i].ResolvedAt.IsZero() {
			dst = append(dst, s.instances[i].Alert)
		}
	}
	return dst
}

// CopyFrom makes s equal to other, in s's own memory.
func (s *Set) CopyFrom(other *Set) {
	s.Reset()
	for i := range other.instances {
		s.append(other.instances[i])
	}
}

// Reset empties s and keeps its memory.
func (s *Set) Reset() {
	clear(s.instances) // Let go of the labels.
	s.instances = s.instances[:0]
	clear(s.heads)
}

// find returns the position of the instance with these labels, or none.
func (s *Set) find(hash uint64, ls labels.Labels) int32 {
	at, ok := s.heads[hash]
	if !ok {
		return none
	}
	for at != none && !labels.Equal(s.instances[at].Labels, ls) {
		at = s.instances[at].next
	}
	return at
}

// append adds an instance whose labels are not in s yet and returns its position.
func (s *Set) append(in instance) int32 {
	if s.heads == nil {
		s.heads = make(map[uint64]int32)
	}
	in.next = none
	if head, ok := s.heads[in.hash]; ok {
		in.next = head
	}
	at := int32(len(s.instances))
	s.heads[in.hash] = at
	s.instances = append(s.instances, in)
	return at
}

// compact removes the instances that are to be forgotten and keeps the order of the others.
func (s *Set) compact() {
	kept := 0
	for i := range s.instances {
		if s.instances[i].drop {
			continue
		}
		s.instances[kept] = s.instances[i]
		kept++
	}
	if kept == len(s.instances) {
		return
	}
	all := s.instances
	clear(s.heads)
	s.instances = all[:0]
	for _, in := range all[:kept] {
		s.append(in) // Writes where it was read from.
	}
	clear(all[kept:])
}
