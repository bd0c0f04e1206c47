package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// applicationID marks the file as a ledger, in SQLite's own header: "tocs".
const applicationID = 0x746f6373

// schema says how the tables look at a version and how to get there from older ones.
type schema struct {
	version int
	// create makes the tables of an empty file.
	create string
	// upgrade[v] is the SQL that leads from version v to v+1.
	upgrade map[int]string
}

// currentSchema is what this version of tocsin reads and writes. The tables:
//
//	log        what happened, for good until retention: rows of transitions (with the changes of instances that they
//	           brought) and rows of deliveries; at is the newest time in it, in milliseconds
//	changes    changes of instances without a transition; rows go when they have been applied
//	instances  the state of each instance as of row applied of meta; newer rows of log and changes come on top
//	outbox     notifications that are to be delivered or were given up
//	acks       acknowledgements, also those that ended
//	told       what a receiver was last told, by aggregation group
//	recurring  silences that come back at certain times
//	meta       applied: up to which row changes are in instances
//
// log and changes share one numbering, which never goes back.
func currentSchema() schema {
	return schema{
		version: 1,
		create: `
CREATE TABLE log (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE changes (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE instances (key BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
	id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, payload BLOB NOT NULL, created INTEGER NOT NULL,
	next INTEGER NOT NULL, attempts INTEGER NOT NULL, state INTEGER NOT NULL, error TEXT NOT NULL);
CREATE TABLE acks (
	id INTEGER PRIMARY KEY AUTOINCREMENT, labels BLOB NOT NULL, owner TEXT NOT NULL, comment TEXT NOT NULL,
	at INTEGER NOT NULL, until INTEGER NOT NULL, ended INTEGER NOT NULL);
CREATE TABLE told (key TEXT PRIMARY KEY, data BLOB NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE recurring (id INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL);
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('applied', 0);`,
	}
}

// fileVersion reads whose file it is and at which version. fresh says that there is nothing in it.
func fileVersion(ctx context.Context, c *sql.Conn) (version int, fresh bool, err error) {
	var id, tables int
	if err := c.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, false, err
	}
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, false, err
	}
	if err := c.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, false, err
	}
	switch {
	case id == 0 && version == 0 && tables == 0:
		return 0, true, nil
	case id != applicationID:
		return 0, false, fmt.Errorf("%w: it is an SQLite database of another application (id %#x)", ErrDamaged, id)
	case version < 1:
		return 0, false, fmt.Errorf("%w: version %d never was", ErrDamaged, version)
	}
	return version, false, nil
}

// checkVersion refuses what s cannot read.
func (s schema) checkVersion(version int) error {
	if version > s.version {
		return fmt.Errorf("%w: it has version %d, this tocsin knows versions up to %d: use the newer tocsin, or move the "+
			"directory away to start with an empty ledger", ErrNewer, version, s.version)
	}
	return nil
}

// migrate brings the file to s.version in one transaction: it is at the old version or at the new one, never between.
// It returns the version that was found, 0 for an empty file.
func (s schema) migrate(ctx context.Context, c *sql.Conn) (from int, err error) {
	from, fresh, err := fileVersion(ctx, c)
	if err != nil {
		return 0, err
	}
	if err := s.checkVersion(from); err != nil {
		return from, err
	}
	if from == s.version {
		return from, nil
	}
	script := "BEGIN IMMEDIATE;" + s.create
	if !fresh {
		script = "BEGIN IMMEDIATE;"
		for v := from; v < s.version; v++ {
			step, ok := s.upgrade[v]
			if !ok {
				panic(fmt.Sprintf("BUG: the ledger's schema has no way from version %d to %d", v, v+1))
			}
			script += step + ";"
		}
	}
	script += fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", applicationID, s.version)
	if _, err := c.ExecContext(ctx, script); err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK") // Where there is nothing to roll back, the first error says why.
		return from, fmt.Errorf("bringing it from version %d to %d (it stays at %d): %w", from, s.version, from, err)
	}
	return from, nil
}
