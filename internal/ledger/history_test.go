package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// want answers q from a plain list, oldest first: what History must find.
func (q Query) want(all []Recorded) []Recorded {
	var out []Recorded
	for _, e := range all {
		ok := (q.File == "" || q.File == e.File) && (q.Group == "" || q.Group == e.Group) && (q.Rule == "" || q.Rule == e.Rule) &&
			(len(q.States) == 0 || slices.Contains(q.States, e.To)) &&
			(q.Since.IsZero() || !e.At.Before(q.Since)) && (q.Until.IsZero() || !e.At.After(q.Until)) &&
			(q.Receiver == "" || slices.ContainsFunc(e.Deliveries, func(d Delivery) bool { return d.Receiver == q.Receiver }))
		for _, m := range q.Matchers {
			ok = ok && m.Matches(e.Labels.Get(m.Name))
		}
		if ok {
			out = append(out, e)
		}
	}
	if !q.OldestFirst {
		slices.Reverse(out)
	}
	return out
}

func randomQuery(r *rand.Rand, n int) Query {
	var q Query
	i := r.IntN(40)
	e := entryOf(i, 0, alert.Firing)
	maybe := func(of int) bool { return r.IntN(of) == 0 }
	if maybe(4) {
		q.Rule = e.Rule
	}
	if maybe(6) {
		q.Group = e.Group
	}
	if maybe(6) {
		q.File = e.File
	}
	if maybe(3) {
		q.States = []alert.State{alert.State(r.IntN(3)), alert.State(r.IntN(3))}
	}
	if maybe(3) {
		q.Since = start().Add(time.Duration(r.IntN(n)) * time.Second)
	}
	if maybe(3) {
		q.Until = start().Add(time.Duration(r.IntN(n)) * time.Second)
	}
	if maybe(4) {
		q.Receiver = fmt.Sprintf("team-%d", r.IntN(4))
	}
	for maybe(2) {
		q.Matchers = append(q.Matchers, randomMatcher(r, i))
	}
	q.OldestFirst = maybe(2)
	q.Limit = 1 + r.IntN(60)
	return q
}

func randomMatcher(r *rand.Rand, i int) *labels.Matcher {
	name := []string{"severity", "team", "instance", "job", "absent", "alertname"}[r.IntN(6)]
	kind := labels.MatchType(r.IntN(4))
	value := labelsOf(i).Get(name)
	if kind == labels.MatchRegexp || kind == labels.MatchNotRegexp {
		value = []string{value + "|nobody", ".*1.*", ".+", "", "p.*"}[r.IntN(5)]
	} else if r.IntN(4) == 0 {
		value = []string{"", "nobody"}[r.IntN(2)]
	}
	return labels.MustNewMatcher(kind, name, value)
}

// TestHistoryFindsWhatAListWould compares random queries, while the log grows, is read again and shrinks.
func TestHistoryFindsWhatAListWould(t *testing.T) {
	r := newRand(t)
	dir := t.TempDir()
	l := openAt(t, dir)
	var all []Recorded // Without IDs: what was recorded, in order, with the deliveries that told of it.
	newest := map[string]int{}
	n := 0
	for round := range 5 {
		for range 400 {
			n++
			i := r.IntN(40)
			e := entryOf(i, n, alert.State(r.IntN(3)))
			all = append(all, Recorded{Entry: e})
			switch key := labelsOf(i).String(); {
			case e.To == alert.Firing:
				newest[key] = len(all) - 1
			case e.Resolved():
				newest[key+" resolved"] = len(all) - 1
			}
			require.NoError(t, l.Record([]Entry{e}, nil, nil))
			if r.IntN(3) == 0 {
				d := Delivery{At: e.At, Receiver: fmt.Sprintf("team-%d", r.IntN(4)), Outcome: Delivered, Attempt: n}
				for range 1 + r.IntN(3) {
					a := DeliveredAlert{Labels: labelsOf(r.IntN(40)), Resolved: r.IntN(2) == 0}
					if slices.ContainsFunc(d.Alerts, func(b DeliveredAlert) bool { return labels.Equal(a.Labels, b.Labels) }) {
						continue
					}
					d.Alerts = append(d.Alerts, a)
				}
				l.RecordDelivery(d)
				for _, a := range d.Alerts {
					key := a.Labels.String()
					if a.Resolved {
						key += " resolved"
					}
					if at, ok := newest[key]; ok {
						all[at].Deliveries = append(all[at].Deliveries, d)
					}
				}
				require.NoError(t, l.change(func(*session) error { return nil })) // Deliveries go with it.
			}
		}
		if round%3 == 2 {
			require.NoError(t, l.Close())
			l = openAt(t, dir)
		}
		for range 60 {
			q := randomQuery(r, n)
			want := q.want(all)
			got := pages(t, l, q)
			require.Equal(t, len(want), len(got), "%+v", q)
			for i := range want {
				require.Equal(t, want[i].Entry, got[i].Entry)
				requireDeliveries(t, want[i].Deliveries, got[i].Deliveries)
			}
		}
	}
	require.NoError(t, l.Close())
}

