package ledger

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// sound writes a ledger with something of everything and returns its directory.
func sound(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l := openAt(t, dir)
	for n := range 300 {
		require.NoError(t, l.Record([]Entry{entryOf(n%40, n, alert.Firing)}, []Instance{instanceOf(n%40, n, alert.Firing)}, nil))
	}
	l.RecordDelivery(Delivery{At: start(), Receiver: "team", Alerts: []DeliveredAlert{{Labels: labelsOf(3)}}})
	for range 10 {
		_, err := l.Enqueue(Notification{Key: "k", Payload: make([]byte, 1000)})
		require.NoError(t, err)
	}
	_, err := l.Acknowledge(Ack{Labels: labelsOf(1), Owner: "me"})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return dir
}

// use does everything that reads, and some that writes. What fails says so by an error; nothing may panic.
func use(l *Ledger) error {
	_, err1 := l.Instances()
	_, err2 := l.Waiting()
	_, err3 := l.Acks()
	err4 := l.Record([]Entry{entryOf(1, 1, alert.Firing)}, []Instance{instanceOf(1, 1, alert.Firing)}, nil)
	_, err5 := l.Enqueue(Notification{})
	err6 := l.step(l.keeper.ctx, func(w *writer) error { _, err := w.states.flush(w.db.write, w.last, w.last); return err })
	_, err7 := l.History(l.keeper.ctx, Query{Limit: MaxLimit})
	return errors.Join(err1, err2, err3, err4, err5, err6, err7)
}

// TestDamagedFiles writes noise, zeros and cuts into a sound file: Open and all else work or say what to do, Check never
// misses what made them fail, nothing panics. TOCSIN_DAMAGED_FILES says how many files.
func TestDamagedFiles(t *testing.T) {
	r := newRand(t)
	data, err := os.ReadFile(filepath.Join(sound(t), fileName))
	require.NoError(t, err)
	refused, noticed := 0, 0
	files := 60
	if s := os.Getenv("TOCSIN_DAMAGED_FILES"); s != "" {
		files, err = strconv.Atoi(s)
		require.NoError(t, err)
	}
	for range files {
		dir := t.TempDir()
		path := filepath.Join(dir, fileName)
		require.NoError(t, os.WriteFile(path, damage(r, data), 0o600))
		report, checkErr := Check(dir)
		l, err := Open(Options{Dir: dir, CommitTimeout: time.Second})
		if err != nil {
			refused++
			require.True(t, checkErr != nil || !report.OK(), "Open says %v, Check nothing", err)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "(")
			continue
		}
		if err := use(l); troubleOf(err) == troubleDamaged {
			require.True(t, checkErr != nil || !report.OK(), "use says %v, Check nothing", err)
		}
		if checkErr != nil || !report.OK() {
			noticed++
		}
		_ = l.Close() // Whatever it says, it ends.
	}
	t.Logf("of %d damaged files %d were refused; Check noticed %d of the others", files, refused, noticed)
	require.Positive(t, refused)
	require.Positive(t, noticed)
}

func damage(r *rand.Rand, sound []byte) []byte {
	data := append([]byte(nil), sound...)
	at := r.IntN(len(data))
	if r.IntN(4) == 0 {
		at = r.IntN(200) // The header.
	}
	n := min(1+r.IntN(6000), len(data)-at)
	switch r.IntN(4) {
	case 0:
		return data[:at]
	case 1:
		clear(data[at : at+n])
	case 2:
		data[at] ^= 1 << r.IntN(8)
	default:
		for i := range data[at : at+n] {
			data[at+i] = byte(r.Uint32())
		}
	}
	return data
}

func TestNotALedger(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("This is a diary. ", 1000)), 0o600))
	_, err := Open(Options{Dir: dir})
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "tocsin check data")
	report, err := Check(dir)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	require.Contains(t, report.Problems[0].String(), "a repair would move the file away")

	require.NoError(t, os.Remove(path))
	withSQL(t, dir, "CREATE TABLE recipes (id)")
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, "another application")

	_, err = Check(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(Options{Dir: filepath.Join(path, "below a file")})
	require.ErrorContains(t, err, "cannot create the directory")
}

