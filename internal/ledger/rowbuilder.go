package ledger

import "time"

// maxRowBytes is where a row is closed even if it has room for more entries.
const maxRowBytes = 256 << 10

// numberedRow is a row with its place in the log and its bytes.
type numberedRow struct {
	*row
	seq  int64
	data []byte
}

// history reports whether the row is for the log; else it is for the changes.
func (r *row) history() bool { return len(r.entries) > 0 || len(r.deliveries) > 0 }

// newest returns the newest time in the row, in milliseconds.
func (r *row) newest() int64 {
	var t time.Time
	for i := range r.entries {
		if at := r.entries[i].At; at.After(t) {
			t = at
		}
	}
	for i := range r.deliveries {
		if at := r.deliveries[i].At; at.After(t) {
			t = at
		}
	}
	return t.UnixMilli()
}

// rowBuilder packs what a commit brings into rows.
type rowBuilder struct {
	rows  []*row
	open  *row // takes transitions and changes; nil if there is none
	bytes int64
}

// add packs one Record. Within a row what changed counts before what is gone, so that a row that has something gone takes
// no other Record's changes.
func (b *rowBuilder) add(v *batch) {
	if b.open != nil && len(b.open.gone) > 0 {
		b.open = nil
	}
	for i := range v.entries {
		r := b.room(v.entries[i].size(), func(r *row) int { return len(r.entries) })
		r.entries = append(r.entries, v.entries[i])
	}
	for i := range v.changed {
		r := b.room(v.changed[i].size(), func(r *row) int { return len(r.changed) })
		r.changed = append(r.changed, v.changed[i])
	}
	for i := range v.gone {
		r := b.room(v.gone[i].size(), func(r *row) int { return len(r.gone) })
		r.gone = append(r.gone, v.gone[i])
	}
}

// room returns a row that can take one more thing of a kind.
func (b *rowBuilder) room(bytes int64, used func(*row) int) *row {
	if b.open == nil || used(b.open) == rowEntries || b.bytes+bytes > maxRowBytes {
		b.open, b.bytes = &row{}, 0
		b.rows = append(b.rows, b.open)
	}
	b.bytes += bytes
	return b.open
}

func (b *rowBuilder) addDeliveries(ds []storedDelivery) {
	for len(ds) > 0 {
		n, bytes := 0, int64(0)
		for n < min(len(ds), rowEntries) && (n == 0 || bytes+ds[n].size() <= maxRowBytes) {
			bytes += ds[n].size()
			n++
		}
		b.rows = append(b.rows, &row{deliveries: ds[:n:n]})
		ds = ds[n:]
	}
}

// number encodes the rows and numbers them from seq.
func (b *rowBuilder) number(seq int64) []numberedRow {
	out := make([]numberedRow, len(b.rows))
	e := newEncoder()
	for i, r := range b.rows {
		out[i] = numberedRow{row: r, seq: seq + int64(i), data: sealRow(e.encode(r))}
	}
	return out
}
