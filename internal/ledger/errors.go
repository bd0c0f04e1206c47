package ledger

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of Open and Check.
var (
	// ErrLocked says that another process has the ledger open.
	ErrLocked = errors.New("in use")
	// ErrNewer says that a newer version of tocsin wrote the ledger.
	ErrNewer = errors.New("written by a newer version")
)

// Errors of an open ledger.
var (
	// ErrNotDurable says that what was given is not on disk. Record and RecordDelivery keep it in memory and the ledger
	// tries again by itself; where that is so, the error says it.
	ErrNotDurable = errors.New("not on disk")
	// ErrClosed says that the ledger is closed, or is being closed.
	ErrClosed = errors.New("ledger: closed")
	// ErrNoSuchEntry says that the outbox or the acknowledgements do not hold what was named.
	ErrNoSuchEntry = errors.New("no such entry")
)

// errGone says that the file was taken away while it was open.
var errGone = errors.New("the file is gone")

// trouble is what kind of thing an error of the store is.
type trouble int

const (
	troubleOther trouble = iota
	troubleFull
	troubleReadOnly
	troubleDamaged
	troubleDisk
	troubleBusy
	troubleGone
)

// troubleOf classifies err by SQLite's result code.
func troubleOf(err error) trouble {
	var e *sqlite.Error
	switch {
	case errors.Is(err, ErrDamaged):
		return troubleDamaged
	case errors.Is(err, errGone):
		return troubleGone
	case !errors.As(err, &e):
		return troubleOther
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return troubleFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return troubleReadOnly
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return troubleDamaged
	case sqlite3.SQLITE_IOERR:
		return troubleDisk
	case sqlite3.SQLITE_BUSY:
		return troubleBusy
	}
	return troubleOther
}

// advice says what a person can do about err.
func advice(err error) string {
	switch troubleOf(err) {
	case troubleFull:
		return "the disk is full: free some space on it"
	case troubleReadOnly:
		return "it cannot be opened or written: check that the directory exists, that its file system is not mounted " +
			"read-only and not full, and that this user may write there"
	case troubleDamaged:
		return "it is damaged: stop tocsin, keep a copy of the directory, see what `tocsin check data` says, and restore it from " +
			"a backup or move its files away to start with an empty ledger"
	case troubleDisk:
		return "the disk failed to read or write, is full, or turned read-only: see the kernel's log"
	case troubleBusy:
		return "another program has it locked: end that program"
	case troubleGone:
		return "put the file back where it was, or restart tocsin, which begins a new one where there is none"
	}
	return "tocsin does not know this failure: see the kernel's log and the state of the disk"
}

// explain says where err happened and what to do. Damage can be told by errors.Is(err, ErrDamaged).
func explain(doing, path string, err error) error {
	if troubleOf(err) == troubleDamaged && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("ledger: %s %s: %w (%s)", doing, path, err, advice(err))
}
