package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// loadRows is how many rows of the log are read at a time: no read stands in the way of the write-ahead log's end.
	loadRows = 512
	// loadRetry is how long the index waits after a failure to read.
	loadRetry = time.Second
)

// publish tells the index what was committed. It never waits for long.
func (x *index) publish(rows []numberedRow) {
	x.feedMu.Lock()
	x.feed = append(x.feed, rows...)
	x.last = rows[len(rows)-1].seq
	x.feedMu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// follow reads the rows of the log up to last, and then takes in what is published.
func (x *index) follow(ctx context.Context, reader *sql.DB, last int64, warn func(string, []error)) {
	defer close(x.done)
	damaged := x.load(ctx, reader, last)
	warn("History leaves out what cannot be read", damaged)
	for {
		x.feedMu.Lock()
		rows := x.feed
		x.feed = nil
		x.feedMu.Unlock()
		x.advance(func() int64 {
			for i := range rows {
				x.takeIn(rows[i].seq, rows[i].row)
				last = rows[i].seq
			}
			return last
		})
		select {
		case <-x.wake:
		case <-ctx.Done():
			return
		}
	}
}

// load reads what was in the log at the start, and returns what is damaged. What cannot be read for now is tried again.
func (x *index) load(ctx context.Context, reader *sql.DB, last int64) (damaged []error) {
	for from := int64(0); ctx.Err() == nil; {
		rows, bad, err := readRows(reader, from, last, loadRows)
		x.setProblem(err)
		if err != nil {
			x.metrics.errors.WithLabelValues(doingRead).Inc()
			select {
			case <-time.After(loadRetry):
			case <-ctx.Done():
			}
			continue
		}
		damaged = append(damaged, bad...)
		if len(rows) == 0 {
			return damaged
		}
		from = rows[len(rows)-1].seq
		x.mu.Lock()
		for i := range rows {
			if rows[i].row != nil {
				x.takeIn(rows[i].seq, rows[i].row)
			}
		}
		x.mu.Unlock()
	}
	return damaged
}

// readRows reads up to limit rows of the log after seq from, up to last. A row that is damaged has no content and is
// told of in damaged.
func readRows(reader *sql.DB, from, last int64, limit int) (out []numberedRow, damaged []error, err error) {
	rows, err := reader.Query("SELECT seq, data FROM log WHERE seq>? AND seq<=? ORDER BY seq LIMIT ?", from, last, limit)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var data sql.RawBytes
	for rows.Next() {
		var r numberedRow
		if err := rows.Scan(&r.seq, &data); err != nil {
			return nil, nil, err
		}
		if r.seq <= from || r.seq > last { // A damaged tree can lead round in circles.
			return nil, nil, fmt.Errorf("%w: row %d of the log stands after row %d", ErrDamaged, r.seq, from)
		}
		from = r.seq
		content, err := decodeRow(data)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("row %d of the log: %w", r.seq, err))
		}
		r.row = content
		out = append(out, r)
	}
	return out, damaged, rows.Err()
}

// advance changes the index and tells those who wait how far it is.
func (x *index) advance(change func() int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.taken = change()
	x.count()
	x.tell()
}

// published returns the last row that was committed.
func (x *index) published() int64 {
	x.feedMu.Lock()
	defer x.feedMu.Unlock()
	return x.last
}

// await waits until all that was committed before the call can be found.
func (x *index) await(ctx context.Context) error {
	last := x.published()
	for {
		x.mu.RLock()
		taken, progress, problem := x.taken, x.progress, x.problem
		x.mu.RUnlock()
		switch {
		case problem != nil:
			return problem
		case taken >= last:
			return nil
		}
		select {
		case <-progress:
		case <-x.done:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("ledger: waiting for the index, which is being read: %w", ctx.Err())
		}
	}
}

// ready reports whether what was in the log at the start has been read.
func (x *index) ready() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.taken >= 0
}

func (x *index) setProblem(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.problem = err; err != nil {
		x.tell()
	}
}

// tell wakes those who wait for the index. The caller holds mu.
func (x *index) tell() {
	close(x.progress)
	x.progress = make(chan struct{})
}

// trouble returns why the log cannot be read, nil if it can.
func (x *index) trouble() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.problem
}

func (x *index) close() {
	x.cancel()
	<-x.done
}
