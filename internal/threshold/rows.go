package threshold

import "github.com/tocsin/tocsin/internal/column"

const (
	// chunkRows is how many lines' bitmaps are allocated together, once there are as many.
	chunkRows = 64
	// cacheLine is how many words lie together in a processor's caches.
	cacheLine = 8
)

// rows are where lines' bitmaps stand. A word of many lines is written at about the same time; rows lie an odd number of
// cache lines apart, so that those words do not contend for the same few places in the caches.
type rows struct {
	words  int // that OK has room for
	stride int // words from row to row
	free   [][]uint64
	total  int // rows allocated
	lent   int
}

// reset makes room for rows of so many words of OK each. Rows that were lent before are not of this memory.
func (r *rows) reset(words int) {
	stride := (words+column.Words(words)+cacheLine-1)/cacheLine | 1
	*r = rows{words: words, stride: stride * cacheLine}
}

// allocate makes so many rows.
func (r *rows) allocate(n int) {
	r.total += n
	for n > 0 {
		together := min(n, chunkRows)
		chunk := make([]uint64, together*r.stride)
		for i := range together {
			r.free = append(r.free, chunk[i*r.stride:(i+1)*r.stride])
		}
		n -= together
	}
}

// lend gives l a row of zeros, of which it uses so many words.
func (r *rows) lend(l *Line, words int) {
	if len(r.free) == 0 {
		r.allocate(min(max(r.total, 1), chunkRows))
	}
	last := len(r.free) - 1
	l.row, r.free = r.free[last], r.free[:last]
	r.lent++
	r.stretch(l, words)
}

// stretch lets l use so many words of its row.
func (r *rows) stretch(l *Line, words int) {
	l.OK = l.row[:words:r.words]
	l.Words = l.row[r.words : r.words+column.Words(words)]
}

// giveBack takes l's row back.
func (r *rows) giveBack(l *Line) {
	clear(l.row)
	r.free = append(r.free, l.row)
	r.lent--
	l.row, l.OK, l.Words = nil, nil, nil
}

// wasteful reports whether most rows are free.
func (r *rows) wasteful() bool { return len(r.free) > 2*chunkRows && len(r.free) > 2*r.lent }

// move gives all lines rows of new memory, with the content of the old ones.
func (r *rows) move(lines []*Line, capacity, words int) {
	r.reset(capacity)
	r.allocate(len(lines))
	for _, l := range lines {
		ok, summary := l.OK, l.Words
		r.lend(l, words)
		copy(l.OK, ok)
		copy(l.Words, summary)
	}
}

// bytes returns what the rows occupy.
func (r *rows) bytes() int { return 8*r.total*r.stride + 24*cap(r.free) }
