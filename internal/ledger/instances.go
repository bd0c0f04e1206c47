package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
)

// Instances returns the latest state of every instance that was recorded and is not gone, in no order. It is what the
// engine goes on with after a restart. An instance that cannot be read is left out, with an error in the log.
func (l *Ledger) Instances() ([]Instance, error) {
	ctx := context.Background()
	latest := map[hashedKey]*Instance{}
	var tx *sql.Tx
	// What the table does not have yet, and a view of the table as of the same moment.
	err := l.step(ctx, func(w *writer) (err error) {
		maps.Copy(latest, w.states.flushing)
		maps.Copy(latest, w.states.fresh)
		for k, s := range w.backlog.states {
			latest[k] = s.instance
		}
		if tx, err = l.db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
			return err
		}
		var any int // A transaction sees the moment of its first read.
		return tx.QueryRowContext(ctx, "SELECT count(*) FROM meta").Scan(&any)
	})
	if errors.Is(err, ErrClosed) {
		return nil, err
	}
	if tx != nil {
		defer func() { _ = tx.Rollback() }() // It only read.
	}
	if err != nil {
		return nil, explain("reading", l.db.path, err)
	}
	damaged, err := readInstances(tx, latest)
	if err != nil {
		return nil, explain("reading", l.db.path, err)
	}
	l.warnDamaged("Some alerts start afresh: their state cannot be read", damaged)
	out := make([]Instance, 0, len(latest))
	for _, in := range latest {
		if in != nil {
			out = append(out, *in)
		}
	}
	return out, nil
}

// readInstances adds the table of instances to what is known and newer.
func readInstances(db querier, latest map[hashedKey]*Instance) (damaged []error, err error) {
	rows, err := db.Query("SELECT key, data FROM instances")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var rawKey, data sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&rawKey, &data); err != nil {
			return nil, err
		}
		in, key, err := readInstance(rawKey, data)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		if _, newer := latest[key]; !newer {
			latest[key] = in
		}
	}
	return damaged, rows.Err()
}

// readInstance decodes a row of the table of instances.
func readInstance(rawKey, data []byte) (*Instance, hashedKey, error) {
	r, err := decodeRow(data)
	if err != nil {
		return nil, hashedKey{}, fmt.Errorf("instance %x: %w", rawKey, err)
	}
	if len(r.changed) != 1 {
		return nil, hashedKey{}, fmt.Errorf("instance %x: %w: holds %d instances", rawKey, ErrDamaged, len(r.changed))
	}
	k := r.changed[0].Key()
	key := k.hash()
	if string(key[:]) != string(rawKey) {
		return nil, hashedKey{}, fmt.Errorf("instance %x: %w: it is another's", rawKey, ErrDamaged)
	}
	return &r.changed[0], key, nil
}
