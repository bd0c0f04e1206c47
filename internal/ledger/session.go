package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// session is the connection that writes. It belongs to the writer's goroutine.
type session struct {
	db       *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	lazy     bool // whether commits leave syncing to later ones
}

// exec runs one statement, which is prepared once.
func (w *session) exec(query string, args ...any) (sql.Result, error) {
	s, err := w.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

// number runs a query for one number.
func (w *session) number(query string, args ...any) (int64, error) {
	s, err := w.stmt(query)
	if err != nil {
		return 0, err
	}
	var n int64
	return n, s.QueryRow(args...).Scan(&n)
}

func (w *session) stmt(query string) (*sql.Stmt, error) {
	if s := w.prepared[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.prepared[query] = s
	return s, nil
}

// atomically runs f in a transaction that is on disk, synced, when atomically returns nil, and is as if it never was
// when it returns an error.
func (w *session) atomically(f func() error) error {
	if err := w.sync("FULL", false); err != nil {
		return err
	}
	return w.transaction(f)
}

// lazily is atomically without the sync: the transaction survives kill -9, and the loss of power once a later commit
// has synced.
func (w *session) lazily(f func() error) error {
	if err := w.sync("NORMAL", true); err != nil {
		return err
	}
	return w.transaction(f)
}

func (w *session) sync(mode string, lazy bool) error {
	if w.lazy == lazy {
		return nil
	}
	if _, err := w.exec("PRAGMA synchronous=" + mode); err != nil {
		return err
	}
	w.lazy = lazy
	return nil
}

func (w *session) transaction(f func() error) error {
	if _, err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := f()
	if err == nil {
		_, err = w.exec("COMMIT")
	}
	if err != nil {
		// SQLite has rolled back by itself after some failures; then there is nothing to roll back.
		_, _ = w.exec("ROLLBACK")
	}
	return err
}

func (w *session) close() error {
	var errs []error
	for _, s := range w.prepared {
		errs = append(errs, s.Close())
	}
	errs = append(errs, w.conn.Close(), w.db.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ledger: closing the connection that writes: %w", err)
	}
	return nil
}
