package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
	"github.com/tocsin/tocsin/internal/web"
)

// recordServer serves what the commands ask for from a real ledger; TOCSIN_URL leads there.
type recordServer struct {
	ledger *ledger.Ledger
	outbox web.Notifications
	silent []web.RecurringSilence
	calls  []string
}

// begin is when the first of the transitions was.
func begin() time.Time { return time.Date(2026, 3, 14, 9, 0, 0, 0, time.Local) }

var loadLabels = labels.FromStrings("alertname", "HighLoad", "instance", "db-1")

// change makes a transition of HighLoad, some seconds after the beginning.
func change(from, to alert.State, after int, value float64) ledger.Entry {
	e := ledger.Entry{
		Transition: alert.Transition{
			File: "a.yml", Group: "g", Rule: "HighLoad", RuleID: "0123456789abcdef", From: from, To: to, Labels: loadLabels, Value: value,
			ActiveAt: begin(), At: begin().Add(time.Duration(after) * time.Second), Reason: alert.Condition,
		},
		Expr: "node_load1 > 3.5", Threshold: "> 3.5", Latency: 850 * time.Microsecond,
	}
	if e.Resolved() {
		e.Duration, e.Clearing = 90*time.Second, alert.Reading{Value: 1.25, Known: true}
	}
	return e
}

