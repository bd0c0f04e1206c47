package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
)

// uniqueness watches a vector whose labels may come out equal in two lanes. PromQL fails where two such elements have
// values at the same time. It costs nothing at an evaluation while no two lanes in use have equal labels.
type uniqueness struct {
	cursor column.Cursor
	// hashes are the labels' by lane, 0 for lanes that are not in use; holders counts the lanes by hash; shared is how
	// many hashes have more than one. A collision of hashes costs a needless bail and nothing else.
	hashes  []uint64
	holders map[uint64]uint32
	shared  int
	seen    map[uint64]struct{}
}

func newUniqueness() *uniqueness {
	return &uniqueness{holders: map[uint64]uint32{}, seen: map[uint64]struct{}{}}
}

// check returns errDuplicate if two lanes with values have equal labels.
func (u *uniqueness) check(out *output) error {
	if out.lanes.Changed(u.cursor) {
		u.follow(out)
	}
	if u.shared == 0 {
		return nil
	}
	clear(u.seen)
	for w, ok := range out.column.OK {
		for ; ok != 0; ok &= ok - 1 {
			h := u.hashes[w*column.WordLanes+bits.TrailingZeros64(ok)]
			if u.holders[h] < 2 {
				continue
			}
			if _, twice := u.seen[h]; twice {
				return errDuplicate
			}
			u.seen[h] = struct{}{}
		}
	}
	return nil
}

func (u *uniqueness) follow(out *output) {
	u.hashes = column.GrowSlice(u.hashes, column.Words(out.lanes.Len())*column.WordLanes)
	out.lanes.Follow(&u.cursor, func(lane uint32, live bool) {
		if h := u.hashes[lane]; h != 0 {
			u.release(h)
		}
		u.hashes[lane] = 0
		if live {
			h := out.labels(lane).Hash() | 1 // never 0
			u.hashes[lane] = h
			if u.holders[h]++; u.holders[h] == 2 {
				u.shared++
			}
		}
	})
}

func (u *uniqueness) release(h uint64) {
	switch u.holders[h]--; u.holders[h] {
	case 0:
		delete(u.holders, h)
	case 1:
		u.shared--
	}
}

// bytes estimates what it occupies.
func (u *uniqueness) bytes() int { return 8*cap(u.hashes) + 40*len(u.holders) }
