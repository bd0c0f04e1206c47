package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Report is what Check found.
type Report struct {
	// Path is the ledger's file and Version its schema's; Bytes is its size with its write-ahead log.
	Path    string
	Version int
	Bytes   int64
	// How many there are of each, as far as they could be read.
	Transitions, Deliveries, Instances, Waiting, DeadLetters, Acks int
	// Oldest and Newest enclose the evaluation times of the transitions.
	Oldest, Newest time.Time
	// Problems is what is wrong, at most 100 of each kind; empty means that everything is as it was written.
	Problems []Problem
}

// Problem is one thing that is wrong, in words.
type Problem struct {
	// Where it is, What is wrong, and what a Repair would do about it, with what would be lost.
	Where, What, Repair string
}

func (p Problem) String() string { return p.Where + ": " + p.What + "; a repair would " + p.Repair }

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// maxProblems bounds the problems of one kind: a disk that died needs no list.
const maxProblems = 100

// What a repair would do.
const (
	repairFile  = "copy every row that can be read into a new file; what stood on the damaged pages is lost"
	repairWhole = "move the file away and start with an empty ledger: history, the state of alerts, undelivered " +
		"notifications and acknowledgements are lost, unless a backup is put in its place"
	repairLog      = "delete the row: up to 64 transitions or deliveries are lost from history, and what they changed of alerts' state since the last flush"
	repairChange   = "delete the row: the alerts that it changed take their next older state"
	repairInstance = "delete the instance: its alert starts afresh at the next evaluation"
	repairAck      = "delete the acknowledgement: the alert is repeated to people again"
	repairOutbox   = "make it a dead letter, so that a person decides"
)

// Check reads all of the ledger in dir and reports what is wrong. Nothing is repaired or written, but SQLite may create
// its -shm file beside one that was not closed. A tocsin may be running on it. The error is not nil where there is nothing to
// check: no ledger, one of a newer version (ErrNewer), one that may not be read.
func Check(dir string) (Report, error) {
	r := Report{Path: filepath.Join(dir, fileName)}
	info, err := os.Stat(r.Path)
	if err != nil {
		return r, fmt.Errorf("ledger: nothing to check: %w", err)
	}
	r.Bytes = info.Size()
	mode := modeFrozen
	if wal, err := os.Stat(r.Path + "-wal"); err == nil {
		r.Bytes += wal.Size()
		mode = "ro"
	}
	db, err := openPool(r.Path, 1, mode, true)
	if err != nil {
		return r, explain("opening", r.Path, err)
	}
	err = r.checkFile(db)
	if closing := db.Close(); err == nil && closing != nil {
		err = explain("closing", r.Path, closing)
	}
	return r, err
}

func (r *Report) checkFile(db *sql.DB) error {
	version, fresh, err := readVersion(db)
	switch {
	case troubleOf(err) == troubleDamaged:
		r.add(r.Path, err.Error(), repairWhole)
		return nil
	case err != nil:
		return explain("reading", r.Path, err)
	case fresh:
		r.add(r.Path, "it is empty", "make the tables; there is nothing to lose")
		return nil
	}
	r.Version = version
	current := currentSchema()
	if err := current.checkVersion(version); err != nil {
		return explain("reading", r.Path, err)
	}
	if version != current.version {
		return fmt.Errorf("ledger: %s has version %d: start tocsin once, which brings it to version %d, and check then",
			r.Path, version, current.version)
	}
	for _, part := range []struct {
		where string
		check func(*sql.DB) error
	}{
		{"the file's pages", r.checkPages}, {"the log", r.checkLog}, {"the changes", r.checkChanges},
		{"the instances", r.checkInstances}, {"the outbox", r.checkOutbox}, {"the acknowledgements", r.checkAcks},
	} {
		if err := part.check(db); err != nil {
			r.add(part.where, "reading stopped: "+err.Error(), repairFile)
		}
	}
	return nil
}

func readVersion(db *sql.DB) (version int, fresh bool, err error) {
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		return 0, false, err
	}
	version, fresh, err = fileVersion(ctx, c)
	return version, fresh, errors.Join(err, c.Close())
}

func (r *Report) add(where, what, repair string) {
	n := 0
	for i := range r.Problems {
		if r.Problems[i].Repair == repair {
			n++
		}
	}
	if n < maxProblems {
		r.Problems = append(r.Problems, Problem{Where: where, What: what, Repair: repair})
	}
}

// checkPages lets SQLite verify its trees, indexes and free pages.
func (r *Report) checkPages(db *sql.DB) (err error) {
	rows, err := db.Query(fmt.Sprintf("PRAGMA integrity_check(%d)", maxProblems))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var what string
		if err := rows.Scan(&what); err != nil {
			return err
		}
		if what != "ok" {
			r.add("the file's pages", what, repairFile)
		}
	}
	return rows.Err()
}

func (r *Report) checkLog(db *sql.DB) error {
	for from := int64(0); ; {
		rows, damaged, err := readRows(db, from, 1<<62, loadRows)
		for _, d := range damaged {
			r.add("the log", d.Error(), repairLog)
		}
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			if row.row == nil {
				continue
			}
			r.Transitions += len(row.entries)
			r.Deliveries += len(row.deliveries)
			for i := range row.entries {
				r.see(row.entries[i].At)
			}
			if !row.history() {
				r.add("the log", fmt.Sprintf("row %d of the log holds nothing", row.seq), repairLog)
			}
		}
		from = rows[len(rows)-1].seq
	}
}

// see widens the span of times.
func (r *Report) see(at time.Time) {
	if r.Oldest.IsZero() || at.Before(r.Oldest) {
		r.Oldest = at
	}
	if at.After(r.Newest) {
		r.Newest = at
	}
}

func (r *Report) checkChanges(db *sql.DB) (err error) {
	rows, err := db.Query("SELECT seq, data FROM changes ORDER BY seq")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var data sql.RawBytes
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq, &data); err != nil {
			return err
		}
		if _, err := decodeRow(data); err != nil {
			r.add("the changes", fmt.Sprintf("row %d: %v", seq, err), repairChange)
		}
	}
	return rows.Err()
}

// checkInstances counts the instances as a start would find them.
func (r *Report) checkInstances(db *sql.DB) error {
	s := newStates(0)
	if err := db.QueryRow("SELECT value FROM meta WHERE name='applied'").Scan(&s.applied); err != nil {
		return err
	}
	if _, err := s.replay(db); err != nil { // What is damaged was told of by checkLog and checkChanges.
		return err
	}
	damaged, err := readInstances(db, s.fresh)
	for _, d := range damaged {
		r.add("the instances", d.Error(), repairInstance)
	}
	for _, in := range s.fresh {
		if in != nil {
			r.Instances++
		}
	}
	return err
}

func (r *Report) checkOutbox(db *sql.DB) (err error) {
	rows, err := db.Query("SELECT id, state, length(payload) FROM outbox")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id, state, size int64
		if err := rows.Scan(&id, &state, &size); err != nil {
			return err
		}
		switch NotificationState(state) {
		case Waiting:
			r.Waiting++
		case DeadLetter:
			r.DeadLetters++
		default:
			r.add("the outbox", fmt.Sprintf("notification %d has the unknown state %d", id, state), repairOutbox)
		}
	}
	return rows.Err()
}

func (r *Report) checkAcks(db *sql.DB) error {
	acks, damaged, err := readAcks(db, "")
	r.Acks = len(acks)
	for _, d := range damaged {
		r.add("the acknowledgements", d.Error(), repairAck)
	}
	return err
}
