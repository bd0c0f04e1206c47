package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// openLedger opens an empty ledger whose clock stands at fixtureNow.
func openLedger(t testing.TB) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir(), Now: fixtureNow})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// transition makes the n-th transition of a rule's alert: one a second, pending, firing, inactive in turn.
func transition(n int, rule, instance string) ledger.Entry {
	from, to := alert.State(n%3), alert.State((n+1)%3)
	e := ledger.Entry{
		Transition: alert.Transition{
			File: rule + ".yml", Group: "g-" + rule, Rule: rule, RuleID: "0123456789abcdef", From: from, To: to,
			Labels: labels.FromStrings("alertname", rule, "instance", instance, "severity", "page"),
			Value:  float64(n) + 0.5, At: fixtureNow().Add(time.Duration(n-600) * time.Second), Reason: alert.Condition,
			ActiveAt: fixtureNow().Add(-time.Hour), Annotations: labels.FromStrings("summary", "a < b & c"),
		},
		Expr: "x > 1", Threshold: "> 1", Latency: 3 * time.Millisecond,
	}
	if e.Resolved() {
		e.Duration, e.Clearing = time.Minute, alert.Reading{Value: 0.25, Known: true}
	}
	return e
}

// told makes a delivery to receiver about the alerts.
func told(receiver string, outcome ledger.Outcome, alerts ...ledger.DeliveredAlert) ledger.Delivery {
	return ledger.Delivery{
		At: fixtureNow(), Receiver: receiver, Integration: "webhook", Alerts: alerts, Attempt: 1, Latency: 4 * time.Millisecond,
		Outcome: outcome, Answer: "status 200",
	}
}

// withHistory makes a server on a ledger of 60 transitions: Load and Disk in turn, of four instances.
func withHistory(t testing.TB, change func(*Options, *Tenant)) (*Server, *ledger.Ledger) {
	t.Helper()
	l := openLedger(t)
	for n := range 60 {
		rule := []string{"Load", "Disk"}[n%2]
		require.NoError(t, l.Record([]ledger.Entry{transition(n, rule, fmt.Sprintf("db-%d", n%4))}, nil, nil))
		if n == 31 || n == 32 {
			e := transition(n, rule, fmt.Sprintf("db-%d", n%4))
			l.RecordDelivery(told([]string{"pager", "mail"}[n%2], ledger.Delivered, ledger.DeliveredAlert{Labels: e.Labels, Resolved: e.Resolved()}))
		}
	}
	require.NoError(t, l.Settle(0)) // the deliveries before it are on disk then
	s := newServer(t, func(o *Options, m *Tenant) {
		m.Ledger, m.Acknowledge, m.Unacknowledge, m.Acks = l, l.Acknowledge, l.Unacknowledge, l.Acks
		if change != nil {
			change(o, m)
		}
	})
	return s, l
}

// found is a page as a program sees it.
type found struct {
	Status string
	Data   struct {
		Entries []struct {
			ID, Rule, To, Value, At string
			Labels                  map[string]string
			Deliveries              []struct{ Receiver, Outcome string }
		}
		Next string
	}
}

func pageOf(t testing.TB, s *Server, query string) found {
	t.Helper()
	code, body := get(t, s, "/api/v1/history?"+query)
	require.Equal(t, http.StatusOK, code, body)
	var f found
	require.NoError(t, json.Unmarshal([]byte(body), &f))
	require.Equal(t, "success", f.Status)
	return f
}

// TestHistoryPages: pages hold everything once, whatever is recorded between them.
func TestHistoryPages(t *testing.T) {
	s, l := withHistory(t, nil)
	for _, order := range []string{"newest", "oldest"} {
		all := pageOf(t, s, "limit=1000&order="+order)
		require.Empty(t, all.Data.Next)
		n := len(all.Data.Entries)
		var values []string
		after := ""
		for page := 0; ; page++ {
			f := pageOf(t, s, "limit=7&order="+order+"&after="+after)
			for _, e := range f.Data.Entries {
				values = append(values, e.Value)
			}
			require.NoError(t, l.Record([]ledger.Entry{transition(1000+page, "Late", "new")}, nil, nil))
			if after = f.Data.Next; after == "" {
				break
			}
			require.Less(t, page, 50)
		}
		for i, e := range all.Data.Entries {
			require.Equal(t, e.Value, values[i], "%s: place %d", order, i)
		}
		if order == "newest" {
			require.Len(t, values, n, "what came meanwhile is newer than the first page")
		} else {
			require.Greater(t, len(values), n, "oldest first, what came meanwhile is at the end")
		}
	}
}