// requireDeliveries compares as far as links are kept.
func requireDeliveries(t *testing.T, want, got []Delivery) {
	t.Helper()
	if len(want) <= maxLinks {
		require.Len(t, got, len(want))
	}
	for i := range min(len(got), maxLinks) {
		require.NotZero(t, got[i].ID)
		require.Equal(t, []any{want[i].Attempt, want[i].Receiver, want[i].At, len(want[i].Alerts)},
			[]any{got[i].Attempt, got[i].Receiver, got[i].At, got[i].AlertCount})
	}
}

// pages asks for page after page.
func pages(t *testing.T, l *Ledger, q Query) []Recorded {
	t.Helper()
	var out []Recorded
	for {
		p, err := l.History(t.Context(), q)
		require.NoError(t, err)
		require.LessOrEqual(t, len(p.Entries), q.Limit)
		if p.Next != "" {
			require.Len(t, p.Entries, q.Limit)
		}
		out = append(out, p.Entries...)
		if q.After = p.Next; q.After == "" {
			return out
		}
	}
}

// Pages are of one moment as far as what was there is concerned: nothing twice, nothing left out.
func TestPagesAreStableWhileTransitionsArrive(t *testing.T) {
	l := openTest(t)
	for n := range 500 {
		require.NoError(t, l.Record([]Entry{entryOf(n%7, n, alert.Firing)}, nil, nil))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for n := 1000; ; n++ {
				select {
				case <-stop:
					return
				default:
					require.NoError(t, l.Record([]Entry{entryOf(g, n, alert.Firing)}, nil, nil))
				}
			}
		})
	}
	for range 5 {
		got := pages(t, l, Query{Limit: 9, Until: start().Add(600 * time.Second)})
		require.Len(t, got, 500)
		for i := range got {
			require.Equal(t, entryOf((499-i)%7, 499-i, alert.Firing), got[i].Entry)
		}
		seen := map[EntryID]bool{}
		last := ^EntryID(0)
		for _, e := range pages(t, l, Query{Limit: 50}) {
			require.False(t, seen[e.ID])
			require.Less(t, e.ID, last)
			seen[e.ID], last = true, e.ID
		}
	}
	close(stop)
	wg.Wait()
}

func TestQueriesThatCannotBe(t *testing.T) {
	l := openTest(t)
	for _, token := range []string{"x", "?", makeToken(5)[1:], "AAAAAAAAAAAA"} {
		_, err := l.History(t.Context(), Query{After: token})
		require.ErrorIs(t, err, ErrBadToken)
	}
	for _, limit := range []int{-1, MaxLimit + 1} {
		_, err := l.History(t.Context(), Query{Limit: limit})
		require.ErrorContains(t, err, "ask for 1 to 1000")
	}
}

func TestDeliveriesOfATransition(t *testing.T) {
	l := openTest(t)
	fired, ended := entryOf(1, 1, alert.Firing), entryOf(1, 2, alert.Inactive)
	deliver := func(d Delivery) {
		d.At = start()
		d.Alerts = append(d.Alerts, DeliveredAlert{Labels: labelsOf(99)}) // Not known.
		l.RecordDelivery(d)
		require.NoError(t, l.change(func(*session) error { return nil }))
	}
	told := []DeliveredAlert{{Labels: labelsOf(1)}}
	require.NoError(t, l.Record([]Entry{fired}, nil, nil))
	for n := range 100 {
		deliver(Delivery{Receiver: "pager", Attempt: n + 1, Outcome: Failed, Answer: strings.Repeat("ü", 1000), Alerts: told})
	}
	deliver(Delivery{Receiver: "pager", Attempt: 101, Outcome: Delivered, Alerts: told})
	deliver(Delivery{Receiver: "chat", Attempt: 1, Outcome: Failed, Alerts: told})
	deliver(Delivery{Receiver: "chat", Attempt: 2, Outcome: Delivered, Alerts: told})
	for n := range 50 { // Repeats.
		deliver(Delivery{Receiver: "pager", Attempt: n, Outcome: Delivered, Alerts: told})
	}
	require.NoError(t, l.Record([]Entry{ended}, nil, nil))
	deliver(Delivery{Receiver: "pager", Attempt: 1, Outcome: Delivered, Alerts: []DeliveredAlert{{Labels: labelsOf(1), Resolved: true}}})

	all := entriesOf(t, l, Query{})
	require.Len(t, all, 2)
	var got []string
	for _, d := range all[0].Deliveries {
		got = append(got, fmt.Sprintf("%s %d %s", d.Receiver, d.Attempt, d.Outcome))
		require.Nil(t, d.Alerts)
		require.Equal(t, 2, d.AlertCount)
		require.LessOrEqual(t, len(d.Answer), maxAnswer)
		require.True(t, strings.HasPrefix(strings.Repeat("ü", 300), strings.TrimSuffix(d.Answer, "…")))
	}
	require.Len(t, got, maxLinks+3)
	require.Equal(t, []string{"pager 16 failed", "pager 101 delivered", "chat 1 failed", "chat 2 delivered"}, got[maxLinks-1:])
	require.Len(t, all[1].Deliveries, 1)
	require.Len(t, entriesOf(t, l, Query{Receiver: "chat"}), 1)
	require.Empty(t, entriesOf(t, l, Query{Receiver: "nobody"}))
}

