package notify

import (
	"testing"
	"time"

	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

// What an integration keeps with its messages is there for the next one, whether it was delivered before or after the
// pipeline logged it, and through a restart.
func TestReceiverData(t *testing.T) {
	open := func() *toldLog {
		log, err := nflog.New(nflog.Options{Retention: time.Hour, Metrics: prometheus.NewRegistry()})
		require.NoError(t, err)
		told, err := newToldLog(log, time.Hour)
		require.NoError(t, err)
		return told
	}
	said := func(d *receiverData, m *message) string {
		s, _ := d.open(m).GetStr("threadTs")
		return s
	}
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
		require.Empty(t, said(d, first))
		store := d.open(first)
		store.SetStr("threadTs", "17")
		require.NoError(t, d.keep(first, store))
		if !loggedFirst {
			log(first)
		}
		second := &message{Seq: time.Now().UnixNano(), target: first.target, GroupKey: "g", Reason: amnotify.ReasonNewAlertsInGroup.String()}
		require.Equal(t, "17", said(d, second), loggedFirst)
		require.NoError(t, d.keep(second, d.open(second)))
		log(second)
		require.Equal(t, "17", said(d, second))
		kept, err := told.of(second, time.Now())
		require.NoError(t, err)
		again := open()
		last, err := again.merge([]ledger.Told{kept})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{second.lane().String(): second.Seq}, last)
		require.Equal(t, "17", said(&receiverData{again}, second))

		third := &message{target: first.target, GroupKey: "g", Reason: amnotify.ReasonFirstNotification.String()}
		require.Empty(t, said(d, third), "a new thread")
	}
	_, err := open().merge([]ledger.Told{{Key: "x", Data: []byte("short")}, {Key: "y", Data: []byte("12345678garbage")}})
	require.Error(t, err)
}
