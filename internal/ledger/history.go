package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Recorded is a transition as History returns it.
type Recorded struct {
	ID EntryID
	Entry
	// Deliveries are the attempts to tell of it, oldest first: at most 16, and beyond them the first to each integration
	// and the first that was delivered there.
	Deliveries []Delivery
}

// Page is part of an answer.
type Page struct {
	Entries []Recorded
	// Next is the token of the following page; empty where this is the last.
	Next string
}

// History returns a page of the transitions that q asks for, all included that were recorded before the call. Right
// after Open it waits until the ledger has been read, about a second for a million transitions.
func (l *Ledger) History(ctx context.Context, q Query) (Page, error) {
	after, err := q.normal()
	if err != nil {
		return Page{}, err
	}
	return l.page(ctx, &q, after)
}

// page is History of a query that was checked.
func (l *Ledger) page(ctx context.Context, q *Query, after EntryID) (Page, error) {
	if err := l.index.await(ctx); err != nil {
		return Page{}, err
	}
	hits := l.index.find(q, after, q.Limit+1) // One more, to know whether there is another page.
	var p Page
	if len(hits) > q.Limit {
		hits = hits[:q.Limit]
		p.Next = makeToken(hits[q.Limit-1].id)
	}
	f := fetcher{reader: l.db.reader, rows: map[int64]*row{}}
	p.Entries = make([]Recorded, 0, len(hits))
	for _, h := range hits {
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		r, ok, err := f.recorded(h)
		if err != nil {
			l.metrics.errors.WithLabelValues(doingRead).Inc()
			return Page{}, explain("reading", l.db.path, err)
		}
		if ok {
			p.Entries = append(p.Entries, r)
		}
	}
	return p, nil
}

// fetcher reads rows of the log, each once.
type fetcher struct {
	reader *sql.DB
	rows   map[int64]*row // nil values are rows that are deleted
}

// row returns a row of the log, nil where retention deleted it.
func (f *fetcher) row(seq int64) (*row, error) {
	if r, ok := f.rows[seq]; ok {
		return r, nil
	}
	var data []byte
	err := f.reader.QueryRow("SELECT data FROM log WHERE seq=?", seq).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		f.rows[seq] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := decodeRow(data)
	if err != nil {
		return nil, fmt.Errorf("row %d of the log: %w", seq, err)
	}
	f.rows[seq] = r
	return r, nil
}

// recorded reads a transition and its deliveries. ok is false where retention was quicker.
func (f *fetcher) recorded(h hit) (r Recorded, ok bool, err error) {
	at, err := f.row(h.id.seq())
	if err != nil || at == nil {
		return Recorded{}, false, err
	}
	if h.id.place() >= len(at.entries) {
		return Recorded{}, false, fmt.Errorf("%w: row %d of the log has no entry %d", ErrDamaged, h.id.seq(), h.id.place())
	}
	r = Recorded{ID: h.id, Entry: at.entries[h.id.place()]}
	for _, id := range h.deliveries {
		from, err := f.row(id.seq())
		if err != nil {
			return Recorded{}, false, err
		}
		if from == nil || id.place() >= len(from.deliveries) {
			continue
		}
		d := from.deliveries[id.place()].Delivery
		d.ID, d.Alerts = id, nil
		r.Deliveries = append(r.Deliveries, d)
	}
	return r, true, nil
}
