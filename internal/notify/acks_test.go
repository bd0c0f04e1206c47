package notify

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// repeating is a configuration that repeats each second.
func repeating(url string) string {
	return fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
`, url)
}

// quiet waits for the repeats that may be under way, and reports how many messages there are then.
func quiet(h *hook) int {
	calm()
	return len(h.got())
}

func TestAcknowledgedAlertsAreNotRepeated(t *testing.T) {
	h := newHook(t)
	n := startWithLedger(t, Options{}, repeating(h.URL))
	n.ApplyAlerting(relabelling())
	first, second := firing("A", "i", "1"), firing("A", "i", "2")
	recordFiring(t, n.opts.Ledger, first.Labels)
	send(n, first)
	eventually(t, "repeated", func() bool { return len(h.got()) >= 2 })

	ack, err := n.Acknowledge(ledger.Ack{Labels: first.Labels, Owner: "ada", Comment: "looking"})
	require.NoError(t, err)
	require.NotZero(t, ack.ID)
	require.Len(t, n.Acks(), 1)
	told := quiet(h)
	calm()
	calm()
	require.Len(t, h.got(), told, "no repeats")
	muted := 0
	for _, d := range recorded(t, n.opts.Ledger) {
		if d.Outcome == ledger.Muted {
			muted++
			require.Equal(t, "acknowledged by ada", d.Answer)
			require.Equal(t, "webhook", d.Integration)
		}
	}
	require.Equal(t, 1, muted, "recorded once")

	send(n, second)
	eventually(t, "a new alert of the group is told", func() bool { return h.count("firing", "i", "2") > 0 })
	told = len(h.got())
	eventually(t, "and repeated, for it is not acknowledged", func() bool { return len(h.got()) >= told+2 })
	send(n, over(second))
	eventually(t, "its end is told", func() bool { return h.count("resolved", "i", "2") > 0 })
	told = quiet(h)
	calm()
	require.Len(t, h.got(), told)

	require.NoError(t, n.Unacknowledge(ack.ID))
	eventually(t, "repeated again", func() bool { return len(h.got()) >= told+2 })
	require.ErrorIs(t, n.Unacknowledge(ack.ID), ledger.ErrNoSuchEntry)
	require.Empty(t, n.Acks())
}

// An acknowledgement is of one episode.
func TestAcknowledgementEndsWithTheAlert(t *testing.T) {
	h := newHook(t)
	n := startWithLedger(t, Options{}, repeating(h.URL))
	a := firing("A")
	send(n, a)
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	_, err := n.Acknowledge(ledger.Ack{Labels: a.Labels, Owner: "ada"})
	require.NoError(t, err)
	send(n, over(a))
	eventually(t, "the end is told", func() bool { return h.count("resolved", "alertname", "A") > 0 })
	require.Empty(t, n.Acks())
	eventually(t, "written down", func() bool {
		held, err := n.opts.Ledger.Acks()
		require.NoError(t, err)
		return len(held) == 0
	})
	send(n, firing("A"))
	eventually(t, "told anew and repeated", func() bool { return h.count("firing", "alertname", "A") >= 3 })
}

func TestAcknowledgementsSurviveARestart(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	a := firing("A")
	n, _ := afterCrashAt(t, dir, repeating(h.URL))
	send(n, a)
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	_, err := n.Acknowledge(ledger.Ack{Labels: a.Labels, Owner: "ada", Until: time.Now().Add(6 * time.Second)})
	require.NoError(t, err)
	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
	told := len(h.got())
	n, _ = afterCrashAt(t, dir, repeating(h.URL))
	defer func() { n.Stop(); require.NoError(t, n.opts.Ledger.Close()) }()
	require.Len(t, n.Acks(), 1)
	send(n, a)
	calm()
	require.LessOrEqual(t, len(h.got()), told+1, "at most the repeat that was under way")
	eventually(t, "repeated when the acknowledgement is over", func() bool { return len(h.got()) >= told+2 })
	require.Empty(t, n.Acks())
}

func TestAcknowledgementsAreChecked(t *testing.T) {
	n := startWithLedger(t, Options{}, "")
	for _, bad := range []ledger.Ack{
		{Owner: "ada"}, {Labels: labels.FromStrings("a", "b")},
		{Labels: labels.FromStrings("a", "b"), Owner: "ada", Until: time.Now().Add(-time.Second)},
	} {
		_, err := n.Acknowledge(bad)
		require.Error(t, err)
	}
	without := start(t, Options{}, "")
	_, err := without.Acknowledge(ledger.Ack{})
	require.ErrorIs(t, err, errNoLedger)
	require.ErrorIs(t, without.Unacknowledge(1), errNoLedger)
	require.Empty(t, without.Acks())
}

func flapping(a alert.Outgoing, since time.Time) alert.Outgoing {
	a.Flapping, a.StartsAt, a.EndsAt = true, since, time.Now().Add(time.Hour)
	return a
}

// toldOfFlapping is how many messages said that an alert flaps.
func toldOfFlapping(h *hook) (n int) {
	for _, m := range h.got() {
		for _, a := range m.Alerts {
			if a.Annotations[AnnotationFlapping] == "true" {
				n++
			}
		}
	}
	return n
}

// That an alert flaps is told once, though Alertmanager sees nothing new, and it is not repeated until it is calm.
func TestFlappingIsToldOnce(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	n, _ := afterCrashAt(t, dir, repeating(h.URL))
	a := firing("A")
	send(n, a)
	eventually(t, "told", func() bool { return len(h.got()) >= 1 })
	since := time.Now()
	send(n, flapping(a, since))
	eventually(t, "told that it flaps", func() bool { return toldOfFlapping(h) == 1 })
	calm()
	calm()
	require.Equal(t, 1, toldOfFlapping(h))

	n.Stop()
	require.NoError(t, n.opts.Ledger.Close())
	n, _ = afterCrashAt(t, dir, repeating(h.URL))
	defer func() { n.Stop(); require.NoError(t, n.opts.Ledger.Close()) }()
	send(n, flapping(a, since))
	calm()
	require.Equal(t, 1, toldOfFlapping(h), "a restart does not say it again")
	told := len(h.got())

	send(n, flapping(firing("B"), time.Now()))
	eventually(t, "one that flaps from its first notification on", func() bool { return len(h.got()) == told+1 })
	calm()
	require.Len(t, h.got(), told+1)

	send(n, firing("A"))
	eventually(t, "repeated when it is calm", func() bool { return len(h.got()) >= told+3 })
	require.Equal(t, 2, toldOfFlapping(h))
}

// An alert that begins to flap while a message that does not say so is delivered is news still.
func TestFlappingBeginsDuringADelivery(t *testing.T) {
	now := time.Now()
	key := laneKey{target{"r", "webhook", 0}, "g"}
	calm := firing("A")
	plain, flaps := fromOutgoing(&calm, now, time.Hour), newFlaps(now)
	o := flapping(firing("A"), now)
	said := fromOutgoing(&o, now, time.Hour)
	flaps.set(plain.Fingerprint(), true, now)
	flaps.told(key, []*amalert.Alert{plain})
	require.True(t, flaps.news(key, []*amalert.Alert{said}, now))
	flaps.told(key, []*amalert.Alert{said})
	require.False(t, flaps.news(key, []*amalert.Alert{said}, now))
}

// The annotations are of what ended, has no data or is flapping; what just fires is exactly Alertmanager's.
func TestAnnotations(t *testing.T) {
	now := time.Now()
	base := alert.Outgoing{
		Labels: labels.FromStrings("alertname", "A"), Annotations: labels.FromStrings("summary", "x"), Reason: alert.Cleared,
		Clearing: alert.Reading{Value: 0.25, Known: true}, Duration: 4*time.Minute + 12*time.Second + 300*time.Millisecond,
	}
	for name, c := range map[string]struct {
		change func(*alert.Outgoing)
		want   []string
	}{
		"firing":   {func(o *alert.Outgoing) { o.EndsAt = now.Add(time.Minute) }, nil},
		"no end":   {func(*alert.Outgoing) {}, nil},
		"ended":    {func(o *alert.Outgoing) { o.EndsAt = now }, []string{"tocsin_clearing_value", "0.25", "tocsin_duration", "4m12s", "tocsin_reason", "cleared"}},
		"unknown":  {func(o *alert.Outgoing) { o.EndsAt = now; o.Clearing.Known = false; o.Duration = 30 * time.Millisecond }, []string{"tocsin_duration", "30ms", "tocsin_reason", "cleared"}},
		"no data":  {func(o *alert.Outgoing) { o.EndsAt = now.Add(time.Minute); o.NoData = true }, []string{"tocsin_nodata", "true"}},
		"flapping": {func(o *alert.Outgoing) { o.EndsAt = now.Add(time.Minute); o.Flapping = true }, []string{"tocsin_flapping", "true"}},
	} {
		o := base
		c.change(&o)
		require.Equal(t, labels.FromStrings(append([]string{"summary", "x"}, c.want...)...), annotated(&o, now), name)
	}

	h := newHook(t)
	n := start(t, Options{}, simple(h.URL, ""))
	a := firing("A")
	send(n, a)
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	ended := over(a)
	ended.Reason, ended.Duration, ended.Clearing = base.Reason, base.Duration, base.Clearing
	send(n, ended)
	eventually(t, "the end is told", func() bool { return len(h.got()) == 2 })
	require.Empty(t, h.got()[0].Alerts[0].Annotations)
	require.Equal(t, map[string]string{"tocsin_clearing_value": "0.25", "tocsin_duration": "4m12s", "tocsin_reason": "cleared"},
		h.got()[1].Alerts[0].Annotations)
}

// What is over by itself is not kept in memory until its alert ends.
func TestAcknowledgementsThatAreOverAreForgotten(t *testing.T) {
	now := time.Now()
	of := func(id uint64, until time.Time) ledger.Ack {
		return ledger.Ack{ID: id, Labels: labels.FromStrings("i", strconv.Itoa(int(id))), At: now, Until: until}
	}
	a := newAcks([]ledger.Ack{of(1, now.Add(time.Second)), of(2, now.Add(time.Hour)), of(3, time.Time{})})
	a.prune(now.Add(time.Minute))
	require.Len(t, a.byHash, 2)
	for id, want := range map[uint64]bool{1: false, 2: true, 3: true} {
		ack := of(id, time.Time{})
		_, ok := a.of(ack.Labels, now, now)
		require.Equal(t, want, ok, id)
	}
}
