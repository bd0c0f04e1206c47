package ledger

import "fmt"

// The reasons for which retention deletes.
const (
	deletedForAge  = "age"
	deletedForSize = "size"
)

const (
	// retainRows is how many rows of the log a step of retention deletes at most.
	retainRows = 64
	// vacuumPages is how many free pages a step gives back to the file system.
	vacuumPages = 64
)

// retain deletes the oldest history while it is too old or the file too large, and gives back free pages where there
// are many.
func (k *keeper) retain() error {
	o := &k.l.opts
	if o.Retention > 0 {
		cutoff := o.Now().Add(-o.Retention)
		err := k.steps(func(w *writer) (bool, error) { return k.deleteOldest(w, cutoff.UnixMilli(), deletedForAge) })
		if err != nil {
			return fmt.Errorf("deleting history that is too old: %w", err)
		}
		if err := k.deleteEnded(storeTime(cutoff)); err != nil {
			return fmt.Errorf("deleting old acknowledgements and dead letters: %w", err)
		}
	}
	if err := k.forgetTold(storeTime(o.Now())); err != nil {
		return fmt.Errorf("deleting what receivers were told long ago: %w", err)
	}
	if o.MaxBytes > 0 {
		const always = 1<<63 - 1
		err := k.steps(func(w *writer) (bool, error) {
			if over, err := oversize(w.db.write, o.MaxBytes); err != nil || !over {
				return false, err
			}
			return k.deleteOldest(w, always, deletedForSize)
		})
		if err != nil {
			return fmt.Errorf("deleting the oldest history, because the ledger is too large: %w", err)
		}
	}
	if err := k.steps(vacuum); err != nil {
		return fmt.Errorf("giving back free space: %w", err)
	}
	return nil
}

// oversize reports whether what is in use of the file is more than most bytes.
func oversize(s *session, most int64) (bool, error) {
	pages, free, err := usage(s)
	return (pages-free)*pageSize > most, err
}

func usage(s *session) (pages, free int64, err error) {
	if pages, err = s.number("PRAGMA page_count"); err != nil {
		return 0, 0, err
	}
	free, err = s.number("PRAGMA freelist_count")
	return pages, free, err
}

// deleteOldest deletes the oldest rows of the log up to the first that is not older than cutoff (milliseconds), some at
// a time, and reports whether there may be more. One row with a time from the future holds back those after it.
func (k *keeper) deleteOldest(w *writer, cutoff int64, reason string) (more bool, err error) {
	// A row must not go before the table of instances has what it says; the flush is not far behind.
	const query = `SELECT ifnull(max(seq), 0), count(*) FROM (SELECT seq, at FROM log WHERE seq<=?1 ORDER BY seq LIMIT ?2) AS oldest
		WHERE seq < ifnull((SELECT min(seq) FROM (SELECT seq, at FROM log WHERE seq<=?1 ORDER BY seq LIMIT ?2) WHERE at>=?3), seq+1)`
	s, err := w.db.write.stmt(query)
	if err != nil {
		return false, err
	}
	var last, n int64
	if err := s.QueryRow(w.states.applied, retainRows, cutoff).Scan(&last, &n); err != nil || n == 0 {
		return false, err
	}
	if _, err := deleteSome(w.db.write, "DELETE FROM log WHERE seq<=?", last); err != nil {
		return false, err
	}
	w.metrics.deletions.WithLabelValues(reason).Add(float64(k.l.index.trim(last)))
	return n == retainRows, nil
}

// deleteEnded deletes acknowledgements that ended, and dead letters that were due, before cutoff.
func (k *keeper) deleteEnded(cutoff int64) error {
	return k.steps(func(w *writer) (bool, error) {
		acks, err := deleteSome(w.db.write, `DELETE FROM acks WHERE id IN (SELECT id FROM acks
			WHERE (ended<>0 AND ended<?1) OR (until<>0 AND until<?1) LIMIT ?2)`, cutoff, retainRows)
		if err != nil {
			return false, err
		}
		dead, err := deleteSome(w.db.write, "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state=? AND next<? LIMIT ?)",
			int(DeadLetter), cutoff, retainRows)
		return acks == retainRows || dead == retainRows, err
	})
}

// forgetTold deletes what receivers were told and need not be known after now.
func (k *keeper) forgetTold(now int64) error {
	return k.steps(func(w *writer) (bool, error) {
		n, err := deleteSome(w.db.write, "DELETE FROM told WHERE key IN (SELECT key FROM told WHERE expires<? LIMIT ?)", now, retainRows)
		return n == retainRows, err
	})
}

// vacuum gives some free pages back where more than a quarter of the file is free, and reports whether to go on. Fewer
// are kept: history will want them again.
func vacuum(w *writer) (more bool, err error) {
	pages, free, err := usage(w.db.write)
	if err != nil || free < vacuumPages || free < pages/4 {
		return false, err
	}
	err = w.db.write.lazily(func() error {
		_, err := w.db.write.exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
		return err
	})
	return true, err
}
