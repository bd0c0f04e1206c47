// Package wheel is a hierarchical timing wheel: many deadlines, each to the millisecond, at constant cost each.
//
// It follows Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7, with the levels cut by the bits
// of the time itself: a deadline stands on the level of the highest digit (base 512) in which it differs from the wheel's
// own time. So all that is on a level is due before all that is on the next one, whatever the distance, and nothing needs
// an overflow list. It must not know clocks or what its ids mean. It is not safe for concurrent use.
package wheel

import "math/bits"

const (
	digit  = 9
	slots  = 1 << digit
	levels = 8 // ⌈64/9⌉: every int64 has its place
	due    = levels * slots
	firing = due + 1
	first  = due + 2 // the node of id 0; those before are the lists' heads
	none   = ^uint32(0)
)

// node is a place in a circular list; a list's head is a node, too.
type node struct{ next, prev uint32 }

// Wheel schedules ids, small integers, at times in Unix milliseconds. Memory is 16 bytes for each id up to the highest
// one that was ever scheduled, and 32 KiB, without pointers in it.
type Wheel struct {
	now   int64
	count int
	// used has a bit a slot that is not empty.
	used [levels][slots / 64]uint64
	// nodes are the heads of the slots level by level, the head of what is due already, the head of those
	// of them that fire, and then the ids.
	nodes []node
	at    []int64 // by id
}

// New returns an empty wheel whose time is now.
func New(now int64) *Wheel {
	w := &Wheel{now: now, nodes: make([]node, first)}
	for i := range w.nodes {
		w.nodes[i] = node{uint32(i), uint32(i)}
	}
	return w
}

// Now returns the wheel's time: the latest that Advance was called with, or New.
func (w *Wheel) Now() int64 { return w.now }

// Len returns how many ids are scheduled.
func (w *Wheel) Len() int { return w.count }

// Bytes returns what the wheel occupies.
func (w *Wheel) Bytes() int { return 8*cap(w.nodes) + 8*cap(w.at) + levels*slots/8 }

// Schedule makes id due at the given time, in place of an earlier schedule of it. What is not after the wheel's time is
// due at the wheel's time and fires at the next Advance, not at one that is under way.
func (w *Wheel) Schedule(id uint32, at int64) {
	w.grow(id)
	w.Cancel(id)
	w.count++
	if at <= w.now {
		w.at[id] = w.now
		w.push(due, first+id)
		return
	}
	w.at[id] = at
	w.place(id, at)
}

// Cancel takes id's schedule away, if there is one.
func (w *Wheel) Cancel(id uint32) {
	if w.Scheduled(id) {
		w.unlink(first + id)
		w.count--
	}
}

// Scheduled reports whether id is scheduled.
func (w *Wheel) Scheduled(id uint32) bool {
	return int(id) < len(w.at) && w.nodes[first+id].next != none
}

// Due returns when id is due, or was when it fired. It must have been scheduled once.
func (w *Wheel) Due(id uint32) int64 { return w.at[id] }

// Next returns a time before which nothing is due: the time itself of what is due first where that is less than 512 ms
// away, otherwise not later than that; false where nothing is scheduled. Advancing to it brings one nearer: after at most
// seven of them it is exact.
func (w *Wheel) Next() (int64, bool) {
	if w.nodes[due].next != due {
		return w.now, true
	}
	_, _, start, ok := w.earliest()
	return start, ok
}

// Advance moves the wheel's time to now and calls fire for each id that is due, in the order of their times; those of the
// same time come in any order. fire may schedule and cancel, also the id that fires. Time does not run backwards: a now
// before the wheel's fires only what was due already.
func (w *Wheel) Advance(now int64, fire func(id uint32)) {
	w.fireDue(fire)
	for {
		level, slot, start, ok := w.earliest()
		if !ok || start > now {
			break
		}
		w.now = start
		head := uint32(level*slots + slot)
		for w.nodes[head].next != head {
			n := w.nodes[head].next
			w.unlink(n)
			id := n - first
			if level > 0 {
				w.place(id, w.at[id])
				continue
			}
			w.count--
			fire(id)
		}
	}
	w.now = max(w.now, now)
}

// fireDue fires what was due when it was scheduled, but not what fire adds to that.
func (w *Wheel) fireDue(fire func(id uint32)) {
	if w.nodes[due].next == due {
		return
	}
	old := w.nodes[due]
	w.nodes[firing] = old
	w.nodes[old.next].prev = firing
	w.nodes[old.prev].next = firing
	w.nodes[due] = node{due, due}
	for w.nodes[firing].next != firing {
		n := w.nodes[firing].next
		w.unlink(n)
		w.count--
		fire(n - first)
	}
}

// earliest returns the first slot that is not empty, with the time at which it starts. On level 0 that is the time at
// which all in it are due.
func (w *Wheel) earliest() (level, slot int, start int64, ok bool) {
	for level := range levels {
		for i, word := range w.used[level] {
			if word == 0 {
				continue
			}
			slot := i*64 + bits.TrailingZeros64(word)
			shift := level * digit
			// Shifts by 64 and more leave nothing, as they should on the highest level.
			k := key(w.now)>>(shift+digit)<<(shift+digit) | uint64(slot)<<shift
			return level, slot, int64(k ^ 1<<63), true
		}
	}
	return 0, 0, 0, false
}

// place puts id into the slot of at, which must not be before the wheel's time.
func (w *Wheel) place(id uint32, at int64) {
	k := key(at)
	level := (bits.Len64(k^key(w.now)|1) - 1) / digit
	slot := int(k >> (level * digit) & (slots - 1))
	w.used[level][slot/64] |= 1 << (slot % 64)
	w.push(uint32(level*slots+slot), first+id)
}

func (w *Wheel) push(head, n uint32) {
	last := w.nodes[head].prev
	w.nodes[n] = node{next: head, prev: last}
	w.nodes[last].next = n
	w.nodes[head].prev = n
}

func (w *Wheel) unlink(n uint32) {
	next, prev := w.nodes[n].next, w.nodes[n].prev
	w.nodes[prev].next = next
	w.nodes[next].prev = prev
	w.nodes[n].next = none
	if next == prev && next < due { // Its head alone is left.
		w.used[next/slots][next%slots/64] &^= 1 << (next % 64)
	}
}

func (w *Wheel) grow(id uint32) {
	for uint32(len(w.at)) <= id {
		w.at = append(w.at, 0)
		w.nodes = append(w.nodes, node{none, none})
	}
}

// key maps times to unsigned numbers in the same order.
func key(t int64) uint64 { return uint64(t) ^ 1<<63 }
