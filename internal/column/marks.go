package column

// Marks are the words of a column that changed during a pass, each once, with what stood there before. The zero value is
// ready; memory is kept from pass to pass.
type Marks struct {
	seen  Bitmap // one bit a word of lanes
	words []uint32
	ok    []uint64 // what the bitmap's words were
	old   []Word   // empty where light
	light bool
}

// Word is 64 lanes of a column.
type Word struct {
	V  [WordLanes]float64
	OK uint64
}

// Lighten says, with true, that nobody asks for Old, which is most of what marks occupy. It is for times without marks.
func (m *Marks) Lighten(light bool) {
	m.light = light
	if light {
		m.old = nil
	}
}

// Light reports whether there is no Old.
func (m *Marks) Light() bool { return m.light }

// Add marks word w whose content is (or was, where the caller has overwritten it, given as) old. It reports whether the
// word was not marked before; the content of before the first mark is what counts.
func (m *Marks) Add(w uint32, v []float64, ok uint64) bool {
	m.seen = m.seen.Grow(int(w) + 1)
	if m.seen.Has(w) {
		return false
	}
	m.seen.Set(w)
	m.words = append(m.words, w)
	m.ok = append(m.ok, ok)
	if m.light {
		return true
	}
	if len(m.old) < cap(m.old) {
		m.old = m.old[:len(m.old)+1]
	} else {
		m.old = append(m.old, Word{})
	}
	o := &m.old[len(m.old)-1]
	o.OK = ok
	if ok != 0 {
		copy(o.V[:], v)
	}
	return true
}

// Touch marks word w without keeping what stood there: for those who mark what is to be looked at.
func (m *Marks) Touch(w uint32) bool { return m.Add(w, nil, 0) }

// Words returns the marked words in the order in which they were marked.
func (m *Marks) Words() []uint32 { return m.words }

// Old returns what stood in the i-th marked word. There is none where m is light.
func (m *Marks) Old(i int) *Word { return &m.old[i] }

// OldOK returns which lanes of the i-th marked word had a value.
func (m *Marks) OldOK(i int) uint64 { return m.ok[i] }

// Bytes returns what the marks occupy.
func (m *Marks) Bytes() int { return 8*(cap(m.seen)+cap(m.ok)) + 4*cap(m.words) + 520*cap(m.old) }

// Has reports whether word w is marked.
func (m *Marks) Has(w uint32) bool { return int(w/WordLanes) < len(m.seen) && m.seen.Has(w) }

// Any reports whether a word is marked.
func (m *Marks) Any() bool { return len(m.words) > 0 }

// Clear takes all marks away.
func (m *Marks) Clear() {
	for _, w := range m.words {
		m.seen.Unset(w)
	}
	m.words, m.ok, m.old = m.words[:0], m.ok[:0], m.old[:0]
}