// TestHistoryFilters compares each filter with what it must mean, over all transitions.
func TestHistoryFilters(t *testing.T) {
	s, _ := withHistory(t, nil)
	at := func(n int) time.Time { return fixtureNow().Add(time.Duration(n-600) * time.Second) }
	for query, want := range map[string]func(n int) bool{
		"":                           func(int) bool { return true },
		"rule=Load":                  func(n int) bool { return n%2 == 0 },
		"file=Disk.yml":              func(n int) bool { return n%2 == 1 },
		"group=g-Load":               func(n int) bool { return n%2 == 0 },
		"rule=Load&group=g-Disk":     func(int) bool { return false },
		"state=firing":               func(n int) bool { return (n+1)%3 == 2 },
		"state=firing&state=pending": func(n int) bool { return (n+1)%3 != 0 },
		"receiver=pager":             func(n int) bool { return n == 32 },
		"receiver=nobody":            func(int) bool { return false },
		"match[]=" + url.QueryEscape(`{instance="db-1"}`):                               func(n int) bool { return n%4 == 1 },
		"match[]=" + url.QueryEscape(`{instance=~"db-[12]",severity="page"}`):           func(n int) bool { return n%4 == 1 || n%4 == 2 },
		"match[]=" + url.QueryEscape(`{instance!="db-0"}`):                              func(n int) bool { return n%4 != 0 },
		"match[]=" + url.QueryEscape(`{none=""}`):                                       func(int) bool { return true },
		"match[]=" + url.QueryEscape(`Disk{instance="db-3"}`):                           func(n int) bool { return n%4 == 3 },
		"start=" + at(40).Format(time.RFC3339):                                          func(n int) bool { return n >= 40 },
		fmt.Sprintf("end=%d", at(40).Unix()):                                            func(n int) bool { return n <= 40 },
		fmt.Sprintf("start=%d.5&end=%s", at(9).Unix(), at(11).Format(time.RFC3339Nano)): func(n int) bool { return n == 10 || n == 11 },
	} {
		var got, expected []string
		for _, e := range pageOf(t, s, query+"&order=oldest&limit=1000").Data.Entries {
			got = append(got, e.Value)
		}
		for n := range 60 {
			if want(n) {
				expected = append(expected, fmt.Sprintf("%d.5", n))
			}
		}
		require.Equal(t, expected, got, query)
	}
	f := pageOf(t, s, "receiver=pager")
	require.Equal(t, "pager", f.Data.Entries[0].Deliveries[0].Receiver)
	require.Equal(t, "delivered", f.Data.Entries[0].Deliveries[0].Outcome)
	_, body := get(t, s, "/api/v1/history?limit=1")
	require.Contains(t, body, `"expr":"x > 1","threshold":"> 1"`, "signs stay as they are")
}

// TestHistoryRefuses: what makes no sense is refused with the parameter's name, in history and in its export.
func TestHistoryRefuses(t *testing.T) {
	s, _ := withHistory(t, nil)
	for query, name := range map[string]string{
		"limit=0": "limit", "limit=-1": "limit", "limit=x": "limit", "limit=1e3": "limit",
		"state=resolved": "state", "state=firing&state=": "state", "order=up": "order", "order=oldest&order=newest": "order",
		"start=yesterday": "start", "end=2026-13-01T00:00:00Z": "end", "start=NaN": "start", "start=1e300": "start", "start=20&end=10": "end",
		"match[]=" + url.QueryEscape(`{a=`): "match[]", "match[]=" + url.QueryEscape(`{a=~"("}`): "match[]", "match[]=a&match[]=b": "match[]",
		"after=x": "after", "after=AQ": "after", "rule=a&rule=b": "rule", "receiver=a&receiver=b": "receiver",
	} {
		for _, path := range []string{"/api/v1/history?", "/api/v1/history/export?"} {
			code, body := get(t, s, path+query)
			require.Equal(t, http.StatusBadRequest, code, path+query)
			require.Contains(t, body, `invalid parameter \"`+name+`\"`, path+query)
		}
	}
	code, _ := get(t, s, "/api/v1/history?limit=1001")
	require.Equal(t, http.StatusBadRequest, code)
	code, _ = get(t, s, "/api/v1/history/export?limit=1001")
	require.Equal(t, http.StatusOK, code, "an export has no pages")
}

