package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// NotificationState says whether a notification is still tried.
type NotificationState int

// The states of a notification. One that was delivered, or is given up for good, is not in the outbox any more.
const (
	// Waiting is to be delivered at NextAt.
	Waiting NotificationState = iota
	// DeadLetter was given up after too long; Revive lets it wait again.
	DeadLetter
)

// Notification is an entry of the outbox: what has been handed to a receiver and is not known to be delivered.
type Notification struct {
	// ID is set by Enqueue; it is never given twice.
	ID uint64
	// Key says where it goes, in words of the caller's: receiver, integration, index, aggregation group.
	Key string
	// Payload is what it takes to send it, in bytes of the caller's.
	Payload []byte
	// CreatedAt is set by Enqueue where it is zero.
	CreatedAt time.Time
	// NextAt is when it is to be tried next.
	NextAt time.Time
	// Attempts counts those that failed.
	Attempts  int
	State     NotificationState
	LastError string
}

// Enqueue puts n into the outbox and returns its ID when it is on disk. See ChangeOutbox.
func (l *Ledger) Enqueue(n Notification) (uint64, error) {
	ids, err := l.ChangeOutbox(OutboxChange{Enqueue: []Notification{n}})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

const settleQuery = "DELETE FROM outbox WHERE id=?"

// Settle takes a notification out of the outbox: it was delivered, or is given up for good. When it returns nil, that
// and the deliveries recorded before are on disk. On ErrNotDurable it is done later; a restart before that delivers the
// notification again. One that is not there is settled.
func (l *Ledger) Settle(id uint64) error {
	return l.submit(request{settles: id, change: func(s *session) error {
		_, err := s.exec(settleQuery, id)
		return err
	}})
}

// Postpone notes a failed attempt and when to try next.
func (l *Ledger) Postpone(id uint64, next time.Time, lastError string) error {
	return l.updateOutbox(id, "UPDATE outbox SET next=?, attempts=attempts+1, error=? WHERE id=?", storeTime(next), lastError, id)
}

// Bury makes a notification a dead letter: it is kept, until retention, and not tried.
func (l *Ledger) Bury(id uint64, lastError string) error {
	return l.updateOutbox(id, "UPDATE outbox SET state=?, error=? WHERE id=?", int(DeadLetter), lastError, id)
}

// Revive lets a dead letter, or a notification that waits, be tried at once. It counts as created now.
func (l *Ledger) Revive(id uint64) error {
	now := storeTime(l.opts.Now())
	return l.updateOutbox(id, "UPDATE outbox SET state=?, next=?, created=?, attempts=0 WHERE id=?", int(Waiting), now, now, id)
}

func (l *Ledger) updateOutbox(id uint64, query string, args ...any) error {
	found, err := l.update(query, args...)
	if err == nil && !found {
		return fmt.Errorf("ledger: notification %d: %w", id, ErrNoSuchEntry)
	}
	return err
}

// update changes rows durably and reports whether there were any.
func (l *Ledger) update(query string, args ...any) (found bool, err error) {
	var n int64
	err = l.change(func(s *session) error {
		res, err := s.exec(query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return n > 0, err
}

// Waiting returns the notifications that are to be delivered, the one due first first. Settled ones that a failing disk
// has not let go of are among them.
func (l *Ledger) Waiting() ([]Notification, error) { return l.notifications(Waiting) }

// Dead returns the dead letters, in the order in which they were due.
func (l *Ledger) Dead() ([]Notification, error) { return l.notifications(DeadLetter) }

// Notification returns the notification with an ID, whatever its state.
func (l *Ledger) Notification(id uint64) (Notification, error) {
	found, err := l.readNotifications("WHERE id=?", id)
	if err != nil {
		return Notification{}, err
	}
	if len(found) == 0 {
		return Notification{}, fmt.Errorf("ledger: notification %d: %w", id, ErrNoSuchEntry)
	}
	return found[0], nil
}

func (l *Ledger) notifications(state NotificationState) ([]Notification, error) {
	return l.readNotifications("WHERE state=? ORDER BY next, id", int(state))
}

func (l *Ledger) readNotifications(where string, args ...any) ([]Notification, error) {
	out, err := readNotifications(l.db.reader, where, args...)
	if err != nil {
		l.metrics.errors.WithLabelValues(doingRead).Inc()
		return nil, explain("reading", l.db.path, err)
	}
	return out, nil
}

func readNotifications(db *sql.DB, where string, args ...any) (out []Notification, err error) {
	rows, err := db.Query("SELECT id, key, payload, created, next, attempts, state, error FROM outbox "+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Notification
		var created, next int64
		if err := rows.Scan(&n.ID, &n.Key, &n.Payload, &created, &next, &n.Attempts, &n.State, &n.LastError); err != nil {
			return nil, err
		}
		n.CreatedAt, n.NextAt = loadTime(created), loadTime(next)
		out = append(out, n)
	}
	return out, rows.Err()
}

// storeTime returns t in nanoseconds, 0 for the zero time.
func storeTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return clampNanos(t)
}

func loadTime(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
