package column

// Lanes is who stands where: which lanes are in use, and a log of which changed hands. It says nothing of labels or
// values. One Lanes is shared by all nodes that keep its lanes; its one owner binds and releases, the others follow the
// log with a cursor each.
type Lanes struct {
	live Bitmap
	n    int
	free []uint32
	used int
	// log are the lanes that were bound or released, oldest first; base is the number of the first entry. It is
	// trimmed: who comes too late looks at all lanes.
	log  []uint32
	base uint64
}

// Cursor is a follower's place in the log. The zero value has seen nothing.
type Cursor uint64

// Len returns how many lanes there are or ever were at the same time: the length of columns.
func (l *Lanes) Len() int { return l.n }

// Used returns how many lanes are in use.
func (l *Lanes) Used() int { return l.used }

// Live says which lanes are in use. It is valid until the next change and must not be written to.
func (l *Lanes) Live() Bitmap { return l.live }

// Bind takes a lane into use, one that was released if there is one, and returns it.
func (l *Lanes) Bind() uint32 {
	var lane uint32
	if last := len(l.free) - 1; last >= 0 {
		lane, l.free = l.free[last], l.free[:last]
	} else {
		lane = uint32(l.n)
		l.n++
		l.live = l.live.Grow(l.n)
	}
	l.live.Set(lane)
	l.used++
	l.note(lane)
	return lane
}

// Release ends the use of a lane. The lane must be in use.
func (l *Lanes) Release(lane uint32) {
	if !l.live.Has(lane) {
		panic("BUG: a lane was released that is not in use")
	}
	l.live.Unset(lane)
	l.free = append(l.free, lane)
	l.used--
	l.note(lane)
}

func (l *Lanes) note(lane uint32) {
	if len(l.log) >= 2*l.n+1024 {
		half := len(l.log) / 2
		l.log = append(l.log[:0], l.log[half:]...)
		l.base += uint64(half)
	}
	l.log = append(l.log, lane)
}

// Changed reports whether anything was bound or released since c.
func (l *Lanes) Changed(c Cursor) bool { return uint64(c) != l.base+uint64(len(l.log)) }

// Follow calls visit for each lane that was bound or released since *c, and moves *c to now. A lane may be visited more
// than once, and one that did not change may be visited; whether it is in use now is what live says. visit must compare
// with what it knew, take back what the lane's former holder was counted for, and count the new one.
func (l *Lanes) Follow(c *Cursor, visit func(lane uint32, live bool)) {
	end := l.base + uint64(len(l.log))
	from := uint64(*c)
	*c = Cursor(end)
	if from == end {
		return
	}
	if from < l.base {
		for lane := range uint32(l.n) {
			visit(lane, l.live.Has(lane))
		}
		return
	}
	for _, lane := range l.log[from-l.base:] {
		visit(lane, l.live.Has(lane))
	}
}

// Bytes returns what the lanes' bookkeeping occupies.
func (l *Lanes) Bytes() int { return 8*cap(l.live) + 4*(cap(l.free)+cap(l.log)) }
