package ledger

import (
	"database/sql"
	"errors"
	"fmt"
)

// states is what rows of the log changed of instances and the table of instances does not have yet. It belongs to the
// writer's goroutine.
//
// A commit writes its row only; the table follows later, a few instances at a time, each with its latest state. After a
// crash the rows since applied are read again.
type states struct {
	// fresh is what changed since the flush under way began, flushing what that flush has still to write. Nil values are
	// instances that are gone.
	fresh, flushing map[hashedKey]*Instance
	// flushUpTo is the row that the table has everything of once flushing is empty; applied is the one it has now.
	flushUpTo, applied int64
}

func newStates(applied int64) states {
	return states{fresh: map[hashedKey]*Instance{}, applied: applied}
}

// note takes over the changes of a row that is on disk.
func (s *states) note(r *row) {
	for i := range r.changed {
		k := r.changed[i].Key()
		s.fresh[k.hash()] = &r.changed[i]
	}
	for i := range r.gone {
		s.fresh[r.gone[i].hash()] = nil
	}
}

// pending returns how many instances the table does not have the latest state of, at most.
func (s *states) pending() int { return len(s.fresh) + len(s.flushing) }

// A step of the flush writes this many instances, one of the cleaning deletes this many rows: about a millisecond.
const (
	flushInstances = 48
	cleanRows      = 256
)

// flush does one step of bringing the table up to row target, and reports whether more is to do. last is the last row.
func (s *states) flush(w *session, target, last int64) (more bool, err error) {
	if len(s.flushing) == 0 {
		if s.applied >= target {
			return false, nil
		}
		s.flushing, s.fresh, s.flushUpTo = s.fresh, map[hashedKey]*Instance{}, last
	}
	written := make([]hashedKey, 0, flushInstances)
	err = w.lazily(func() error {
		for k, in := range s.flushing {
			if len(written) == flushInstances {
				return nil // There are more.
			}
			if err := writeInstance(w, k, in); err != nil {
				return err
			}
			written = append(written, k)
		}
		_, err := w.exec("UPDATE meta SET value=? WHERE name='applied'", s.flushUpTo) // All is written.
		return err
	})
	if err != nil {
		return false, fmt.Errorf("bringing the table of instances up to date: %w", err)
	}
	if len(written) == len(s.flushing) {
		s.flushing, s.applied = nil, s.flushUpTo
		return s.applied < target, nil
	}
	for _, k := range written {
		delete(s.flushing, k)
	}
	return true, nil
}

func writeInstance(w *session, k hashedKey, in *Instance) error {
	var err error
	if in == nil {
		_, err = w.exec("DELETE FROM instances WHERE key=?", k[:])
	} else {
		_, err = w.exec("INSERT OR REPLACE INTO instances VALUES (?,?)", k[:], encodeRow(&row{changed: []Instance{*in}}))
	}
	return err
}

// clean deletes some rows of changes that the table of instances has, and reports whether there may be more.
func (s *states) clean(w *session) (more bool, err error) {
	n, err := deleteSome(w, "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq<=? ORDER BY seq LIMIT ?)",
		s.applied, cleanRows)
	return n == cleanRows, err
}

// deleteSome runs a deletion of its own and returns how many rows it took.
func deleteSome(w *session, query string, args ...any) (int64, error) {
	var res sql.Result
	err := w.lazily(func() (err error) {
		res, err = w.exec(query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// replay reads the rows since applied and notes what they changed. Rows that cannot be read are left out and returned as
// errors: the instances that they changed are as the table, or a later row, has them.
func (s *states) replay(db querier) (damaged []error, err error) {
	const query = `SELECT seq, data FROM (SELECT seq, data FROM log WHERE seq>?1
		UNION ALL SELECT seq, data FROM changes WHERE seq>?1) ORDER BY seq`
	rows, err := db.Query(query, s.applied)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var seq int64
		var data []byte
		if err := rows.Scan(&seq, &data); err != nil {
			return damaged, errors.Join(err, rows.Close())
		}
		r, err := decodeRow(data)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("row %d: %w", seq, err))
			continue
		}
		s.note(r)
	}
	return damaged, errors.Join(rows.Err(), rows.Close())
}

// querier is a pool of connections, or a transaction on one.
type querier interface {
	Query(query string, args ...any) (*sql.Rows, error)
}
