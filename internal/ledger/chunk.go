package ledger

import (
	"math"

	"github.com/tocsin/tocsin/internal/alert"
)

// chunkEntries is how many transitions a chunk of the index holds; chunks come and go as wholes.
const chunkEntries = 4096

// chunk is what queries must know of some transitions in a row, as columns, oldest first.
type chunk struct {
	n                int
	oldest, youngest int64 // over at
	ids              [chunkEntries]EntryID
	at               [chunkEntries]int64  // Unix nanoseconds
	set, rule        [chunkEntries]uint32 // numbers of label set and rule
	changes          [chunkEntries]change
	told             [chunkEntries]uint32 // the newest link, plus one; 0 if there is none
	links            []link
}

// link says that a delivery told of a transition.
type link struct {
	delivery  EntryID
	next      uint32 // the link before, plus one
	target    uint32
	delivered bool
}

// maxLinks is how many attempts to deliver a transition leads to. Beyond it only the first of each target, and the first
// that was delivered, still count: an outage of days must not fill the memory.
const maxLinks = 16

// change is a transition's From and To in a byte.
type change uint8

func changeOf(t *alert.Transition) change { return change(t.From)<<4 | change(t.To) }

func (c change) to() alert.State { return alert.State(c & 15) }

// tells reports whether a delivery that tells of an end, or of a beginning, may be of c.
func (c change) tells(resolved bool) bool {
	if resolved {
		return c == change(alert.Firing)<<4|change(alert.Inactive)
	}
	return c.to() == alert.Firing
}

func newChunk() *chunk { return &chunk{oldest: math.MaxInt64, youngest: math.MinInt64} }

func (c *chunk) full() bool { return c.n == chunkEntries }

func (c *chunk) append(id EntryID, at int64, set, rule uint32, what change) {
	c.ids[c.n], c.at[c.n], c.set[c.n], c.rule[c.n], c.changes[c.n] = id, at, set, rule, what
	c.oldest, c.youngest = min(c.oldest, at), max(c.youngest, at)
	c.n++
}

// link notes that a delivery to a target told of transition i.
func (c *chunk) link(i int, delivery EntryID, target uint32, delivered bool) {
	count, attempted, reached := 0, false, false
	for at := c.told[i]; at != 0; at = c.links[at-1].next {
		l := &c.links[at-1]
		count++
		if l.target == target {
			attempted = true
			reached = reached || l.delivered
		}
	}
	if count >= maxLinks && attempted && (reached || !delivered) {
		return
	}
	c.links = append(c.links, link{delivery: delivery, next: c.told[i], target: target, delivered: delivered})
	c.told[i] = uint32(len(c.links))
}