// withSQL changes a ledger's file behind its back.
func withSQL(t *testing.T, dir, script string, args ...any) {
	t.Helper()
	db, err := openPool(filepath.Join(dir, fileName), 1, "rwc", false)
	require.NoError(t, err)
	_, err = db.Exec(script, args...)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// Rows that are not what was written are left out, told of, and stand in nobody's way.
func TestDamagedRowsAreLeftOut(t *testing.T) {
	dir := sound(t)
	other := encodeRow(&row{changed: []Instance{instanceOf(77, 1, alert.Firing)}})
	withSQL(t, dir, `UPDATE log SET data=x'0100aabbccdd' WHERE seq=7; UPDATE log SET data=zeroblob(100) WHERE seq=9;
		UPDATE acks SET labels=x'00'; UPDATE outbox SET state=9 WHERE id=3; INSERT INTO changes VALUES (1000000, x'33')`)
	withSQL(t, dir, "UPDATE instances SET data=x'01' WHERE key=(SELECT min(key) FROM instances)")
	withSQL(t, dir, "UPDATE instances SET data=? WHERE key=(SELECT max(key) FROM instances)", other)

	report, err := Check(dir)
	require.NoError(t, err)
	var all []string
	for _, p := range report.Problems {
		all = append(all, p.String())
	}
	require.Len(t, all, 7, "%q", all)
	text := strings.Join(all, "\n")
	for _, want := range []string{"row 7 of the log: damaged: checksum", "row 9 of the log", "row 1000000", "holds", "acknowledgement 1", "unknown state 9", "a repair would delete the row"} {
		if want == "holds" {
			want = "it is another's"
		}
		require.Contains(t, text, want)
	}

	l := openAt(t, dir)
	require.Len(t, entriesOf(t, l, Query{}), 298)
	require.Len(t, stateOf(t, l), 38)
	acks, err := l.Acks()
	require.NoError(t, err)
	require.Empty(t, acks)
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Len(t, waiting, 9)
	require.NoError(t, l.Record([]Entry{entryOf(1, 1000, alert.Firing)}, nil, nil))
	require.Len(t, entriesOf(t, l, Query{}), 299)
	require.NoError(t, l.Close())
}

func TestCheckWritesNothing(t *testing.T) {
	l := openTest(t)
	require.NoError(t, l.Record([]Entry{entryOf(1, 1, alert.Firing)}, nil, nil))
	for _, dir := range []string{sound(t), copyFiles(t, l.opts.Dir)} { // One that was closed, one that was killed.
		before := contents(t, dir)
		report, err := Check(dir)
		require.NoError(t, err)
		require.Empty(t, report.Problems)
		require.Positive(t, report.Transitions)
		after := contents(t, dir)
		for name, data := range before {
			require.Equal(t, data, after[name], name)
		}
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range names {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(data)
	}
	return files
}

func TestVersions(t *testing.T) {
	dir := sound(t)
	next := currentSchema()
	next.version += 2
	next.upgrade = map[int]string{
		currentSchema().version:     "ALTER TABLE acks ADD COLUMN shift TEXT NOT NULL DEFAULT ''",
		currentSchema().version + 1: "UPDATE acks SET shift='night'",
	}

	broken := next
	broken.upgrade = map[int]string{
		currentSchema().version: next.upgrade[currentSchema().version], currentSchema().version + 1: "UPDATE nothing SET x=1",
	}
	_, err := open(Options{Dir: dir}, broken)
	require.ErrorContains(t, err, "from version 1 to 3 (it stays at 1)")
	require.NoError(t, openAt(t, dir).Close(), "a migration that failed leaves everything as it was")

	l, err := open(Options{Dir: dir}, next)
	require.NoError(t, err)
	require.Len(t, entriesOf(t, l, Query{}), 300)
	require.Len(t, stateOf(t, l), 40)
	var shift string
	require.NoError(t, l.db.reader.QueryRow("SELECT shift FROM acks").Scan(&shift))
	require.Equal(t, "night", shift)
	require.NoError(t, l.Close())

	before := contents(t, dir)
	_, err = Open(Options{Dir: dir})
	require.ErrorIs(t, err, ErrNewer)
	require.ErrorContains(t, err, "it has version 3, this tocsin knows versions up to 1")
	_, err = Check(dir)
	require.ErrorIs(t, err, ErrNewer)
	require.Equal(t, before, contents(t, dir), "what is newer is not touched")

	withSQL(t, dir, "PRAGMA user_version=-1")
	_, err = Open(Options{Dir: dir})
	require.ErrorContains(t, err, "version -1 never was")
}

func TestAFileThatWasNeverFinishedIsMade(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), nil, 0o600)) // Killed while it was made.
	report, err := Check(dir)
	require.NoError(t, err)
	require.Len(t, report.Problems, 1)
	require.NoError(t, openAt(t, dir).Close())
}