func newRecordServer(t *testing.T) *recordServer {
	t.Helper()
	compiler := plan.NewCompiler(plan.Options{})
	store, err := history.Open(history.Options{Dir: t.TempDir(), Compiler: compiler, RetentionTime: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	l, err := ledger.Open(ledger.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	r := &recordServer{ledger: l}
	s, err := web.New(web.Options{
		Compiler: compiler, Registerer: prometheus.NewRegistry(), ListenAddress: "127.0.0.1:9909",
		Tenants: map[tenant.ID]*web.Tenant{tenant.Default: r.tenant(t, store, compiler)},
	})
	require.NoError(t, err)
	s.SetReady(true)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	t.Setenv("TOCSIN_URL", server.URL)
	return r
}

func (r *recordServer) tenant(t *testing.T, store *history.Store, c *plan.Compiler) *web.Tenant {
	p, err := c.Compile("node_load1 > 3.5")
	require.NoError(t, err)
	alerts := []alert.Alert{{State: alert.Firing, Labels: loadLabels, ActiveAt: begin(), FiredAt: begin()}}
	return &web.Tenant{
		History: store, Ledger: r.ledger, Acknowledge: r.ledger.Acknowledge, Unacknowledge: r.ledger.Unacknowledge, Acks: r.ledger.Acks,
		Groups: func() []engine.GroupStatus {
			return []engine.GroupStatus{{Name: "g", File: "a.yml", Rules: []engine.RuleStatus{{
				Rule: &rule.Rule{Kind: rule.Alerting, Name: "HighLoad", Plan: p}, State: alert.Firing, Alerts: alerts,
			}}}}
		},
		Notifications: func() (web.Notifications, error) { return r.outbox, nil },
		Resend:        func(id uint64) error { return r.called("resend", id) },
		Discard:       func(id uint64) error { return r.called("discard", id) },
		RecurringSilences: func() ([]web.RecurringSilence, error) {
			return r.silent, nil
		},
		AddRecurringSilence: func(s web.RecurringSilence) (web.RecurringSilence, error) {
			s.ID = fmt.Sprint(len(r.silent) + 1)
			r.silent = append(r.silent, s)
			return s, nil
		},
		RemoveRecurringSilence: func(id string) error {
			if id != "1" {
				return web.ErrNotFound
			}
			r.silent = nil
			return nil
		},
	}
}

func (r *recordServer) called(what string, id uint64) error {
	if id == 404 {
		return fmt.Errorf("notification %d: %w", id, ledger.ErrNoSuchEntry)
	}
	r.calls = append(r.calls, fmt.Sprintf("%s %d", what, id))
	return nil
}

// record records a life of HighLoad: pending, firing, told with a second attempt, resolved.
func (r *recordServer) record(t *testing.T) {
	t.Helper()
	require.NoError(t, r.ledger.Record([]ledger.Entry{change(alert.Inactive, alert.Pending, 0, 4)}, nil, nil))
	require.NoError(t, r.ledger.Record([]ledger.Entry{change(alert.Pending, alert.Firing, 600, 4.1837264)}, nil, nil))
	d := ledger.Delivery{
		At: begin(), Receiver: "pager", Integration: "webhook", Alerts: []ledger.DeliveredAlert{{Labels: loadLabels}}, Attempt: 1,
		Latency: time.Second, Outcome: ledger.Failed, Answer: "status 500\x1b[31m",
	}
	r.ledger.RecordDelivery(d)
	d.Attempt, d.Latency, d.Outcome, d.Answer = 2, 4*time.Millisecond, ledger.Delivered, "status 200"
	r.ledger.RecordDelivery(d)
	r.ledger.RecordDelivery(ledger.Delivery{At: begin(), Receiver: "pager", Alerts: d.Alerts, Outcome: ledger.Muted, Answer: "silenced by eva"})
	require.NoError(t, r.ledger.Settle(0))
	require.NoError(t, r.ledger.Record([]ledger.Entry{change(alert.Firing, alert.Inactive, 690, 4)}, nil, nil))
}

func TestHistoryAsATable(t *testing.T) {
	r := newRecordServer(t)
	code, out, errOut := checked("history")
	require.Zero(t, code, errOut)
	require.Empty(t, out)
	require.Equal(t, "Nothing that fits has been recorded.\n", errOut)

	r.record(t)
	code, out, errOut = checked("history")
	require.Zero(t, code, errOut)
	require.Empty(t, errOut)
	require.Equal(t, `TIME                 CHANGE              ALERT                       VALUE    THRESHOLD  AFTER  RULE      EVAL   TOLD
2026-03-14 09:11:30  firing → resolved   HighLoad {instance="db-1"}  1.25     > 3.5      1m30s  01234567  850µs  –
2026-03-14 09:10:00  pending → firing    HighLoad {instance="db-1"}  4.18373  > 3.5      10m0s  01234567  850µs  pager/webhook failed: status 500 [31m
                                                                                                                 pager/webhook delivered in 4ms, attempt 2
                                                                                                                 pager muted: silenced by eva
2026-03-14 09:00:00  inactive → pending  HighLoad {instance="db-1"}  4        > 3.5      –      01234567  850µs  –
`, out)
	mark := change(alert.Firing, alert.Firing, 700, 4)
	mark.Reason = alert.NoData
	require.NoError(t, r.ledger.Record([]ledger.Entry{mark}, nil, nil))
	_, out, _ = checked("history", "--limit=1")
	require.Contains(t, out, "firing: no data")
}

func TestHistoryFlagsBecomeFilters(t *testing.T) {
	r := newRecordServer(t)
	r.record(t)
	const pending, firing, resolved = "inactive → pending", "pending → firing", "firing → resolved"
	for args, want := range map[string][]string{
		"--state firing --state pending": {firing, pending}, "--rule Other": nil, "--group g --file a.yml": {resolved, firing, pending},
		"--receiver pager": {firing}, "--order oldest --limit 2": {pending, firing}, "--match instance=db-1": {resolved, firing, pending},
		"--match instance=~db-.* --match alertname!=HighLoad": nil, `--match {instance="db-1"}`: {resolved, firing, pending},
		`--match HighLoad{instance!="db-1"}`: nil, "--since 2026-03-14T09:05:00Z0": nil,
		"--since " + begin().Add(5*time.Minute).Format(time.RFC3339):      {resolved, firing},
		"--until " + fmt.Sprint(begin().Add(600*time.Second).Unix()):      {firing, pending},
		"--all --limit 1 --state firing --state pending --state inactive": {resolved, firing, pending},
	} {
		code, out, errOut := checked(append([]string{"history"}, strings.Fields(args)...)...)
		if strings.Contains(args, "Z0") {
			require.Equal(t, exitFailed, code)
			require.Contains(t, errOut, "--since")
			continue
		}
		require.Zero(t, code, "%s: %s", args, errOut)
		require.Equal(t, want, regexp.MustCompile(`\w+ → \w+`).FindAllString(out, -1), args)
	}
}

func TestHistoryGoesOnWhereItStopped(t *testing.T) {
	r := newRecordServer(t)
	r.record(t)
	_, out, errOut := checked("history", "--limit=2", "--json")
	var page struct {
		Entries []map[string]any
		Next    string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &page))
	require.Empty(t, errOut)
	require.Len(t, page.Entries, 2)
	require.Equal(t, "node_load1 > 3.5", page.Entries[0]["expr"])
	_, _, errOut = checked("history", "--limit=2")
	require.Equal(t, "There are more: --all, or --after "+page.Next+" for the next page.\n", errOut)
	_, out, _ = checked("history", "--limit=2", "--json", "--after", page.Next)
	require.NoError(t, json.Unmarshal([]byte(out), &page))
	require.Len(t, page.Entries, 1)
	require.Empty(t, page.Next)
	_, out, _ = checked("history", "--all", "--json")
	require.NoError(t, json.Unmarshal([]byte(out), &page))
	require.Len(t, page.Entries, 3)
}

func TestHistoryExport(t *testing.T) {
	r := newRecordServer(t)
	r.record(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "h.jsonl")
	code, out, errOut := checked("history", "--export", file, "--order=oldest")
	require.Zero(t, code, errOut)
	require.Empty(t, out)
	require.Equal(t, "3 transitions in "+file+"\n", errOut)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	_, out, _ = checked("history", "--export", "-", "--order=oldest")
	require.Equal(t, string(written), out)
	require.Equal(t, 3, strings.Count(out, "\n"))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing half-written is left")

	code, _, _ = checked("history", "--export", os.DevNull)
	require.Zero(t, code)
	info, err := os.Stat(os.DevNull)
	require.NoError(t, err)
	require.False(t, info.Mode().IsRegular(), "what is no file is not replaced")
}

// TestHistoryFollows: what is recorded while it looks is printed once, oldest first; what was before is not.
func TestHistoryFollows(t *testing.T) {
	r := newRecordServer(t)
	r.record(t)
	c := historyCmd{Follow: true, Limit: 2, Every: 10 * time.Millisecond, serverFlags: serverFlags{URL: os.Getenv("TOCSIN_URL")}}
	ctx, cancel := context.WithCancel(t.Context())
	out := make(lines, 100)
	done := make(chan error)
	q, err := c.query(time.Now())
	require.NoError(t, err)
	_, newest, err := c.fresh(ctx, q, 0, true)
	require.NoError(t, err)
	for n := range 5 {
		require.NoError(t, r.ledger.Record([]ledger.Entry{change(alert.Inactive, alert.Firing, 1000+n, float64(n))}, nil, nil))
	}
	fresh, _, err := c.fresh(ctx, q, newest, false)
	require.NoError(t, err)
	require.Len(t, fresh, 5, "over three pages")
	require.Equal(t, "0", fresh[0].Value)
	require.Equal(t, "4", fresh[4].Value)

	c.Since = "1d"
	go func() { done <- c.Run(ctx, streams{out: out, err: out}) }()
	// --since a time before all prints the page that there is and then what comes.
	require.NoError(t, r.ledger.Record([]ledger.Entry{change(alert.Inactive, alert.Firing, int(time.Since(begin()).Seconds()), 77)}, nil, nil))
	require.Eventually(t, func() bool {
		select {
		case text := <-out:
			return strings.Contains(text, "77")
		default:
			return false
		}
	}, 20*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

// lines is a writer that hands on what is written.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestHistoryWrongUsage(t *testing.T) {
	for _, args := range []string{
		"--limit 0", "--limit 1001", "--follow --all", "--follow --export x", "--export x --json", "--state resolved", "--order up", "--follow --every 1ms",
	} {
		code, _, errOut := checked(append([]string{"history"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
		require.NotEmpty(t, errOut)
	}
	newRecordServer(t)
	for _, args := range []string{"--match x", "--match =y", "--match a==b", "--match a!b", "--match {a=\"b\"} --match c=d", "--since soon", "--match a=~(", "--after zzz"} {
		code, _, errOut := checked(append([]string{"history"}, strings.Fields(args)...)...)
		require.Equal(t, exitFailed, code, args)
		require.Contains(t, errOut, "tocsin: ")
	}
	t.Setenv("TOCSIN_URL", "http://127.0.0.1:1")
	code, _, errOut := checked("history")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "is tocsin running there?")
}

func TestSelectors(t *testing.T) {
	for in, want := range map[string]string{
		"a=b": `{a="b"}`, `a="b"`: `{a="b"}`, "a=~b.*,c!=d=e": `{a=~"b.*",c!="d=e"}`, `a=`: `{a=""}`, `a=x"y\`: `{a="x\"y\\"}`, `X{a="b"}`: `X{a="b"}`,
	} {
		got, err := selectorOf(strings.Split(in, ","))
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
}

func TestAck(t *testing.T) {
	newRecordServer(t)
	code, out, errOut := checked("ack", "HighLoad", "--owner=eva", "--comment=on it", "--for=2h")
	require.Zero(t, code, errOut)
	require.Regexp(t, `^HighLoad \{instance="db-1"\} is acknowledged by eva until \d{4}-.*; its number is 1\.\n$`, out)
	_, out, _ = checked("ack", "--list")
	require.Regexp(t, `(?s)^ID +ALERT +OWNER.*\n1 +HighLoad \{instance="db-1"\} +eva .* on it\n$`, out)
	_, out, _ = checked("ack", "--list", "--json")
	require.Contains(t, out, `"owner": "eva"`)
	code, out, _ = checked("ack", "--remove=1")
	require.Zero(t, code)
	require.Equal(t, "The acknowledgement 1 is withdrawn.\n", out)
	_, _, errOut = checked("ack", "--list")
	require.Equal(t, "Nothing is acknowledged.\n", errOut)
	code, _, errOut = checked("ack", "--remove=1")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "no such entry")
	code, _, errOut = checked("ack", "HighLoad", "instance=db-2", "--owner=eva")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "no active alert")
	code, out, _ = checked("ack", "Other", `team="a b"`, "--owner=eva", "--exact", "--json")
	require.Zero(t, code)
	require.Contains(t, out, `"team": "a b"`)
	for _, args := range []string{
		"", "HighLoad", "--list --remove 1", "HighLoad --list", "--list --comment x", "HighLoad --owner e --for 1h --until 2030-01-01T00:00:00Z", "HighLoad x --owner e",
		"HighLoad a=b a=c --owner e", "HighLoad alertname=x --owner e",
	} {
		code, _, _ := checked(append([]string{"ack"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
	}
}

func TestNotificationsCommand(t *testing.T) {
	r := newRecordServer(t)
	code, out, _ := checked("notifications")
	require.Zero(t, code)
	require.Equal(t, "Nothing waits, and nothing was given up.\n", out)
	at := begin()
	r.outbox = web.Notifications{
		Waiting: []notify.Pending{{
			ID: 4, Receiver: "pager", Integration: "webhook", Alerts: []notify.PendingAlert{{Labels: loadLabels}}, AlertCount: 3,
			CreatedAt: at, NextAt: at.Add(time.Minute), Attempts: 2, LastError: "refused\n",
		}},
		DeadLetters: []notify.Pending{{ID: 2, Receiver: "mail", Integration: "email", AlertCount: 1, CreatedAt: at}, {ID: 3, Receiver: "mail", Integration: "email"}},
		Circuits:    []notify.Circuit{{Receiver: "pager", Integration: "webhook", State: "open", Failures: 2, Until: at}},
	}
	_, out, _ = checked("notifications")
	for _, want := range []string{
		`1 waiting`, `(?m)^  4 +pager/webhook +HighLoad \{instance="db-1"\} and 2 more +2026-03-14 09:00:00 +2026-03-14 09:01:00 +2 +refused $`,
		`2 dead letters`, `1 receivers with trouble`, `pager/webhook +open +2`,
	} {
		require.Regexp(t, want, out)
	}
	_, out, _ = checked("notifications", "list", "--json")
	require.Contains(t, out, `"deadLetters": [`)
	code, out, _ = checked("notifications", "resend", "--all")
	require.Zero(t, code)
	require.Equal(t, "2 will be tried now.\n", out)
	code, out, errOut := checked("notifications", "discard", "404", "4")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "1 discarded.\n", out)
	require.Contains(t, errOut, "404: ")
	require.Equal(t, []string{"resend 2", "resend 3", "discard 4"}, r.calls)
	for _, args := range []string{"resend", "resend --all 3", "discard x"} {
		code, _, _ := checked(append([]string{"notifications"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, code, args)
	}
}

func TestRecurringSilenceCommand(t *testing.T) {
	r := newRecordServer(t)
	code, out, errOut := checked("silence", "recurring", "add", "--match=job=~back.*", "--match=severity=page", "--days=mon-fri,sun", "--from=02:00",
		"--to=04:00", "--tz=Europe/Berlin", "--comment=backup", "--by=eva")
	require.Zero(t, code, errOut)
	require.Equal(t, "job=~\"back.*\", severity=\"page\" is silent mon,tue,wed,thu,fri,sun 02:00–04:00 Europe/Berlin; its name is 1.\n", out)
	require.Equal(t, "eva", r.silent[0].CreatedBy)
	_, out, _ = checked("silence", "recurring", "list")
	require.Regexp(t, `(?m)^1 +job=~"back\.\*", severity="page" +mon,tue,wed,thu,fri,sun 02:00–04:00 Europe/Berlin +– +eva +backup$`, out)
	code, _, errOut = checked("silence", "recurring", "add", "--match=a=b", "--from=2", "--to=4", "--by=e", "--comment=c")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, `invalid parameter "from"`)
	code, _, _ = checked("silence", "recurring", "add", "--match=a=b")
	require.Equal(t, exitUsage, code)
	code, _, _ = checked("silence", "recurring", "remove", "2")
	require.Equal(t, exitFailed, code)
	code, _, _ = checked("silence", "recurring", "remove", "1")
	require.Zero(t, code)
	_, _, errOut = checked("silence", "recurring", "list")
	require.Equal(t, "There are none.\n", errOut)
}
