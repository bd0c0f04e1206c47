package notify

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

func newTestToldLog(t *testing.T, forgotten func()) *toldLog {
	t.Helper()
	log, err := nflog.New(nflog.Options{Retention: time.Hour, Metrics: prometheus.NewRegistry()})
	require.NoError(t, err)
	told, err := newToldLog(log, time.Hour, forgotten)
	require.NoError(t, err)
	return told
}

func saidThread(d *receiverData, m *message) string {
	s, _ := d.open(m).GetStr("threadTs")
	return s
}

func keepThread(t *testing.T, d *receiverData, m *message, thread string) {
	t.Helper()
	store := d.open(m)
	store.SetStr("threadTs", thread)
	require.NoError(t, d.keep(m, store))
}

// What an integration keeps with its messages is there for the next one, whether it was delivered before or after the
// pipeline logged it, and through a restart.
func TestReceiverData(t *testing.T) {
	open := func() *toldLog { return newTestToldLog(t, nil) }
	for _, loggedFirst := range []bool{false, true} {
		told := open()
		d := &receiverData{told}
		first := &message{Seq: time.Now().UnixNano(), target: target{"r", "slack", 0}, GroupKey: "g", Reason: amnotify.ReasonFirstNotification.String()}
		log := func(m *message) {
			require.NoError(t, told.Log(m.lane().receiver(), m.GroupKey, []uint64{1}, nil, nflog.NewStore(told.entry(m.lane())), time.Hour))
		}
		if loggedFirst {
			log(first)
		}
		require.Empty(t, saidThread(d, first))
		store := d.open(first)
		store.SetStr("threadTs", "17")
		require.NoError(t, d.keep(first, store))
		if !loggedFirst {
			log(first)
		}
		second := &message{Seq: time.Now().UnixNano(), target: first.target, GroupKey: "g", Reason: amnotify.ReasonNewAlertsInGroup.String()}
		require.Equal(t, "17", saidThread(d, second), loggedFirst)
		require.NoError(t, d.keep(second, d.open(second)))
		log(second)
		require.Equal(t, "17", saidThread(d, second))
		kept, err := told.of(second, time.Now())
		require.NoError(t, err)
		again := open()
		last, err := again.merge([]ledger.Told{kept})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{second.lane().String(): second.Seq}, last)
		require.Equal(t, "17", saidThread(&receiverData{again}, second))

		third := &message{target: first.target, GroupKey: "g", Reason: amnotify.ReasonFirstNotification.String()}
		require.Empty(t, saidThread(d, third), "a new thread")
	}
	_, err := open().merge([]ledger.Told{{Key: "x", Data: []byte("short")}, {Key: "y", Data: []byte("12345678garbage")}})
	require.Error(t, err)
}

// What goes to the fallback receiver no pipeline logs: what the integration keeps with it is in the log at once, as long as
// entries are.
func TestReceiverDataOfTheFallback(t *testing.T) {
	told := newTestToldLog(t, nil)
	d := &receiverData{told}
	m := &message{Seq: time.Now().UnixNano(), target: target{"spare", "slack", 0}, GroupKey: "g", FallbackFor: "r/slack[0]", RepeatInterval: time.Minute}
	keepThread(t, d, m, "17")
	require.Empty(t, told.fresh)
	require.Equal(t, "17", saidThread(d, m))
	next := *m
	next.Seq++
	keepThread(t, d, &next, "18")
	require.Empty(t, told.fresh)
	require.Equal(t, "18", saidThread(d, m))
	own := *m
	own.FallbackFor = ""
	require.Empty(t, saidThread(d, &own), "the receiver's own messages have nothing to do with it")
}

// Of messages that are delivered and never logged the data are kept within bounds.
func TestReceiverDataIsBounded(t *testing.T) {
	forgotten := 0
	told := newTestToldLog(t, func() { forgotten++ })
	d := &receiverData{told}
	for i := range freshKept + 1 {
		keepThread(t, d, &message{Seq: time.Now().UnixNano(), target: target{"r", "slack", 0}, GroupKey: strconv.Itoa(i)}, "17")
	}
	require.Equal(t, 1, forgotten)
	require.Len(t, told.fresh, 1)
}
