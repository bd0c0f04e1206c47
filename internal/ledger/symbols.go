package ledger

import "strings"

// symbols numbers strings that are in use. A number is given anew when nobody uses its string any more.
type symbols struct {
	ids  map[string]uint32
	text []string
	refs []uint32
	free []uint32
}

// acquire returns the number of s and counts one more use of it.
func (t *symbols) acquire(s string) uint32 {
	if id, ok := t.ids[s]; ok {
		t.refs[id]++
		return id
	}
	s = strings.Clone(s) // Not to keep what it is a part of.
	id := uint32(len(t.text))
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
		t.text[id], t.refs[id] = s, 1
	} else {
		t.text, t.refs = append(t.text, s), append(t.refs, 1)
	}
	if t.ids == nil {
		t.ids = map[string]uint32{}
	}
	t.ids[s] = id
	return id
}

func (t *symbols) release(id uint32) {
	if t.refs[id]--; t.refs[id] > 0 {
		return
	}
	delete(t.ids, t.text[id])
	t.text[id] = ""
	t.free = append(t.free, id)
}
