package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
)

// aFullOutbox has one of everything, text in all that others write.
func aFullOutbox(text string) Notifications {
	now := fixtureNow()
	return Notifications{
		Waiting: []notify.Pending{{
			ID: 4, Receiver: text, Integration: "webhook", Alerts: []notify.PendingAlert{{Labels: labels.FromStrings("alertname", text)}}, AlertCount: 3,
			CreatedAt: now.Add(-time.Minute), NextAt: now.Add(time.Minute), Attempts: 2, LastError: text,
		}},
		DeadLetters: []notify.Pending{{ID: 2, Receiver: text, Integration: "email", AlertCount: 1, CreatedAt: now.Add(-time.Hour), LastError: text}},
		Circuits: []notify.Circuit{
			{Receiver: text, Integration: "webhook", State: "open", Failures: 7, Until: now.Add(30 * time.Second), LastError: text},
			{Receiver: "fine", Integration: "webhook", State: "closed"},
		},
	}
}

func TestNotifications(t *testing.T) {
	var resent, discarded []uint64
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Ledger = openLedger(t)
		m.Notifications = func() (Notifications, error) { return aFullOutbox("pager"), nil }
		m.Resend = func(id uint64) error {
			if id == 9 {
				return fmt.Errorf("notification %d: %w", id, ledger.ErrNoSuchEntry)
			}
			resent = append(resent, id)
			return nil
		}
		m.Discard = func(id uint64) error { discarded = append(discarded, id); return nil }
		m.Deliveries = (&DeliveryLog{}).Recent
	})
	_, body := get(t, s, "/api/v1/notifications/outbox")
	for _, want := range []string{`"id":4`, `"nextAt":"2026-03-14T09:27:53Z"`, `"attempts":2`, `"alertCount":3`, `"deadLetters":[{"id":2`, `"state":"open"`} {
		require.Contains(t, body, want)
	}
	require.Equal(t, 1, strings.Count(body, `"nextAt"`), "a dead letter is not tried")
	_, body = get(t, s, "/api/v1/notifications")
	require.Contains(t, body, `"data":[]`, "Prometheus's banners stay what they are")

	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/api/v1/notifications/2/resend", 200}, {http.MethodPost, "/api/v1/notifications/9/resend", 404},
		{http.MethodPost, "/api/v1/notifications/x/resend", 400}, {http.MethodDelete, "/api/v1/notifications/4", 200},
		{http.MethodDelete, "/api/v1/notifications/-4", 400}, {http.MethodGet, "/api/v1/notifications/4", 404},
	} {
		code, body := read(t, ask(t, s, c.method, c.path, ""))
		require.Equal(t, c.want, code, c.path+body)
	}
	require.Equal(t, []uint64{2}, resent)
	require.Equal(t, []uint64{4}, discarded)

	_, page := get(t, s, "/")
	wellFormed(t, page)
	for _, want := range []string{"Notifications waiting", "1 dead letter", "1 notification was</strong>", "pager/webhook is not being tried", "7 failures", "in 30 s"} {
		require.Contains(t, strings.ReplaceAll(page, " given up.", ""), want)
	}
	require.NotContains(t, page, "fine/webhook", "a receiver without trouble")
}

func TestNotificationsThatCannotBeHad(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Ledger = openLedger(t)
		m.Notifications = func() (Notifications, error) { return Notifications{}, errors.New("no outbox today") }
	})
	code, _ := get(t, s, "/api/v1/notifications/outbox")
	require.Equal(t, http.StatusInternalServerError, code)
	_, page := get(t, s, "/")
	require.Contains(t, page, "no outbox today")
	code, body := read(t, ask(t, s, http.MethodDelete, "/api/v1/notifications/1", ""))
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, body, "not served here")

	s = newServer(t, func(_ *Options, m *Tenant) {
		m.Notifications = func() (Notifications, error) { return Notifications{}, nil }
	})
	_, body = get(t, s, "/api/v1/notifications/outbox")
	require.Contains(t, body, `{"waiting":[],"deadLetters":[],"circuits":[]}`)
}