func TestWithoutALedger(t *testing.T) {
	s := newServer(t, nil)
	for _, path := range []string{
		"/api/v1/history", "/api/v1/history/export", "/api/v1/acks", "/api/v1/notifications/outbox", "/api/v1/recurring-silences",
	} {
		code, body := get(t, s, path)
		require.Equal(t, http.StatusServiceUnavailable, code, path)
		require.Contains(t, body, "ledger, which is not open", path)
	}
	_, body := get(t, s, "/api/v1/status")
	require.Contains(t, body, `"ledger":{"open":false,"healthy":false}`)
	_, page := get(t, s, "/")
	require.Contains(t, page, "No ledger is open: nothing is recorded.")
}

func TestExport(t *testing.T) {
	s, _ := withHistory(t, nil)
	r := ask(t, s, http.MethodGet, "/api/v1/history/export?order=oldest&rule=Disk", "")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "application/x-ndjson", r.Header.Get("Content-Type"))
	lines := bufio.NewScanner(r.Body)
	n := 0
	for ; lines.Scan(); n++ {
		var e struct{ Rule, Value string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
		require.Equal(t, "Disk", e.Rule)
		require.Equal(t, fmt.Sprintf("%d.5", 2*n+1), e.Value)
	}
	require.Equal(t, 30, n)
	_, body := get(t, s, "/api/v1/history/export?limit=3")
	require.Equal(t, 3, strings.Count(body, "\n"))
	r = ask(t, s, http.MethodHead, "/api/v1/history/export", "")
	_, body = read(t, r)
	require.Empty(t, body)
}

// leaving is a reader that goes away after some bytes.
type leaving struct {
	*httptest.ResponseRecorder
	left      int
	leave     context.CancelFunc
	deadlines []time.Time
}

func (l *leaving) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		l.leave()
		return 0, http.ErrHandlerTimeout
	}
	return l.ResponseRecorder.Write(b)
}

func (l *leaving) SetWriteDeadline(at time.Time) error {
	l.deadlines = append(l.deadlines, at)
	return nil
}

// TestExportToAReaderThatLeaves: the export ends, and as HTTP sees it, it broke off.
func TestExportToAReaderThatLeaves(t *testing.T) {
	s, l := withHistory(t, nil)
	for n := range 100 {
		e := transition(n, "Big", "x")
		e.Annotations = labels.FromStrings("text", strings.Repeat("x", 1000))
		require.NoError(t, l.Record([]ledger.Entry{e}, nil, nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &leaving{ResponseRecorder: httptest.NewRecorder(), left: 50_000, leave: cancel}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:9909/api/v1/history/export", nil)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.Handler().ServeHTTP(w, r) })
	require.NotEmpty(t, w.deadlines, "each write has time of its own")
	require.Less(t, w.Body.Len(), 50_000)
	require.Positive(t, w.Body.Len())
}

// FuzzHistoryParameters: whatever is asked, it is refused with the name of a parameter, or it is a query that the ledger takes
// but for its token.
func FuzzHistoryParameters(f *testing.F) {
	f.Add("limit=3&order=oldest&state=firing&match[]=A{b=~\"c\"}&start=1.5&end=2026-03-14T09:26:53Z&after=AQAAAAAAAAHA")
	f.Add("limit=&limit=1")
	f.Add("start=-1e308&end=Inf&match[]={a!~\"[\"}")
	f.Add("%zz")
	l := openLedger(f)
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/history", nil)
		r.URL.RawQuery = query
		q, err := parseHistoryQuery(compiler(), r, ledger.MaxLimit)
		if err != nil {
			require.Regexp(t, `^(invalid parameter|error parsing form values)`, err.Error())
			return
		}
		_, err = l.History(t.Context(), q)
		if err != nil {
			require.ErrorIs(t, err, ledger.ErrBadToken)
			require.NotEmpty(t, q.After)
		}
	})
}
