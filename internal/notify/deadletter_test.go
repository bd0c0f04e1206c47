package notify

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// withSpare is a configuration with a receiver and one that no route uses.
func withSpare(first, spare string) string {
	return fmt.Sprintf(`
route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: %q, timeout: 300ms}]
- name: spare
  webhook_configs: [{url: %q}, {url: %q}]
`, first, spare, spare+"/second")
}

// recordFiring records what the engine does before it sends a: that it fires.
func recordFiring(t *testing.T, l *ledger.Ledger, ls labels.Labels) {
	t.Helper()
	require.NoError(t, l.Record([]ledger.Entry{{Transition: alert.Transition{
		Rule: ls.Get("alertname"), From: alert.Pending, To: alert.Firing, Labels: ls, At: time.Now(), ActiveAt: time.Now(),
	}}}, nil, nil))
}

// recorded returns what the ledger tells of the deliveries of the newest transition.
func recorded(t *testing.T, l *ledger.Ledger) []ledger.Delivery {
	t.Helper()
	page, err := l.History(t.Context(), ledger.Query{Limit: 1})
	require.NoError(t, err)
	require.Len(t, page.Entries, 1)
	return page.Entries[0].Deliveries
}

func deadLettersOf(t *testing.T, n *Notifier) []Pending {
	t.Helper()
	dead, err := n.DeadLetters()
	require.NoError(t, err)
	return dead
}

func TestRefusedForGood(t *testing.T) {
	h, spare := newHook(t), newHook(t)
	h.answer(http.StatusBadRequest)
	reg := prometheus.NewRegistry()
	s := quick()
	s.FallbackReceiver, s.MaxBackoff = "spare", time.Hour // Once, then.
	n := startWithLedger(t, Options{Registerer: reg, Settings: s}, withSpare(h.URL, spare.URL))
	a := firing("A", "i", "1")
	send(n, a)
	eventually(t, "both of the fallback receiver's are told at once", func() bool { return len(spare.got()) == 2 })
	require.Empty(t, deadLettersOf(t, n), "it is tried on")
	send(n, over(a))
	eventually(t, "what was refused makes way for what comes behind it", func() bool { return len(deadLettersOf(t, n)) == 1 })
	dead := deadLettersOf(t, n)[0]
	require.Contains(t, dead.LastError, "refused: unexpected status code 400")
	require.Equal(t, []any{"hook", "webhook", 0}, []any{dead.Receiver, dead.Integration, dead.Index})
	require.Equal(t, labels.FromStrings("alertname", "A", "i", "1"), dead.Alerts[0].Labels)
	require.Equal(t, "spare", spare.got()[0].Receiver)
	eventually(t, "the fallback receiver hears of the end, too", func() bool { return len(spare.got()) == 4 })
	calm()
	require.Equal(t, 2, h.called())
	require.Len(t, spare.got(), 4)
	require.True(t, deadLettersOf(t, n)[0].FallbackSent)
	require.Equal(t, 1.0, metric(t, reg, "tocsin_notify_outbox_dead_total", "reason=refused"))
	require.Equal(t, 2.0, metric(t, reg, "alertmanager_notifications_failed_total", "integration=webhook", "reason=clientError"))
	require.Equal(t, 2.0, metric(t, reg, "alertmanager_notification_requests_failed_total", "integration=webhook"))

	h.answer(http.StatusOK)
	require.NoError(t, n.Resend(n.Waiting()[0].ID))
	eventually(t, "the end is told", func() bool { return len(h.got()) == 1 && len(n.Waiting()) == 0 })
	require.NoError(t, n.Resend(dead.ID))
	eventually(t, "and what a person wants told", func() bool { return len(h.got()) == 2 && len(deadLettersOf(t, n)) == 0 })
	require.Len(t, spare.got(), 4, "the fallback receiver was told before")
	require.ErrorIs(t, n.Resend(dead.ID+100), ledger.ErrNoSuchEntry)
	require.Equal(t, 2.0, metric(t, reg, "alertmanager_notifications_total", "integration=webhook"))
	eventually(t, "nothing is left", func() bool { return metric(t, reg, "tocsin_notify_outbox_waiting") == 0 })
}

