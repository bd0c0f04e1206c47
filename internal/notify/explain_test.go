package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

func TestExplain(t *testing.T) {
	h, other := newHook(t), newHook(t)
	h.answer(http.StatusInternalServerError)
	n := startWithLedger(t, Options{}, fmt.Sprintf(`
route:
  receiver: other
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
  - {matchers: [alertname="Slow"], receiver: hook, group_by: ['...'], continue: true}
  - {matchers: [region="eu"], receiver: other, mute_time_intervals: [always]}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
- name: other
  webhook_configs: [{url: %q}]
time_intervals: [{name: always, time_intervals: [{years: ['2000:2100']}]}]
inhibit_rules:
- {source_matchers: [alertname="Down"], target_matchers: [alertname="Slow"]}
`, h.URL, other.URL))
	n.ApplyAlerting(relabelling())
	slow := firing("Slow", "i", "1")
	send(n, slow)
	eventually(t, "it waits", func() bool { w := n.Waiting(); return len(w) == 1 && w[0].ID != 0 })
	ack, err := n.Acknowledge(ledger.Ack{Labels: slow.Labels, Owner: "ada", Comment: "mine"})
	require.NoError(t, err)
	code, body := call(t, n.Handler(), http.MethodPost, "/api/v2/silences", `{"matchers":[{"name":"i","value":"1","isRegex":false}],
		"startsAt":"2020-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z","createdBy":"bob","comment":"known"}`)
	require.Equal(t, http.StatusOK, code, body)
	send(n, firing("Down"))

	told, err := n.Explain(slow.Labels)
	require.NoError(t, err)
	require.Equal(t, labels.FromStrings("alertname", "Slow", "i", "1", "region", "eu"), told.Sent)
	require.True(t, told.Known && told.Firing && !told.Dropped)
	require.Equal(t, []labels.Labels{labels.FromStrings("alertname", "Down", "region", "eu")}, told.InhibitedBy)
	require.Len(t, told.SilencedBy, 1)
	require.Equal(t, []any{"bob", "known", 2099}, []any{told.SilencedBy[0].CreatedBy, told.SilencedBy[0].Comment, told.SilencedBy[0].Until.Year()})
	require.Equal(t, []any{ack.ID, "ada", "mine"}, []any{told.Acknowledged.ID, told.Acknowledged.Owner, told.Acknowledged.Comment})
	require.Len(t, told.Waiting, 1)
	require.Equal(t, slow.Labels, told.Waiting[0].Alerts[0].Labels)
	require.Empty(t, told.Dead)
	require.Len(t, told.Routes, 2)
	hook, second := told.Routes[0], told.Routes[1]
	require.Equal(t, []any{"hook", []string{"..."}, time.Duration(0), time.Second, time.Hour, `{}/{alertname="Slow"}:{alertname="Slow", i="1", region="eu"}`, []string{}},
		[]any{hook.Receiver, hook.GroupBy, hook.GroupWait, hook.GroupInterval, hook.RepeatInterval, hook.GroupKey, hook.MutedBy})
	require.Equal(t, told.Waiting[0].GroupKey, hook.GroupKey)
	require.Equal(t, told.Waiting[0].Route, hook.Route)
	require.Equal(t, 1, hook.Integrations[0].Waiting)
	require.WithinDuration(t, time.Now(), hook.Integrations[0].LastTold, time.Minute)
	require.Equal(t, []any{"other", []string{"always"}, `{}/{region="eu"}:{alertname="Slow"}`}, []any{second.Receiver, second.MutedBy, second.GroupKey})
	require.Zero(t, second.Integrations[0].LastTold)
	_, err = json.Marshal(told)
	require.NoError(t, err)

	unknown, err := n.Explain(labels.FromStrings("alertname", "Never"))
	require.NoError(t, err)
	require.False(t, unknown.Known)
	require.Nil(t, unknown.Acknowledged)
	require.Len(t, unknown.Routes, 1)
	require.Empty(t, unknown.Waiting)
	require.Empty(t, unknown.SilencedBy)

	cfg := relabelling()
	cfg.AlertingConfig.AlertRelabelConfigs = []*relabel.Config{{
		Action: relabel.Drop, SourceLabels: []model.LabelName{"alertname"}, Regex: relabel.MustNewRegexp("Slow"), Separator: ";",
	}}
	n.ApplyAlerting(cfg)
	dropped, err := n.Explain(slow.Labels)
	require.NoError(t, err)
	require.True(t, dropped.Dropped)
	require.Empty(t, dropped.Routes)

	plain := start(t, Options{}, simple(h.URL, ""))
	told, err = plain.Explain(slow.Labels)
	require.NoError(t, err)
	require.Len(t, told.Routes, 1)
	require.Equal(t, "closed", told.Routes[0].Integrations[0].State)
}
