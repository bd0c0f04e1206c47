package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Ack is somebody's word that they look after an alert.
type Ack struct {
	// ID is set by Acknowledge; it is never given twice.
	ID uint64
	// Labels are the alert's, all of them.
	Labels         labels.Labels
	Owner, Comment string
	// At is set by Acknowledge where it is zero.
	At time.Time
	// Until is when it ends by itself; zero is never.
	Until time.Time
	// EndedAt is when it was withdrawn or replaced; zero where it was not.
	EndedAt time.Time
}

// Acknowledge records a and returns it with its ID when it is on disk. An earlier one of the same alert ends.
func (l *Ledger) Acknowledge(a Ack) (Ack, error) {
	if a.At.IsZero() {
		a.At = l.opts.Now()
	}
	a.EndedAt = time.Time{}
	key := encodeRow(&row{gone: []InstanceKey{{Labels: a.Labels}}})
	var id int64
	err := l.change(func(s *session) error {
		if _, err := s.exec("UPDATE acks SET ended=? WHERE labels=? AND ended=0", storeTime(a.At), key); err != nil {
			return err
		}
		res, err := s.exec("INSERT INTO acks (labels, owner, comment, at, until, ended) VALUES (?,?,?,?,?,0)",
			key, a.Owner, a.Comment, storeTime(a.At), storeTime(a.Until))
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return Ack{}, err
	}
	a.ID = uint64(id)
	return a, nil
}

// Unacknowledge ends an acknowledgement. Its row stays until retention.
func (l *Ledger) Unacknowledge(id uint64) error {
	found, err := l.update("UPDATE acks SET ended=? WHERE id=? AND ended=0", storeTime(l.opts.Now()), id)
	if err == nil && !found {
		return fmt.Errorf("ledger: acknowledgement %d: %w", id, ErrNoSuchEntry)
	}
	return err
}

// Acks returns the acknowledgements that hold now, oldest first.
func (l *Ledger) Acks() ([]Ack, error) {
	now := storeTime(l.opts.Now())
	return l.acks("WHERE ended=0 AND (until=0 OR until>?)", now)
}

func (l *Ledger) acks(where string, args ...any) ([]Ack, error) {
	out, damaged, err := readAcks(l.db.reader, where, args...)
	l.warnDamaged("Some acknowledgements cannot be read and do not hold", damaged)
	if err != nil {
		l.metrics.errors.WithLabelValues(doingRead).Inc()
		return nil, explain("reading", l.db.path, err)
	}
	return out, nil
}

func readAcks(db *sql.DB, where string, args ...any) (out []Ack, damaged []error, err error) {
	rows, err := db.Query("SELECT id, labels, owner, comment, at, until, ended FROM acks "+where+" ORDER BY id", args...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var a Ack
		var data []byte
		var at, until, ended int64
		if err := rows.Scan(&a.ID, &data, &a.Owner, &a.Comment, &at, &until, &ended); err != nil {
			return nil, nil, err
		}
		r, err := decodeRow(data)
		if err == nil && len(r.gone) != 1 {
			err = fmt.Errorf("%w: %d label sets", ErrDamaged, len(r.gone))
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("acknowledgement %d: %w", a.ID, err))
			continue
		}
		a.Labels = r.gone[0].Labels
		a.At, a.Until, a.EndedAt = loadTime(at), loadTime(until), loadTime(ended)
		out = append(out, a)
	}
	return out, damaged, rows.Err()
}