// A receiver that refuses for a while, as one whose token is renewed, is told by itself afterwards, also after a restart.
func TestRefusedForAWhile(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusUnauthorized)
	dir := t.TempDir()
	yaml := withSpare(h.URL, h.URL)
	n, _ := afterCrashAt(t, dir, yaml)
	send(n, firing("A"))
	eventually(t, "refused again and again", func() bool { return h.called() >= 3 })
	require.Len(t, n.Waiting(), 1)
	require.Contains(t, n.Waiting()[0].LastError, "unexpected status code 401")
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
	n, _ = afterCrashAt(t, dir, yaml)
	h.answer(http.StatusOK)
	eventually(t, "told", func() bool { return len(h.got()) == 1 && len(n.Waiting()) == 0 })
	require.Empty(t, deadLettersOf(t, n))
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
}

func TestTooOld(t *testing.T) {
	h, spare := newHook(t), newHook(t)
	h.answer(http.StatusInternalServerError)
	reg := prometheus.NewRegistry()
	s := quick()
	s.FallbackReceiver, s.FallbackAfter, s.DeadLetterAfter = "spare", 300*time.Millisecond, 2*time.Second
	n := startWithLedger(t, Options{Registerer: reg, Settings: s}, withSpare(h.URL, spare.URL))
	a := firing("A")
	send(n, a)
	eventually(t, "the fallback receiver is told", func() bool { return len(spare.got()) == 2 })
	require.Empty(t, deadLettersOf(t, n), "it is tried on")
	send(n, over(a))
	eventually(t, "both are dead letters", func() bool { return len(deadLettersOf(t, n)) == 2 })
	require.Contains(t, deadLettersOf(t, n)[0].LastError, "not delivered for 2s")
	require.Empty(t, n.Waiting())
	eventually(t, "also of the end", func() bool { return len(spare.got()) == 4 })

	h.answer(http.StatusOK)
	dead := deadLettersOf(t, n)
	require.NoError(t, n.Discard(dead[1].ID))
	require.NoError(t, n.Resend(dead[0].ID))
	eventually(t, "told", func() bool { return len(h.got()) == 1 && len(deadLettersOf(t, n)) == 0 })
	require.ErrorIs(t, n.Discard(dead[1].ID), ledger.ErrNoSuchEntry)
	require.Equal(t, 2.0, metric(t, reg, "tocsin_notify_outbox_dead_total", "reason=too_old"))
	require.Equal(t, 4.0, metric(t, reg, "tocsin_notify_outbox_fallbacks_total", "status=sent"))
}

func TestReceiverIsGone(t *testing.T) {
	h, other := newHook(t), newHook(t)
	h.answer(http.StatusInternalServerError)
	n := startWithLedger(t, Options{}, simple(h.URL, ""))
	send(n, firing("A"))
	eventually(t, "waits", func() bool { return len(n.Waiting()) == 1 })

	// One that no route uses any more is told all the same.
	unused := fmt.Sprintf("route: {receiver: other}\nreceivers: [{name: other}, {name: hook, webhook_configs: [{url: %q}]}]\n", h.URL)
	require.NoError(t, n.Apply(load(t, unused)))
	time.Sleep(200 * time.Millisecond)
	require.Len(t, n.Waiting(), 1)

	require.NoError(t, n.Apply(load(t, fmt.Sprintf("route: {receiver: other}\nreceivers: [{name: other, webhook_configs: [{url: %q}]}]\n", other.URL))))
	eventually(t, "it is a dead letter", func() bool { return len(deadLettersOf(t, n)) == 1 })
	require.Equal(t, "the configuration has no integration hook/webhook[0] any more", deadLettersOf(t, n)[0].LastError)
}

// What waits for a receiver that no route uses after a restart is delivered all the same.
func TestReceiverIsUnusedAfterARestart(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusInternalServerError)
	dir := t.TempDir()
	n, _ := afterCrashAt(t, dir, simple(h.URL, ""))
	send(n, firing("A"))
	eventually(t, "waits", func() bool { w := n.Waiting(); return len(w) == 1 && w[0].ID != 0 })
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
	h.answer(http.StatusOK)
	n, _ = afterCrashAt(t, dir, fmt.Sprintf("route: {receiver: other}\nreceivers: [{name: other}, {name: hook, webhook_configs: [{url: %q}]}]\n", h.URL))
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	settled(t, n.opts.Ledger)
	require.Empty(t, deadLettersOf(t, n))
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
}

func TestFallbackReceiverMustBeThere(t *testing.T) {
	h := newHook(t)
	n := startWithLedger(t, Options{}, simple(h.URL, ""))
	err := n.ApplyWith(load(t, simple(h.URL, "")), Settings{FallbackReceiver: "nobody"})
	require.EqualError(t, err, `notifications.fallback_receiver: the alertmanager configuration has no receiver "nobody"`)
	send(n, firing("A"))
	eventually(t, "the configuration before is in force", func() bool { return len(h.got()) == 1 })
}

