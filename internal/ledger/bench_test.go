package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// percentiles tells the spread of durations. It sorts them.
func percentiles(d []time.Duration) string {
	slices.Sort(d)
	return fmt.Sprintf("p50=%v p90=%v p99=%v max=%v", d[len(d)/2], d[len(d)*9/10], d[len(d)*99/100], d[len(d)-1])
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[len(d)*p/100]
}

// BenchmarkRecord measures a synced commit, of one transition and of many, alone and from eight goroutines.
func BenchmarkRecord(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("transitions=%d", n), func(b *testing.B) {
			l := openTest(b)
			entries, changed := make([]Entry, n), make([]Instance, n)
			for i := range entries {
				entries[i], changed[i] = entryOf(i, i, alert.Firing), instanceOf(i, i, alert.Firing)
			}
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				require.NoError(b, l.Record(entries, changed, nil))
				took = append(took, time.Since(start))
			}
			report(b, took)
		})
	}
	b.Run("goroutines=8", func(b *testing.B) {
		l := openTest(b)
		var mu sync.Mutex
		var took []time.Duration
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				var mine []time.Duration
				for i := range b.N / 8 {
					start := time.Now()
					require.NoError(b, l.Record([]Entry{entryOf(g, i, alert.Firing)}, []Instance{instanceOf(g, i, alert.Firing)}, nil))
					mine = append(mine, time.Since(start))
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, mine...)
			})
		}
		wg.Wait()
		report(b, took)
	})
}

func report(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	b.ReportMetric(float64(percentile(took, 50).Microseconds()), "p50-µs")
	b.ReportMetric(float64(percentile(took, 99).Microseconds()), "p99-µs")
}

// largeLedger fills a ledger with n transitions of 100,000 alerts, single commits being rows of their own as in life,
// and a delivery for every third.
func largeLedger(t testing.TB, l *Ledger, n int) {
	t.Helper()
	begin := time.Now()
	r := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < n; {
		// Rows as single evaluations leave them, many to a transaction to be quick.
		var rows []*row
		for range 2000 {
			size := 1
			if r.IntN(10) == 0 {
				size = 1 + r.IntN(rowEntries)
			}
			var v row
			for range min(size, n-done) {
				i := r.IntN(100_000)
				to := alert.State(1 + r.IntN(2))
				if r.IntN(3) == 0 {
					to = alert.Inactive
				}
				v.entries = append(v.entries, entryOf(i, done, to))
				done++
			}
			if len(v.entries) == 0 {
				break
			}
			rows = append(rows, &v)
			e := &v.entries[0]
			if to := e.To; to != alert.Pending && r.IntN(3) == 0 {
				rows = append(rows, &row{deliveries: []storedDelivery{{asOf: 1 << 50, Delivery: Delivery{
					At: e.At, Receiver: fmt.Sprintf("receiver-%d", r.IntN(10)), Integration: "webhook", GroupKey: "{}/{team=\"a\"}",
					Outcome: Delivered, Answer: "200 OK", AlertCount: 1, Attempt: 1,
					Alerts: []DeliveredAlert{{Labels: e.Labels, Resolved: to == alert.Inactive}},
				}}}})
			}
		}
		require.NoError(t, l.step(context.Background(), func(w *writer) error {
			b := rowBuilder{rows: rows}
			return w.commitRows(b.number(w.last+1), nothing)
		}))
	}
	t.Logf("%d transitions written in %v", n, time.Since(begin))
}

// TestHistoryOfAMillion holds filtered pages to 50 ms at p99. It takes a minute or more: TOCSIN_LEDGER_TRANSITIONS says
// how many transitions (1000000 is what the promise is about), nothing skips it.
func TestHistoryOfAMillion(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("TOCSIN_LEDGER_TRANSITIONS"))
	if n == 0 {
		t.Skip("set TOCSIN_LEDGER_TRANSITIONS=1000000 to measure history")
	}
	dir := t.TempDir()
	l := openAt(t, dir, func(o *Options) { o.Retention, o.MaxBytes = -1, -1 })
	largeLedger(t, l, n)
	var instances []Instance
	for i := range 100_000 {
		instances = append(instances, instanceOf(i, i, alert.Firing))
	}
	begin := time.Now()
	require.NoError(t, l.Record(nil, instances, nil))
	t.Logf("100,000 instances recorded in %v", time.Since(begin))
	require.NoError(t, l.Close())
	info, err := os.Stat(filepath.Join(dir, fileName))
	require.NoError(t, err)
	t.Logf("%d bytes a transition, instances and deliveries included", info.Size()/int64(n))

	begin = time.Now()
	l = openAt(t, dir, func(o *Options) { o.Retention, o.MaxBytes = -1, -1 })
	opened := time.Since(begin)
	got, err := l.Instances()
	require.NoError(t, err)
	require.Len(t, got, 100_000)
	t.Logf("opened in %v, instances after %v", opened, time.Since(begin))
	_, err = l.History(t.Context(), Query{Limit: 1})
	require.NoError(t, err)
	t.Logf("history after %v", time.Since(begin))
	measurePages(t, l, n)
	require.NoError(t, l.Close())

	begin = time.Now()
	report, err := Check(dir)
	require.NoError(t, err)
	require.Empty(t, report.Problems)
	t.Logf("checked in %v: %d transitions, %d deliveries", time.Since(begin), report.Transitions, report.Deliveries)
}

func measurePages(t *testing.T, l *Ledger, n int) {
	r := rand.New(rand.NewPCG(3, 4))
	one := func(m ...*labels.Matcher) Query { return Query{Matchers: m} }
	match := labels.MustNewMatcher
	for name, query := range map[string]func() Query{
		"newest first": func() Query { return Query{} },
		"by rule":      func() Query { return Query{Rule: fmt.Sprintf("Rule%d", r.IntN(500))} },
		"by exact label": func() Query {
			return one(match(labels.MatchEqual, "instance", fmt.Sprintf("host-%d.example.com:9100", r.IntN(100_000))))
		},
		"by regexp": func() Query {
			return one(match(labels.MatchRegexp, "instance", fmt.Sprintf("host-%d.*9100", r.IntN(1000))))
		},
		"by regexp, none": func() Query {
			return one(match(labels.MatchRegexp, "instance", ".*nowhere"), match(labels.MatchRegexp, "team", "team-.*"))
		},
		"by time": func() Query {
			since := start().Add(time.Duration(r.IntN(n)) * time.Second)
			return Query{Since: since, Until: since.Add(time.Hour)}
		},
		"by receiver": func() Query { return Query{Receiver: fmt.Sprintf("receiver-%d", r.IntN(10))} },
		"by all": func() Query {
			return Query{Rule: "Rule7", Receiver: "receiver-3", States: []alert.State{alert.Firing}, Until: start().Add(time.Duration(n/2) * time.Second),
				Matchers: []*labels.Matcher{match(labels.MatchRegexp, "team", "team-(7|8)"), match(labels.MatchNotEqual, "severity", "info")}}
		},
		"page in the middle": func() Query { return Query{After: makeToken(makeID(int64(r.IntN(n/5)), 0))} },
	} {
		var took []time.Duration
		found := 0
		for range 100 {
			begin := time.Now()
			p, err := l.History(t.Context(), query())
			require.NoError(t, err)
			took = append(took, time.Since(begin))
			found += len(p.Entries)
		}
		t.Logf("%-20s %s, %d a page", name, percentiles(took), found/len(took))
		require.Less(t, percentile(took, 99), 50*time.Millisecond, name)
	}
}