func TestRecurringSilences(t *testing.T) {
	kept := map[string]RecurringSilence{}
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.RecurringSilences = func() (out []RecurringSilence, _ error) {
			for _, r := range kept {
				out = append(out, r)
			}
			return out, nil
		}
		m.AddRecurringSilence = func(r RecurringSilence) (RecurringSilence, error) {
			r.ID = "r1"
			kept[r.ID] = r
			return r, nil
		}
		m.RemoveRecurringSilence = func(id string) error {
			if _, ok := kept[id]; !ok {
				return fmt.Errorf("recurring silence %s: %w", id, ErrNotFound)
			}
			delete(kept, id)
			return nil
		}
	})
	const good = `{"matchers": ["severity=page", "job=~\"back.*\""], "days": ["mon-Wed", "Saturday"], "from": "2:00", "to": "04:00",
		"timeZone": "Europe/Berlin", "createdBy": "eva", "comment": "backup"}`
	code, body := read(t, ask(t, s, http.MethodPost, "/api/v1/recurring-silences", good))
	require.Equal(t, http.StatusOK, code, body)
	require.Equal(t, RecurringSilence{
		ID: "r1", Matchers: []string{`severity="page"`, `job=~"back.*"`}, Days: []string{"mon", "tue", "wed", "sat"}, From: "02:00", To: "04:00",
		TimeZone: "Europe/Berlin", CreatedBy: "eva", Comment: "backup",
	}, kept["r1"])
	_, body = get(t, s, "/api/v1/recurring-silences")
	require.Contains(t, body, `"recurringSilences":[{"id":"r1","matchers":["severity=\"page\""`)
	require.NotContains(t, body, "until")

	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(good), &fields))
	for _, c := range []struct {
		field string
		value any
	}{
		{"matchers", []string{}}, {"matchers", []string{"severity"}}, {"matchers", []string{`a=~"("`}}, {"matchers", []string{`a=~".*"`, `b=""`}},
		{"days", []string{"someday"}}, {"days", []string{"mon-"}}, {"from", ""}, {"from", "24:00"}, {"from", "25:00"}, {"to", "2:00"}, {"to", "12"},
		{"timeZone", "Mars/Olympus"}, {"timeZone", "Local"}, {"timeZone", "../etc/passwd"}, {"createdBy", ""}, {"comment", " "},
		{"until", "2020-01-01T00:00:00Z"}, {"id", "r7"},
	} {
		changed := map[string]any{}
		for k, v := range fields {
			changed[k] = v
		}
		changed[c.field] = c.value
		text, err := json.Marshal(changed)
		require.NoError(t, err)
		code, body := read(t, ask(t, s, http.MethodPost, "/api/v1/recurring-silences", string(text)))
		require.Equal(t, http.StatusBadRequest, code, "%s: %v", c.field, c.value)
		require.Contains(t, body, `invalid parameter \"`+c.field+`\"`, "%v", c.value)
	}
	code, _ = read(t, ask(t, s, http.MethodDelete, "/api/v1/recurring-silences/r1", ""))
	require.Equal(t, http.StatusOK, code)
	code, _ = read(t, ask(t, s, http.MethodDelete, "/api/v1/recurring-silences/r1", ""))
	require.Equal(t, http.StatusNotFound, code)
}

func TestDays(t *testing.T) {
	for text, want := range map[string]string{
		"": "mon,tue,wed,thu,fri,sat,sun", "mon": "mon", "sun,mon": "mon,sun", "fri-mon": "mon,fri,sat,sun", "wed-wed": "wed",
		"tue-mon": "mon,tue,wed,thu,fri,sat,sun", " Monday - tuesday ": "mon,tue",
	} {
		var in []string
		if text != "" {
			in = strings.Split(text, ",")
		}
		got, err := normalDays(in)
		require.NoError(t, err, text)
		require.Equal(t, want, strings.Join(got, ","), text)
	}
}

// TestStatusPageOfTheRecord shows history with all that a row may have.
func TestStatusPageOfTheRecord(t *testing.T) {
	s, l := withHistory(t, nil)
	e := transition(61, "Load", "db-9") // firing
	require.NoError(t, l.Record([]ledger.Entry{e}, nil, nil))
	ended := transition(62, "Load", "db-9")
	require.NoError(t, l.Record([]ledger.Entry{ended}, nil, nil))
	for _, o := range []ledger.Outcome{ledger.Failed, ledger.Delivered, ledger.Muted, ledger.GaveUp, ledger.Dead} {
		l.RecordDelivery(told("pager-"+string(o), o, ledger.DeliveredAlert{Labels: e.Labels, Resolved: true}))
	}
	require.NoError(t, l.Settle(0))
	_, page := get(t, s, "/")
	wellFormed(t, page)
	for _, want := range []string{
		`<h2 id="history">History`, "resolved</span><small>after 1 min</small>", ">0.25<small>&gt; 1</small>", "db-9", "a &lt; b &amp; c",
		"version 01234567", "failed, tries again", `<span class="ok" title="status 200">delivered`, "muted", "refused", "and 1 more",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, maxHistoryRows, strings.Count(page, `<td class="told`))
	_, body := get(t, s, "/api/v1/status")
	require.Contains(t, body, `"ledger":{"open":true,"healthy":true}`)
}

// TestNothingForeignRunsFromTheRecord is TestNothingForeignRuns for what the ledger and the outbox hold.
func TestNothingForeignRunsFromTheRecord(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	l := openLedger(t)
	e := transition(61, evil, evil)
	e.Expr, e.Threshold, e.RuleID, e.Annotations = evil, evil, evil, labels.FromStrings("summary", evil)
	require.NoError(t, l.Record([]ledger.Entry{e}, nil, nil))
	d := told(evil, ledger.Failed, ledger.DeliveredAlert{Labels: e.Labels})
	d.Answer, d.Integration = evil, evil
	l.RecordDelivery(d)
	require.NoError(t, l.Settle(0))
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Ledger, m.Deliveries = l, (&DeliveryLog{}).Recent
		m.Notifications = func() (Notifications, error) { return aFullOutbox(evil), nil }
		m.Acks = func() ([]ledger.Ack, error) { return nil, errors.New(evil) }
	})
	_, page := get(t, s, "/")
	wellFormed(t, page)
	noScripts(t, page)
	require.Contains(t, page, "failed, tries again")
}
