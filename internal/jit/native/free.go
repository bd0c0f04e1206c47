//go:build linux && (amd64 || arm64)

package native

import "slices"

// span is a run of free bytes.
type span struct{ at, size int }

// freeList is the room of a segment that nothing occupies: spans in order of place, none next to another.
type freeList struct {
	spans []span
	// most is at least the size of the largest span, so that most searches of full segments end before they begin.
	most int
}

func newFreeList(size int) freeList { return freeList{spans: []span{{0, size}}, most: size} }

// take returns the place of so many bytes, which are free no more: the first that are large enough.
func (l *freeList) take(size int) (int, bool) {
	if size > l.most {
		return 0, false
	}
	most := 0
	for i := range l.spans {
		s := &l.spans[i]
		if s.size < size {
			most = max(most, s.size)
			continue
		}
		at := s.at
		s.at += size
		s.size -= size
		if s.size == 0 {
			l.spans = slices.Delete(l.spans, i, i+1)
		}
		return at, true
	}
	l.most = most
	return 0, false
}

// put makes the bytes free, as one span with those next to them.
func (l *freeList) put(at, size int) {
	i, taken := slices.BinarySearchFunc(l.spans, at, func(s span, at int) int { return s.at - at })
	if taken || i > 0 && l.spans[i-1].at+l.spans[i-1].size > at || i < len(l.spans) && at+size > l.spans[i].at {
		panic("BUG: code memory was freed twice")
	}
	before := i > 0 && l.spans[i-1].at+l.spans[i-1].size == at
	after := i < len(l.spans) && at+size == l.spans[i].at
	switch {
	case before && after:
		size += l.spans[i].size
		l.spans = slices.Delete(l.spans, i, i+1)
		fallthrough
	case before:
		i--
		l.spans[i].size += size
	case after:
		l.spans[i] = span{at, size + l.spans[i].size}
	default:
		l.spans = slices.Insert(l.spans, i, span{at, size})
	}
	l.most = max(l.most, l.spans[i].size)
}
