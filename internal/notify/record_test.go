package notify

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

// relabelling changes the labels of alerts on their way out.
func relabelling() *promconfig.Config {
	c := promconfig.DefaultConfig
	c.GlobalConfig.ExternalLabels = labels.FromStrings("region", "eu")
	return &c
}

func outcomes(all []ledger.Delivery) (out []ledger.Outcome) {
	for _, d := range all {
		out = append(out, d.Outcome)
	}
	return out
}

// Attempts are recorded with the labels that the rule engine knows, not with those that receivers see.
func TestAttemptsAreRecorded(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusInternalServerError)
	n := startWithLedger(t, Options{}, simple(h.URL, ""))
	n.ApplyAlerting(relabelling())
	a := firing("A", "i", "1")
	recordFiring(t, n.opts.Ledger, a.Labels)
	send(n, a)
	eventually(t, "two attempts", func() bool { return h.called() >= 2 })
	h.answer(http.StatusOK)
	eventually(t, "told", func() bool { return len(h.got()) == 1 })
	require.Equal(t, "eu", h.got()[0].Alerts[0].Labels["region"])
	eventually(t, "recorded", func() bool {
		all := recorded(t, n.opts.Ledger)
		return len(all) == h.called() && len(all) > 2
	})
	all := recorded(t, n.opts.Ledger)
	for i, d := range all[:len(all)-1] {
		require.Equal(t, ledger.Failed, d.Outcome)
		require.Equal(t, i+1, d.Attempt)
		require.Contains(t, d.Answer, "unexpected status code 500")
	}
	last := all[len(all)-1]
	require.Equal(t, ledger.Delivered, last.Outcome)
	require.Equal(t, "200 OK", last.Answer)
	require.Equal(t, []any{"hook", "webhook", 0, "{}"}, []any{last.Receiver, last.Integration, last.Index, last.Route})
	require.Equal(t, `{}:{alertname="A", i="1", region="eu"}`, last.GroupKey)
	require.NotZero(t, last.Notification)
	require.Positive(t, last.Latency)
}

func TestRefusalIsRecorded(t *testing.T) {
	h := newHook(t)
	h.answer(http.StatusUnauthorized)
	n := startWithLedger(t, Options{}, simple(h.URL, ""))
	a := firing("A")
	recordFiring(t, n.opts.Ledger, a.Labels)
	send(n, a)
	eventually(t, "recorded", func() bool { return len(recorded(t, n.opts.Ledger)) == 1 })
	require.Equal(t, ledger.Failed, recorded(t, n.opts.Ledger)[0].Outcome, "it is tried again")
	s := quick()
	s.DeadLetterAfter = time.Millisecond
	require.NoError(t, n.ApplyWith(load(t, simple(h.URL, "")), s))
	eventually(t, "given up", func() bool {
		all := recorded(t, n.opts.Ledger)
		return slices.Contains([]ledger.Outcome{ledger.GaveUp, ledger.Dead}, all[len(all)-1].Outcome)
	})
}

// Being muted is recorded when it begins and when its reason changes, not at every flush.
func TestMutingIsRecordedOnce(t *testing.T) {
	h := newHook(t)
	n := startWithLedger(t, Options{}, simple(h.URL, `
inhibit_rules:
- {source_matchers: [alertname="Down"], target_matchers: [alertname="Slow"]}
`))
	n.ApplyAlerting(relabelling())
	code, body := call(t, n.Handler(), http.MethodPost, "/api/v2/silences", `{"matchers":[{"name":"alertname","value":"Slow","isRegex":false}],
		"startsAt":"2020-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","createdBy":"ada","comment":"known"}`)
	require.Equal(t, http.StatusOK, code, body)
	slow, down := firing("Slow"), firing("Down")
	recordFiring(t, n.opts.Ledger, slow.Labels)
	send(n, slow)
	eventually(t, "recorded", func() bool { return len(recorded(t, n.opts.Ledger)) == 1 })
	calm()
	calm()
	all := recorded(t, n.opts.Ledger)
	require.Len(t, all, 1)
	require.Equal(t, ledger.Muted, all[0].Outcome)
	require.Regexp(t, `^silenced by [0-9a-f-]+ \(ada: known\) until 2099-01-01T00:00:00Z$`, all[0].Answer)
	require.Equal(t, "hook", all[0].Receiver)

	send(n, down)
	eventually(t, "the other reason is recorded", func() bool { return len(recorded(t, n.opts.Ledger)) == 2 })
	require.Equal(t, `inhibited by {alertname="Down", region="eu"}`, recorded(t, n.opts.Ledger)[1].Answer)
	require.Len(t, h.got(), 1, "of the other alert")
}

func TestTimeIntervalsAreRecorded(t *testing.T) {
	h := newHook(t)
	n := startWithLedger(t, Options{}, `
route:
  receiver: hook
  routes: [{matchers: [alertname="A"], group_wait: 0s, group_interval: 1s, mute_time_intervals: [always]}]
receivers: [{name: hook, webhook_configs: [{url: '`+h.URL+`'}]}]
time_intervals: [{name: always, time_intervals: [{years: ['2000:2100']}]}]
`)
	a := firing("A")
	recordFiring(t, n.opts.Ledger, a.Labels)
	send(n, a)
	eventually(t, "recorded", func() bool { return len(recorded(t, n.opts.Ledger)) == 1 })
	calm()
	require.Equal(t, []ledger.Outcome{ledger.Muted}, outcomes(recorded(t, n.opts.Ledger)))
	require.Equal(t, "within the time intervals always", recorded(t, n.opts.Ledger)[0].Answer)
	require.Empty(t, h.got())
}

func TestOriginalsAreBounded(t *testing.T) {
	var o originals
	for i := range 3 * originalsKept {
		o.put(model.Fingerprint(i), labels.FromStrings("a", "b"))
	}
	require.LessOrEqual(t, len(o.now)+len(o.old), 2*originalsKept)
	require.NotNil(t, o.get(3*originalsKept-1))
	require.Nil(t, o.get(0))
	o.drop(3*originalsKept - 1)
	require.Nil(t, o.get(3*originalsKept-1))
}
