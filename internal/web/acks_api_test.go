package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/ledger"
)

// withAlerts is withHistory with the busy groups, one alert flapping and one without data.
func withAlerts(t *testing.T) (*Server, *ledger.Ledger) {
	now := fixtureNow()
	groups := busyGroups(t, now)
	down := &groups[0].Rules[0].Alerts[0]
	down.Flap = &alert.Flap{Since: now.Add(-time.Minute)}
	disk := &groups[0].Rules[1].Alerts[0]
	disk.Basis, disk.MissingSince = alert.OnNoData, now.Add(-time.Minute)
	return withHistory(t, func(_ *Options, m *Tenant) { m.Groups = func() []engine.GroupStatus { return groups } })
}

func TestAcknowledge(t *testing.T) {
	s, l := withAlerts(t)
	code, body := read(t, ask(t, s, http.MethodPost, "/api/v1/acks",
		`{"labels": {"alertname": "HighLoad", "instance": "api-2:9100"}, "owner": " eva ", "comment": "on <it>", "for": "2h"}`))
	require.Equal(t, http.StatusOK, code, body)
	var a struct {
		Data struct {
			ID     uint64
			Labels map[string]string
			Owner  string
			Until  time.Time
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &a))
	require.Equal(t, map[string]string{"alertname": "HighLoad", "instance": "api-2:9100", "job": "node", "severity": "ticket"}, a.Data.Labels,
		"all labels of the alert that was meant")
	require.Equal(t, "eva", a.Data.Owner)
	require.Equal(t, fixtureNow().Add(2*time.Hour), a.Data.Until)

	_, body = get(t, s, "/api/v1/acks")
	require.Contains(t, body, `"comment":"on <it>"`)
	for _, path := range []string{"/api/v1/alerts", "/api/v1/rules"} {
		_, body = get(t, s, path)
		require.Equal(t, 1, strings.Count(body, `"acknowledged":{"owner":"eva","comment":"on \u003cit\u003e","until":"2026-03-14T11:26:53Z"}`), path)
		require.Equal(t, 1, strings.Count(body, `"flapping":true`), path)
		require.Equal(t, 1, strings.Count(body, `"noData":true`), path)
		require.Equal(t, 1, strings.Count(body, `"missingSince":"2026-03-14T09:25:53Z"`), path)
		require.Equal(t, 1, strings.Count(body, `"keepFiringSince"`), path)
	}
	_, page := get(t, s, "/")
	for _, want := range []string{"1 acknowledged", `acknowledged</span> eva: on &lt;it&gt;`, ">2 h<", ">flapping<", ">no data<"} {
		require.Contains(t, page, want)
	}

	id := fmt.Sprint(a.Data.ID)
	code, _ = read(t, ask(t, s, http.MethodDelete, "/api/v1/acks/"+id, ""))
	require.Equal(t, http.StatusOK, code)
	acks, err := l.Acks()
	require.NoError(t, err)
	require.Empty(t, acks)
	code, body = read(t, ask(t, s, http.MethodDelete, "/api/v1/acks/"+id, ""))
	require.Equal(t, http.StatusNotFound, code, body)
	for _, id := range []string{"x", "-1", "01", "1x", "99999999999999999999"} {
		code, body = read(t, ask(t, s, http.MethodDelete, "/api/v1/acks/"+id, ""))
		require.Equal(t, http.StatusBadRequest, code, id)
		require.Contains(t, body, `invalid parameter \"id\"`)
	}
}

func TestAcknowledgeMeansOneAlert(t *testing.T) {
	groups := busyGroups(t, fixtureNow())
	s, _ := withHistory(t, func(_ *Options, m *Tenant) { m.Groups = func() []engine.GroupStatus { return groups } })
	post := func(body string) (int, string) { return read(t, ask(t, s, http.MethodPost, "/api/v1/acks", body)) }
	code, body := post(`{"labels": {"alertname": "HighLoad", "instance": "db-1:9100"}, "owner": "eva"}`)
	require.Equal(t, http.StatusBadRequest, code, "nobody was told")
	require.Contains(t, body, "is pending")
	code, body = post(`{"labels": {"alertname": "HighLoad"}, "owner": "eva"}`)
	require.Equal(t, http.StatusOK, code, "the one that fires")
	require.Contains(t, body, "api-2:9100")
	for i := range groups {
		for j := range groups[i].Rules {
			for k := range groups[i].Rules[j].Alerts {
				if a := &groups[i].Rules[j].Alerts[k]; a.State == alert.Pending {
					a.State = alert.Firing
				}
			}
		}
	}
	code, body = post(`{"labels": {"alertname": "HighLoad"}, "owner": "eva"}`)
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "2 firing alerts")
	require.Contains(t, body, "api-2:9100")
	require.Contains(t, body, "db-1:9100")
	code, body = post(`{"labels": {"alertname": "HighLoad", "instance": "gone:9100"}, "owner": "eva"}`)
	require.Equal(t, http.StatusNotFound, code, "it has resolved")
	require.Contains(t, body, "no active alert")
	code, _ = post(`{"labels": {"alertname": "Foreign", "team": "x"}, "owner": "eva", "exact": true}`)
	require.Equal(t, http.StatusOK, code, "posted by another program to the API of Alertmanager")
}

