package engine

import "github.com/prometheus/prometheus/model/labels"

// seriesSet is a set of label sets. The zero value is empty.
type seriesSet struct {
	list []member
	// heads leads from a hash to a position in list, whose next leads to another of the same hash.
	heads map[uint64]int
}

type member struct {
	labels labels.Labels
	hash   uint64
	next   int // -1 ends the chain
}

func (s *seriesSet) has(hash uint64, ls labels.Labels) bool {
	at, ok := s.heads[hash]
	for ok && at >= 0 {
		if labels.Equal(s.list[at].labels, ls) {
			return true
		}
		at = s.list[at].next
	}
	return false
}

func (s *seriesSet) add(ls labels.Labels) {
	hash := ls.Hash()
	if s.has(hash, ls) {
		return
	}
	if s.heads == nil {
		s.heads = make(map[uint64]int)
	}
	next, ok := s.heads[hash]
	if !ok {
		next = -1
	}
	s.heads[hash] = len(s.list)
	s.list = append(s.list, member{labels: ls, hash: hash, next: next})
}
