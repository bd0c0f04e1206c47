package ledger

import (
	"errors"
	"sync/atomic"
	"time"
)

// Told is what a receiver was last told about one aggregation group, in bytes of the caller's.
type Told struct {
	Key string
	// Data begins with what grows from one to the next: of two with the same key, the one that is greater, compared byte by
	// byte, stays, in whatever order they are written.
	Data []byte
	// Expires is when it need not be known any more.
	Expires time.Time
}

// OutboxChange is a change of the outbox that is on disk as a whole or not at all.
type OutboxChange struct {
	// Enqueue holds notifications to put into the outbox.
	Enqueue []Notification
	// Replace gives notifications a new payload; they stay as old and as often tried as they are. One that is not there
	// any more is passed over.
	Replace []Replacement
	// Told replaces what was kept under the same keys, unless that is newer.
	Told []Told
	// Bury makes dead letters.
	Bury []Burial
	// Settle takes notifications out of the outbox.
	Settle []uint64
	// Unless, where it is set, is asked while the change is written: on true nothing is enqueued, and the rest done. So
	// what was delivered meanwhile need not be taken out again. It must be quick.
	Unless func() bool
}

// Replacement is the new payload of a notification.
type Replacement struct {
	ID      uint64
	Payload []byte
}

// Burial is a notification that becomes a dead letter, and why.
type Burial struct {
	ID    uint64
	Error string
	// Attempts is how many failed.
	Attempts int
	// InPlaceOf is an older dead letter that says the same and is forgotten; 0 for none. One that waits again stays.
	InPlaceOf uint64
}

// ChangeOutbox makes a change and returns the IDs of what was enqueued, 0 for what was not, when it is on disk. On an
// error nothing of it is, nor will be: the caller still has it. Only where the disk stops answering in the midst of the
// commit for CommitTimeout may it come to be there nevertheless, without its IDs being known; then it is delivered twice
// rather than not at all after a restart.
func (l *Ledger) ChangeOutbox(c OutboxChange) ([]uint64, error) {
	now := l.opts.Now()
	ids := make([]uint64, len(c.Enqueue))
	var begun atomic.Bool // by the writer, or given up
	r := request{bytes: c.size(), change: func(s *session) error {
		if begun.Swap(true) {
			return nil // Nobody waits for it any more, and it may have been done otherwise.
		}
		return c.apply(s, now, ids)
	}}
	if err := l.submit(r); err != nil {
		begun.Swap(true)
		return nil, err
	}
	return ids, nil
}

func (c *OutboxChange) size() int64 {
	n := int64(0)
	for i := range c.Enqueue {
		n += int64(len(c.Enqueue[i].Key) + len(c.Enqueue[i].Payload))
	}
	for i := range c.Replace {
		n += int64(len(c.Replace[i].Payload))
	}
	for i := range c.Told {
		n += int64(len(c.Told[i].Key) + len(c.Told[i].Data))
	}
	return n
}

const toldQuery = `INSERT INTO told (key, data, expires) VALUES (?1,?2,?3)
	ON CONFLICT (key) DO UPDATE SET data=?2, expires=?3 WHERE data<=?2 OR expires<?4`

func (c *OutboxChange) apply(s *session, now time.Time, ids []uint64) error {
	for _, t := range c.Told {
		_, err := s.exec(toldQuery, t.Key, t.Data, storeTime(t.Expires), storeTime(now))
		if err != nil {
			return err
		}
	}
	for _, r := range c.Replace {
		if _, err := s.exec("UPDATE outbox SET payload=? WHERE id=?", r.Payload, r.ID); err != nil {
			return err
		}
	}
	for _, b := range c.Bury {
		_, err := s.exec("UPDATE outbox SET state=?, error=?, attempts=? WHERE id=?", int(DeadLetter), b.Error, b.Attempts, b.ID)
		if err == nil && b.InPlaceOf != 0 {
			_, err = s.exec("DELETE FROM outbox WHERE id=? AND state=?", b.InPlaceOf, int(DeadLetter))
		}
		if err != nil {
			return err
		}
	}
	for _, id := range c.Settle {
		if _, err := s.exec(settleQuery, id); err != nil {
			return err
		}
	}
	if c.Unless != nil && c.Unless() {
		return nil
	}
	for i, n := range c.Enqueue {
		var err error
		if ids[i], err = n.put(s, now); err != nil {
			return err
		}
	}
	return nil
}

// put writes n as a new row.
func (n *Notification) put(s *session, now time.Time) (uint64, error) {
	payload := n.Payload
	if payload == nil {
		payload = []byte{} // Not SQL's NULL.
	}
	created := n.CreatedAt
	if created.IsZero() {
		created = now
	}
	res, err := s.exec("INSERT INTO outbox (key, payload, created, next, attempts, state, error) VALUES (?,?,?,?,?,?,?)",
		n.Key, payload, storeTime(created), storeTime(n.NextAt), n.Attempts, int(n.State), n.LastError)
	if err != nil {
		return 0, err
	}
	id, err := res.LastInsertId()
	return uint64(id), err
}

// ProlongTold has what a receiver was told kept until a later time.
func (l *Ledger) ProlongTold(key string, until time.Time) error {
	_, err := l.update("UPDATE told SET expires=max(expires, ?) WHERE key=?", storeTime(until), key)
	return err
}

// Told returns what receivers were told and has not expired.
func (l *Ledger) Told() (out []Told, err error) {
	rows, err := l.db.reader.Query("SELECT key, data, expires FROM told WHERE expires>=? ORDER BY key", storeTime(l.opts.Now()))
	if err == nil {
		defer func() { err = errors.Join(err, rows.Close()) }()
		for err == nil && rows.Next() {
			var t Told
			var expires int64
			err = rows.Scan(&t.Key, &t.Data, &expires)
			t.Expires = loadTime(expires)
			out = append(out, t)
		}
		err = errors.Join(err, rows.Err())
	}
	if err != nil {
		l.metrics.errors.WithLabelValues(doingRead).Inc()
		return nil, explain("reading", l.db.path, err)
	}
	return out, nil
}
