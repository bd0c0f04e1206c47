package notify

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

// snapshotDir copies a directory as it is at this moment: what a kill -9 would leave. SQLite's files are copied in the order
// that keeps them consistent: the write-ahead log last never tells of pages that the file does not have.
func snapshotDir(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, name), data, 0o640))
	}
	return to
}

// afterCrash starts a Notifier on what a crash left.
func afterCrash(t *testing.T, dir, yaml string) (*Notifier, *prometheus.Registry) {
	t.Helper()
	l := openLedger(t, dir)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Ledger: l, Registerer: reg, Settings: quick()}, yaml)
	t.Cleanup(func() { n.Stop(); require.NoError(t, l.Close()) })
	return n, reg
}

func settled(t *testing.T, l *ledger.Ledger) {
	t.Helper()
	eventually(t, "the outbox is empty", func() bool {
		w, err := l.Waiting()
		require.NoError(t, err)
		return len(w) == 0
	})
}

// calm waits a bit longer than a group_interval, so that what is told again is told by then.
func calm() { time.Sleep(1500 * time.Millisecond) }

// A message is told once, though the process dies at any step, and the notification log with it; only one whose receiver
// took it before that was written is told twice.
func TestCrashAtEachStep(t *testing.T) {
	t.Run("before the attempt's answer", func(t *testing.T) {
		h := newHook(t).block()
		dir := t.TempDir()
		l := openLedger(t, dir)
		n := start(t, Options{Ledger: l, Settings: quick(), DrainTimeout: time.Millisecond}, simple(h.URL, ""))
		a := firing("A")
		send(n, a)
		eventually(t, "it is in the outbox", func() bool { w, err := l.Waiting(); return err == nil && len(w) == 1 })
		crashed := snapshotDir(t, dir)
		n.Stop()
		require.NoError(t, l.Close())
		h.release()
		taken := len(h.got()) // By the attempt that the process before had begun.

		n, _ = afterCrash(t, crashed, simple(h.URL, ""))
		eventually(t, "told", func() bool { return len(h.got()) == taken+1 })
		send(n, a)
		settled(t, n.opts.Ledger)
		calm()
		require.Len(t, h.got(), taken+1)
		require.Equal(t, "first notification", h.got()[taken].Reason)
	})
	t.Run("after the delivery was noted", func(t *testing.T) {
		h := newHook(t)
		dir := t.TempDir()
		l := openLedger(t, dir)
		n := start(t, Options{Ledger: l, Settings: quick()}, simple(h.URL, ""))
		a := firing("A")
		send(n, a)
		eventually(t, "told", func() bool { return len(h.got()) == 1 })
		eventually(t, "noted", func() bool { told, err := l.Told(); return err == nil && len(told) == 1 })
		settled(t, l)
		crashed := snapshotDir(t, dir)
		n.Stop()
		require.NoError(t, l.Close())

		n, _ = afterCrash(t, crashed, simple(h.URL, "")) // There is no notification log beside the ledger.
		send(n, a)
		calm()
		require.Len(t, h.got(), 1, "it was told before")
		send(n, over(a))
		eventually(t, "the end is told", func() bool { return h.count("resolved", "alertname", "A") == 1 })
	})
	t.Run("before it was written", func(t *testing.T) {
		h := newHook(t)
		n, _ := afterCrash(t, t.TempDir(), simple(h.URL, ""))
		send(n, firing("A"))
		eventually(t, "told", func() bool { return len(h.got()) == 1 })
	})
}

// What waits goes on where it was after an ordinary restart: in order, nothing lost, nothing twice.
func TestRestartGoesOn(t *testing.T) {
	f := newFaulty(t, status(http.StatusServiceUnavailable))
	dir := t.TempDir()
	yaml := fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
`, f.URL)
	for i := range 3 {
		n, _ := afterCrashAt(t, dir, yaml)
		send(n, firing("A", "i", strconv.Itoa(i)))
		eventually(t, "it is in the outbox", func() bool { w, err := n.opts.Ledger.Waiting(); return err == nil && len(w) == i+1 })
		n.Stop()
		require.NoError(t, n.opts.Ledger.Close())
	}
	f.mend()
	n, _ := afterCrashAt(t, dir, yaml)
	settled(t, n.opts.Ledger)
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
	require.Len(t, f.got(), 3)
	for i, m := range f.got() {
		require.Equal(t, strconv.Itoa(i), m.Alerts[0].Labels["i"])
	}
}

// afterCrashAt is afterCrash that leaves stopping and closing to the test.
func afterCrashAt(t *testing.T, dir, yaml string) (*Notifier, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	n := start(t, Options{Ledger: openLedger(t, dir), Registerer: reg, Settings: quick()}, yaml)
	return n, reg
}

// An older message of a lane must not be told after a newer one, though the crash came before the older one was noted as
// delivered: people would take for the present what is over.
func TestStaleMessageIsNotTold(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	l := openLedger(t, dir)
	at := target{"hook", "webhook", 0}
	old := &message{Version: messageVersion, Seq: 5, target: at, GroupKey: "g", Alerts: []messageAlert{{}}}
	payload, err := old.encode()
	require.NoError(t, err)
	newer, err := toldData(6, nil)
	require.NoError(t, err)
	_, err = l.ChangeOutbox(ledger.OutboxChange{
		Enqueue: []ledger.Notification{{Key: old.lane().String(), Payload: payload, CreatedAt: time.Unix(0, 5)}},
		Told:    []ledger.Told{{Key: old.lane().String(), Data: newer, Expires: time.Now().Add(time.Hour)}},
	})
	require.NoError(t, err)
	n := start(t, Options{Ledger: l, Settings: quick()}, simple(h.URL, ""))
	settled(t, l)
	n.Stop()
	require.NoError(t, l.Close())
	require.Empty(t, h.got())
}

// Where the ledger cannot write, alerts go out as without one.
func TestLedgerThatCannotWrite(t *testing.T) {
	h := newHook(t)
	reg := prometheus.NewRegistry()
	l := openLedger(t, t.TempDir())
	n := start(t, Options{Ledger: l, Registerer: reg, Settings: quick()}, simple(h.URL, ""))
	require.NoError(t, l.Close())
	a := firing("A")
	send(n, a)
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	eventually(t, "counted", func() bool { return metric(t, reg, "tocsin_notify_outbox_enqueue_failures_total") >= 1 })
	h.answer(http.StatusInternalServerError)
	send(n, over(a))
	eventually(t, "tried again by the pipeline", func() bool { return h.called() > 3 })
	h.answer(http.StatusOK)
	eventually(t, "told of the end", func() bool { return h.count("resolved", "alertname", "A") == 1 })
	eventually(t, "nothing is left", func() bool { return metric(t, reg, "tocsin_notify_outbox_waiting") == 0 })
	calm()
	require.Len(t, h.got(), 2)
}
