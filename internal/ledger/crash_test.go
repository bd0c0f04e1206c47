package ledger

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// crashDir, in the environment, makes the test binary write to the ledger there until it is killed.
const crashDir = "TOCSIN_LEDGER_CRASH_DIR"

// crashMove, in the environment beside it, says that the write-ahead log is moved into the file meanwhile.
const crashMove = "TOCSIN_LEDGER_CRASH_MOVE"

// crashWriters is how many goroutines record at a time; each has one alert and one notification at a time.
const crashWriters = 6

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled records without end and prints a line for each thing that the ledger said is on disk:
// "record WRITER N", "enqueue WRITER ID", "settle WRITER ID N".
func writeUntilKilled(dir string) {
	l, err := Open(Options{Dir: dir, Retention: -1, MaxBytes: -1})
	if err != nil {
		panic(err)
	}
	instances, err := l.Instances()
	if err != nil {
		panic(err)
	}
	next := make([]int, crashWriters)
	for i := range instances {
		var g int
		_, err := fmt.Sscanf(instances[i].Labels.Get("instance"), "host-%d", &g)
		if err != nil {
			panic(err)
		}
		if g < crashWriters {
			next[g] = int(instances[i].Value*8) + 1
		}
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	for g := range crashWriters {
		go func() {
			for n := next[g]; ; n++ {
				writeOnce(l, g, n, say)
			}
		}()
	}
	l.keeper.close()
	k := newKeeper(l) // Much more upkeep than in life.
	for {
		k.flushed = time.Time{}
		k.flush(time.Now())
		if os.Getenv(crashMove) != "" {
			k.move()
		}
		time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
	}
}

// writeOnce records evaluation n of writer g: some transitions of it, the state it leads to, a state of another alert
// that comes and goes; then, now and then, a notification and its delivery.
func writeOnce(l *Ledger, g, n int, say func(string, ...any)) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	entries, changed, gone := crashBatch(g, n)
	must(l.Record(entries, changed, gone))
	say("record %d %d", g, n)
	if n%3 != 0 {
		return
	}
	id, err := l.Enqueue(Notification{Key: strconv.Itoa(g), Payload: []byte(strconv.Itoa(n))})
	must(err)
	say("enqueue %d %d", g, id)
	l.RecordDelivery(Delivery{
		At: start(), Receiver: "team", Outcome: Delivered, Notification: id, Attempt: n, Alerts: []DeliveredAlert{{Labels: labelsOf(g)}},
	})
	must(l.Settle(id))
	say("settle %d %d %d", g, id, n)
}

func crashBatch(g, n int) (entries []Entry, changed []Instance, gone []InstanceKey) {
	for range 1 + n%70 { // Sometimes more than a row takes.
		entries = append(entries, entryOf(g, n, alert.Firing))
	}
	changed = []Instance{instanceOf(g, n, alert.Firing)}
	if other := instanceOf(crashWriters+g, n, alert.Pending); n%2 == 0 {
		changed = append(changed, other)
	} else {
		gone = append(gone, other.Key())
	}
	return entries, changed, gone
}

// acked is what a child said was on disk.
type acked struct {
	records           [crashWriters]int
	enqueued, settled map[uint64]int
}

// TestKill kills a process that records, at a random moment, again and again on the same ledger. TOCSIN_CRASH_ROUNDS
// says how often.
func TestKill(t *testing.T) {
	rounds := 6
	if s := os.Getenv("TOCSIN_CRASH_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		rounds = n
	}
	r := newRand(t)
	dir := t.TempDir()
	a := &acked{enqueued: map[uint64]int{}, settled: map[uint64]int{}}
	for i := range a.records {
		a.records[i] = -1
	}
	for round := range rounds {
		after := time.Duration(r.IntN(250)) * time.Millisecond
		if round%2 == 0 {
			a.runAndKill(t, dir, after, crashMove+"=1")
			a.verify(t, dir)
		} else {
			a.runAndKill(t, dir, after)
			torn := tornCopy(t, r, dir)
			a.verify(t, dir)
			verifyTorn(t, torn)
		}
		if round%10 == 9 {
			dir = t.TempDir() // Not to read ever more.
			a = &acked{enqueued: map[uint64]int{}, settled: map[uint64]int{}}
			for i := range a.records {
				a.records[i] = -1
			}
		}
	}
}

// runAndKill starts a child and kills it some time after its first word.
func (a *acked) runAndKill(t *testing.T, dir string, after time.Duration, env ...string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(append(os.Environ(), crashDir+"="+dir), env...)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	kill := sync.OnceFunc(func() { time.AfterFunc(after, func() { child.Process.Kill() }) })
	for lines.Scan() {
		kill()
		f := strings.Fields(lines.Text())
		num := func(i int) int { n, err := strconv.Atoi(f[i]); require.NoError(t, err, lines.Text()); return n }
		switch {
		case len(f) == 3 && f[0] == "record":
			a.records[num(1)] = num(2)
		case len(f) == 3 && f[0] == "enqueue":
			a.enqueued[uint64(num(2))] = num(1)
		case len(f) == 4 && f[0] == "settle":
			a.settled[uint64(num(2))] = num(3)
		}
	}
	kill()
	require.Error(t, child.Wait(), "it was killed")
}

