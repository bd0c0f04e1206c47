package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/prometheus/tsdb/fileutil"
	"modernc.org/sqlite"
)

// The files of a ledger. SQLite keeps two more beside the first while it is open: -wal and -shm.
const (
	fileName = "ledger.db"
	lockName = "lock"
)

const (
	// maxReaders bounds the connections of History and its like.
	maxReaders = 4
	// readerIdle closes connections that nobody uses; it is also how long one may keep a trouble of the past.
	readerIdle = time.Minute
	pageSize   = 4096
)

// database is an open file: one connection that writes, one that moves the write-ahead log into the file, some that read.
type database struct {
	path   string
	is     os.FileInfo // what path was when it was opened
	lock   fileutil.Releaser
	write  *session
	mover  *sql.DB
	reader *sql.DB
}

// openDatabase locks the directory, creates or migrates the file and opens it. It returns the version that was found,
// 0 if there was no file.
func openDatabase(dir string, s schema) (_ *database, from int, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, 0, fmt.Errorf("ledger: cannot create the directory: %w (make its parent writable, or name another)", err)
	}
	lock, _, err := fileutil.Flock(filepath.Join(dir, lockName))
	if err != nil {
		return nil, 0, lockError(dir, err)
	}
	db := &database{path: filepath.Join(dir, fileName), lock: lock}
	defer func() {
		if err != nil {
			_ = db.close() // The first error is the one to see.
		}
	}()
	if db.write, from, err = openWriter(db.path, "rwc", &s); err != nil {
		return nil, from, explain("opening", db.path, err)
	}
	if db.is, err = os.Stat(db.path); err != nil {
		return nil, from, explain("opening", db.path, err)
	}
	if db.mover, err = openPool(db.path, 1, "rw", false); err != nil {
		return nil, from, explain("opening", db.path, err)
	}
	if db.reader, err = openPool(db.path, maxReaders, "rw", true); err != nil {
		return nil, from, explain("opening", db.path, err)
	}
	return db, from, nil
}

// lockError tells a lock that is held from one that cannot be made.
func lockError(dir string, err error) error {
	path := filepath.Join(dir, lockName)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || isReadOnly(dir) {
		return fmt.Errorf("ledger: cannot lock %s: %w (make the directory writable for this user)", path, err)
	}
	return fmt.Errorf("ledger: %s is %w: %w (another tocsin runs on this directory: stop it, or use another one)",
		dir, ErrLocked, err)
}

// isReadOnly reports whether nothing can be created in dir.
func isReadOnly(dir string) bool {
	f, err := os.CreateTemp(dir, "probe-*")
	if err != nil {
		return true
	}
	f.Close()
	os.Remove(f.Name())
	return false
}

// modeFrozen is mode ro for a file that nobody has open and that has no write-ahead log: SQLite makes no files beside it.
const modeFrozen = "frozen"

// dsn names the file as SQLite's URI. mode is SQLite's, ro, rw or rwc (create), or modeFrozen.
func dsn(path, mode string, readOnly bool) string {
	q := url.Values{"mode": {mode}, "_busy_timeout": {"2000"}}
	if mode == modeFrozen {
		q.Set("mode", "ro")
		q.Set("immutable", "1")
	}
	if readOnly {
		q.Set("_query_only", "1")
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func openPool(path string, n int, mode string, readOnly bool) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn(path, mode, readOnly))
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxIdleTime(readerIdle)
	return db, nil
}

// openWriter opens the connection that writes. With a schema it prepares the file first.
func openWriter(path, mode string, s *schema) (_ *session, from int, err error) {
	db, err := openPool(path, 1, mode, false)
	if err != nil {
		return nil, 0, err
	}
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, 0, err
	}
	w := &session{db: db, conn: conn, prepared: map[string]*sql.Stmt{}}
	if s != nil {
		from, err = w.prepareFile(ctx, *s)
	}
	if err == nil {
		err = w.configure(ctx)
	}
	if err != nil {
		w.close()
		return nil, from, err
	}
	return w, from, nil
}

// prepareFile brings the file to the schema. Nothing is written to a file that is not ours, or too new.
func (w *session) prepareFile(ctx context.Context, s schema) (from int, err error) {
	version, fresh, err := fileVersion(ctx, w.conn)
	if err != nil {
		return version, err
	}
	if err := s.checkVersion(version); err != nil {
		return version, err
	}
	if fresh { // Must stand before the first table.
		if _, err := w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA page_size=%d; PRAGMA auto_vacuum=INCREMENTAL", pageSize)); err != nil {
			return 0, err
		}
	}
	return s.migrate(ctx, w.conn)
}

// configure sets how the connection writes: to the write-ahead log, each commit with one sync. Moving the log into the
// file is done elsewhere (see keeper.go), so that no commit has to wait for it.
func (w *session) configure(ctx context.Context) error {
	var mode string
	if err := w.conn.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system does not support a write-ahead log (SQLite says %q): put the ledger on a local disk", mode)
	}
	_, err := w.conn.ExecContext(ctx, "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8192")
	return err
}

// present returns why what is written goes where nobody finds it: the file was taken away.
func (db *database) present() error {
	now, err := os.Stat(db.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: %w", errGone, err)
	case err == nil && !os.SameFile(now, db.is):
		return fmt.Errorf("%w: another file is in its place", errGone)
	}
	return nil // What else may be wrong, writing tells.
}

// reopen replaces the writing connection: what it knew of a file that failed may no longer be true.
func (db *database) reopen() error {
	db.write.close()
	w, _, err := openWriter(db.path, "rw", nil)
	if err != nil {
		return err
	}
	db.write = w
	return nil
}

func (db *database) close() error {
	var errs []error
	if db.reader != nil {
		errs = append(errs, db.reader.Close())
	}
	if db.mover != nil {
		errs = append(errs, db.mover.Close())
	}
	if db.write != nil {
		errs = append(errs, db.write.close())
	}
	errs = append(errs, db.lock.Release())
	return errors.Join(errs...)
}