// What is too much for the outbox stays with the pipeline, which tries it again.
func TestOutboxIsBounded(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusInternalServerError)
	reg := prometheus.NewRegistry()
	s := quick()
	s.MaxWaiting = 2
	n := startWithLedger(t, Options{Registerer: reg, Settings: s}, simple(h.URL, ""))
	send(n, firing("A"), firing("B"), firing("C"), firing("D"))
	eventually(t, "full", func() bool { return metric(t, reg, "tocsin_notify_outbox_enqueue_failures_total", "reason=full") > 0 })
	require.Len(t, n.Waiting(), 2)
	h.answer(http.StatusOK)
	eventually(t, "all are told", func() bool { return len(h.got()) == 4 })
}

// A repeat takes the place of what waits and says the same.
func TestRepeatReplaces(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusInternalServerError)
	n := startWithLedger(t, Options{}, fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
`, h.URL))
	send(n, firing("A"))
	eventually(t, "waits", func() bool { w := n.Waiting(); return len(w) == 1 && w[0].ID != 0 })
	first := n.Waiting()[0]
	eventually(t, "repeated", func() bool {
		kept, err := n.opts.Ledger.Waiting()
		require.NoError(t, err)
		require.LessOrEqual(t, len(kept), 2, "one may come while the other is under way")
		m, err := decodeMessage(kept[0].Payload)
		require.NoError(t, err)
		return m.Reason == "repeat interval elapsed" && kept[0].ID == first.ID && len(kept) == 1 && kept[0].CreatedAt.Equal(first.CreatedAt)
	})
	eventually(t, "and nothing else waits", func() bool { w := n.Waiting(); return len(w) == 1 && w[0].ID == first.ID })
	require.Equal(t, first.CreatedAt, n.Waiting()[0].CreatedAt)
}

// What is discarded while it is under way, as it is most of the time where a receiver hangs, is not tried again.
func TestDiscardedUnderWay(t *testing.T) {
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadRequest} {
		h := newHook(t).block()
		h.answer(status)
		reg := prometheus.NewRegistry()
		n := startWithLedger(t, Options{Registerer: reg}, strings.ReplaceAll(withSpare(h.URL, h.URL), "300ms", "20s"))
		send(n, firing("A"))
		eventually(t, "under way", func() bool { w := n.Waiting(); return len(w) == 1 && w[0].ID != 0 && w[0].Delivering })
		id := n.Waiting()[0].ID
		require.NoError(t, n.Discard(id))
		require.Empty(t, n.Waiting())
		require.ErrorIs(t, n.Discard(id), ledger.ErrNoSuchEntry)
		h.release()
		eventually(t, "over", func() bool { return metric(t, reg, "tocsin_notify_outbox_waiting") == 0 })
		h.answer(http.StatusOK)
		calm()
		require.Equal(t, 1, h.called(), "nobody is told")
		require.Empty(t, deadLettersOf(t, n))
		require.Zero(t, metric(t, reg, "tocsin_notify_outbox_dead_total", "reason=refused"))
	}
}

// Repeats of what is refused take the place of the dead letter that they repeat, also after a restart; news does not.
func TestRepeatOfADeadLetter(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusBadRequest)
	dir := t.TempDir()
	yaml := strings.ReplaceAll(withSpare(h.URL, h.URL), "repeat_interval: 1h", "repeat_interval: 1s")
	s := quick()
	s.DeadLetterAfter, s.MaxBackoff = 200*time.Millisecond, time.Hour
	begin := func() *Notifier { return start(t, Options{Ledger: openLedger(t, dir), Settings: s}, yaml) }
	n := begin()
	send(n, firing("A"))
	eventually(t, "refused again and again", func() bool { return h.called() >= 3 })
	eventually(t, "one dead letter, of one attempt", func() bool { d := deadLettersOf(t, n); return len(d) == 1 && d[0].Attempts == 1 })
	first := deadLettersOf(t, n)[0].ID
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())

	n = begin()
	a := firing("A")
	send(n, a)
	eventually(t, "another in its place", func() bool { d := deadLettersOf(t, n); return len(d) == 1 && d[0].ID > first })
	send(n, over(a))
	eventually(t, "the end beside it", func() bool { return len(deadLettersOf(t, n)) == 2 })
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
}
