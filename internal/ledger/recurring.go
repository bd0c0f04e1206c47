package ledger

import (
	"errors"
	"fmt"
)

// Recurring is a silence that comes back at certain times, in bytes of the caller's.
type Recurring struct {
	// ID is set by AddRecurring; it is never given twice.
	ID   uint64
	Data []byte
}

// AddRecurring keeps data and returns its ID when it is on disk.
func (l *Ledger) AddRecurring(data []byte) (uint64, error) {
	var id int64
	err := l.change(func(s *session) error {
		res, err := s.exec("INSERT INTO recurring (data) VALUES (?)", data)
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return 0, err
	}
	return uint64(id), nil
}

// DeleteRecurring forgets one, durably.
func (l *Ledger) DeleteRecurring(id uint64) error {
	found, err := l.update("DELETE FROM recurring WHERE id=?", id)
	if err == nil && !found {
		return fmt.Errorf("ledger: recurring silence %d: %w", id, ErrNoSuchEntry)
	}
	return err
}

// AllRecurring returns those that are kept, oldest first.
func (l *Ledger) AllRecurring() (out []Recurring, err error) {
	rows, err := l.db.reader.Query("SELECT id, data FROM recurring ORDER BY id")
	if err == nil {
		defer func() { err = errors.Join(err, rows.Close()) }()
		for err == nil && rows.Next() {
			var r Recurring
			err = rows.Scan(&r.ID, &r.Data)
			out = append(out, r)
		}
		err = errors.Join(err, rows.Err())
	}
	if err != nil {
		l.metrics.errors.WithLabelValues(doingRead).Inc()
		return nil, explain("reading", l.db.path, err)
	}
	return out, nil
}