func TestAcknowledgeRefuses(t *testing.T) {
	s, l := withAlerts(t)
	const who = `"labels": {"alertname": "InstanceDown"}, `
	for body, want := range map[string]string{
		"": "empty", "[]": "JSON object", "{": "JSON object", "{} {}": "nothing after it", `{"label": {}}`: "unknown field", `{` + who + `"owner": 3}`: "JSON object",
		`{"owner": "eva"}`: `\"labels\"`, `{` + who + `"owner": " "}`: `\"owner\"`, `{` + who + `"comment": "x"}`: `\"owner\"`,
		`{` + who + `"owner": "` + strings.Repeat("e", 300) + `"}`:                  `\"owner\"`,
		`{` + who + `"owner": "e", "comment": "` + strings.Repeat("e", 5000) + `"}`: `\"comment\"`,
		`{` + who + `"owner": "e", "for": "soon"}`:                                  `\"for\"`,
		`{` + who + `"owner": "e", "for": "0s"}`:                                    `\"for\"`,
		`{` + who + `"owner": "e", "until": "2020-01-01T00:00:00Z"}`:                `\"until\"`,
		`{` + who + `"owner": "e", "until": "soon"}`:                                `\"until\"`,
		`{` + who + `"owner": "e", "for": "1h", "until": "2030-01-01T00:00:00Z"}`:   `\"for\"`,
		`{` + who + `"owner": "` + strings.Repeat(" ", 2<<20) + `"}`:                "too large",
	} {
		code, answer := read(t, ask(t, s, http.MethodPost, "/api/v1/acks", body))
		require.Equal(t, http.StatusBadRequest, code, body)
		require.Contains(t, answer, want, body)
	}
	acks, err := l.Acks()
	require.NoError(t, err)
	require.Empty(t, acks)
}

// TestListsOutliveAcknowledgements: where acknowledgements cannot be read, lists are without them and say so.
func TestListsOutliveAcknowledgements(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus { return busyGroups(t, fixtureNow()) }
		m.Acks = func() ([]ledger.Ack, error) { return nil, errors.New("the disk is on fire") }
	})
	for _, path := range []string{"/api/v1/alerts", "/api/v1/rules"} {
		code, body := get(t, s, path)
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, body, `"warnings":["the disk is on fire"]`)
		require.Contains(t, body, "InstanceDown")
	}
	code, body := get(t, s, "/api/v1/rules?exclude_alerts=true")
	require.Equal(t, http.StatusOK, code)
	require.NotContains(t, body, "warnings")
	_, page := get(t, s, "/")
	require.Contains(t, page, "the disk is on fire")
	code, _ = get(t, s, "/api/v1/acks")
	require.Equal(t, http.StatusInternalServerError, code)
}

// TestRecordIsGuarded: pages of other origins change nothing of it, and names that rebind read nothing.
func TestRecordIsGuarded(t *testing.T) {
	changed := 0
	id := func(uint64) error { changed++; return nil }
	s, l := withHistory(t, func(_ *Options, m *Tenant) {
		m.Resend, m.Discard = id, id
		m.AddRecurringSilence = func(r RecurringSilence) (RecurringSilence, error) { changed++; return r, nil }
		m.RemoveRecurringSilence = func(string) error { changed++; return nil }
	})
	for path, method := range map[string]string{
		"/api/v1/acks": http.MethodPost, "/api/v1/acks/1": http.MethodDelete, "/api/v1/notifications/1/resend": http.MethodPost,
		"/api/v1/notifications/1": http.MethodDelete, "/api/v1/recurring-silences": http.MethodPost, "/api/v1/recurring-silences/x": http.MethodDelete,
	} {
		for _, headers := range [][]string{{"Origin: https://evil.example"}, {"Sec-Fetch-Site: cross-site"}} {
			code, _ := read(t, ask(t, s, method, path, `{"labels": {"a": "b"}, "owner": "evil", "exact": true}`, headers...))
			require.Equal(t, http.StatusForbidden, code, path)
		}
		code, _ := read(t, ask(t, s, method, path, "", "Host: evil.example"))
		require.Equal(t, http.StatusMisdirectedRequest, code, path)
	}
	for _, path := range []string{"/api/v1/history", "/api/v1/history/export", "/api/v1/acks"} {
		code, _ := get(t, s, path, "Host: evil.example")
		require.Equal(t, http.StatusMisdirectedRequest, code, path)
	}
	acks, err := l.Acks()
	require.NoError(t, err)
	require.Empty(t, acks)
	require.Zero(t, changed)
}