func TestDeliveriesAreOnDiskSoon(t *testing.T) {
	l := openTest(t)
	begin := time.Now()
	l.RecordDelivery(Delivery{At: start(), Receiver: "team"})
	for n := 0; n == 0; {
		require.NoError(t, l.db.reader.QueryRow("SELECT count(*) FROM log").Scan(&n))
		require.Less(t, time.Since(begin), 10*time.Second)
	}
	t.Logf("on disk after %v", time.Since(begin))
	require.Greater(t, time.Since(begin), deliveryDelay/2, "it waits for company")
}

func TestExport(t *testing.T) {
	l := openTest(t)
	e := entryOf(1, 1, alert.Firing)
	e.Reason, e.Flapping, e.Duration = alert.ForElapsed, true, 90*time.Second
	e.Clearing = alert.Reading{Value: 0.25, Known: true}
	require.NoError(t, l.Record([]Entry{e}, nil, nil))
	l.RecordDelivery(Delivery{
		At: start(), Receiver: "pager", Integration: "webhook", Index: 2, GroupKey: "{}", Route: "root", Attempt: 3, Latency: time.Millisecond,
		Outcome: Delivered, Answer: "200 OK", Notification: 7, Alerts: []DeliveredAlert{{Labels: labelsOf(1)}},
	})
	for n := 2; n < 1400; n++ {
		require.NoError(t, l.Record([]Entry{entryOf(1, n, alert.Firing)}, nil, nil))
	}
	var out bytes.Buffer
	require.NoError(t, l.Export(t.Context(), Query{OldestFirst: true}, &out))
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, 1399)
	require.Contains(t, lines[0], `"threshold":"> 0.5"`, "not escaped")
	require.JSONEq(t, `{"id":"64","at":"2023-11-14T22:13:21Z","file":"/etc/tocsin/rules/1.yml","group":"group-1","rule":"Rule1",
		"ruleVersion":"0000000000000001","from":"pending","to":"firing","value":"0.125","activeAt":"2023-11-14T22:12:21Z",
		"labels":{"alertname":"Rule1","cluster":"c1","instance":"host-1.example.com:9100","job":"job1","severity":"ticket","team":"team-1"},
		"annotations":{"runbook":"https://runbooks.example.com/latency/1","summary":"Instance host-1.example.com has a latency of 1 ms"},
		"expr":"histogram_quantile(0.99, sum by (instance, le) (rate(http_request_duration_seconds_bucket{job=\"job1\"}[5m]))) > 0.5",
		"threshold":"> 0.5","evaluationLatencySeconds":0.000001,"reason":"for_elapsed","clearingValue":"0.25","firedSeconds":90,"flapping":true,
		"deliveries":[{"id":"`+idOfDelivery(t, lines[0])+`","at":"2023-11-14T22:13:20Z","receiver":"pager","integration":"webhook","index":2,"groupKey":"{}",
		"route":"root","alerts":1,"attempt":3,"latencySeconds":0.001,"outcome":"delivered","answer":"200 OK","notification":7}]}`, lines[0])

	out.Reset()
	require.NoError(t, l.Export(t.Context(), Query{Limit: 777}, &out))
	require.Equal(t, 777, strings.Count(out.String(), "\n"))
	require.ErrorContains(t, l.Export(t.Context(), Query{Limit: -1}, &out), "leave it 0 for all")
}

func idOfDelivery(t *testing.T, line string) string {
	t.Helper()
	var v struct{ Deliveries []struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(line), &v))
	return v.Deliveries[0].ID
}