// verify opens the ledger and looks whether all that was said to be on disk is there, as a whole, and nothing by halves.
func (a *acked) verify(t *testing.T, dir string) {
	t.Helper()
	l := openAt(t, dir, func(o *Options) { o.Retention, o.MaxBytes = -1, -1 })
	all := entriesOf(t, l, Query{Limit: MaxLimit})
	at := make([]int, crashWriters) // The next evaluation that each writer's transitions are of.
	delivered := map[uint64]Delivery{}
	byWriter := make([][]Recorded, crashWriters)
	for _, e := range all {
		g := writerOf(t, &e.Entry)
		byWriter[g] = append(byWriter[g], e)
		for _, d := range e.Deliveries {
			delivered[d.Notification] = d
		}
	}
	for g, mine := range byWriter {
		for len(mine) > 0 {
			want, _, _ := crashBatch(g, at[g])
			require.GreaterOrEqual(t, len(mine), len(want), "writer %d: half of evaluation %d", g, at[g])
			for i := range want {
				require.Equal(t, want[i], mine[i].Entry)
			}
			mine = mine[len(want):]
			at[g]++
		}
		require.Greater(t, at[g], a.records[g], "writer %d: an acknowledged transition is lost", g)
		require.LessOrEqual(t, at[g], a.records[g]+2, "writer %d: only the last may be unknown", g)
		a.records[g] = at[g] - 1 // From here the next child goes on.
	}
	a.verifyStates(t, l, at)
	a.verifyOutbox(t, l, delivered)
	require.NoError(t, l.Close())
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	require.Equal(t, len(all), report.Transitions)
}

func writerOf(t *testing.T, e *Entry) int {
	t.Helper()
	var g int
	_, err := fmt.Sscanf(e.Labels.Get("instance"), "host-%d", &g)
	require.NoError(t, err)
	return g
}

// verifyStates: the state of each alert is the one that its last transition was recorded with.
func (a *acked) verifyStates(t *testing.T, l *Ledger, at []int) {
	t.Helper()
	states := stateOf(t, l)
	for g := range crashWriters {
		if at[g] == 0 {
			continue
		}
		_, changed, gone := crashBatch(g, at[g]-1)
		for _, in := range changed {
			require.Equal(t, in, states[in.Labels.Get("instance")])
		}
		for _, k := range gone {
			require.NotContains(t, states, k.Labels.Get("instance"))
		}
	}
}

// verifyOutbox: what was settled is out and its delivery recorded; of the rest, what was enqueued is in.
func (a *acked) verifyOutbox(t *testing.T, l *Ledger, delivered map[uint64]Delivery) {
	t.Helper()
	waiting, err := l.Waiting()
	require.NoError(t, err)
	in := map[uint64]bool{}
	unknown := make([]int, crashWriters)
	for _, n := range waiting {
		in[n.ID] = true
		require.NotContains(t, a.settled, n.ID)
		if _, known := a.enqueued[n.ID]; !known {
			g, err := strconv.Atoi(n.Key)
			require.NoError(t, err)
			unknown[g]++
			require.LessOrEqual(t, unknown[g], 1)
		}
		require.NoError(t, l.Settle(n.ID)) // For the next round.
		a.settled[n.ID] = -1
	}
	stored := storedDeliveries(t, l)
	for id, n := range a.settled {
		d, linked := delivered[id]
		require.True(t, n < 0 || stored[id] && linked && d.Attempt == n, "notification %d: settled as of %d, stored %t, linked %t",
			id, n, stored[id], linked)
	}
	for id := range a.enqueued {
		if _, settled := a.settled[id]; !settled && !in[id] { // It was being settled when the end came.
			require.True(t, stored[id], "notification %d: out of the outbox, but no delivery was recorded", id)
			a.settled[id] = -1
		}
	}
}

// storedDeliveries returns the notifications that some delivery in the log is of.
func storedDeliveries(t *testing.T, l *Ledger) map[uint64]bool {
	t.Helper()
	stored := map[uint64]bool{}
	rows, damaged, err := readRows(l.db.reader, 0, 1<<62, 1<<30)
	require.NoError(t, err)
	require.Empty(t, damaged)
	for _, r := range rows {
		for i := range r.deliveries {
			stored[r.deliveries[i].Notification] = true
		}
	}
	return stored
}

// tornCopy copies the files of a killed process and cuts the write-ahead log off, or writes noise into it: what the
// loss of power may leave where nothing of it has been moved: before it is, it is synced.
func tornCopy(t *testing.T, r *rand.Rand, dir string) string {
	t.Helper()
	to := copyFiles(t, dir)
	path := filepath.Join(to, fileName+"-wal")
	data, err := os.ReadFile(path)
	if err != nil || len(data) == 0 {
		return to
	}
	at := r.IntN(len(data))
	if r.IntN(2) == 0 {
		data = data[:at]
	} else {
		for i := at; i < min(at+r.IntN(8192), len(data)); i++ {
			data[i] = byte(r.Uint32())
		}
	}
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return to
}

// verifyTorn: whatever the write-ahead log lost, what is left is a moment of the past as a whole.
func verifyTorn(t *testing.T, dir string) {
	t.Helper()
	l := openAt(t, dir, func(o *Options) { o.Retention, o.MaxBytes = -1, -1 })
	at := make([]int, crashWriters)
	left := make([]int, crashWriters)
	for _, e := range entriesOf(t, l, Query{Limit: MaxLimit}) {
		g := writerOf(t, &e.Entry)
		if left[g] == 0 {
			entries, _, _ := crashBatch(g, at[g])
			left[g] = len(entries)
			at[g]++
		}
		left[g]--
	}
	require.Equal(t, make([]int, crashWriters), left)
	(&acked{}).verifyStates(t, l, at)
	require.NoError(t, l.Close())
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
}
