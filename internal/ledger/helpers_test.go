package ledger

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		n, err := strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return seed
}

func newRand(t testing.TB) *rand.Rand { return rand.New(rand.NewPCG(seedOf(t), 0)) }

// start is when the tests' transitions begin.
func start() time.Time { return time.Unix(1_700_000_000, 0).UTC() }

func openAt(t testing.TB, dir string, change ...func(*Options)) *Ledger {
	t.Helper()
	o := Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: func() time.Time { return start().Add(time.Hour) }}
	for _, c := range change {
		c(&o)
	}
	l, err := Open(o)
	require.NoError(t, err)
	return l
}

// openTest opens a ledger that is closed, without an error, when the test ends.
func openTest(t testing.TB, change ...func(*Options)) *Ledger {
	t.Helper()
	l := openAt(t, t.TempDir(), change...)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			require.ErrorIs(t, err, ErrClosed, "closed by the test itself")
		}
	})
	return l
}

// labelsOf is the label set of a test's i-th alert.
func labelsOf(i int) labels.Labels {
	return labels.FromStrings(
		"alertname", fmt.Sprintf("Rule%d", i%500), "cluster", fmt.Sprintf("c%d", i%5),
		"instance", fmt.Sprintf("host-%d.example.com:9100", i), "job", fmt.Sprintf("job%d", i%50),
		"severity", []string{"page", "ticket", "info"}[i%3], "team", fmt.Sprintf("team-%d", i%20))
}

// entryOf is the n-th transition of a test, of the i-th alert.
func entryOf(i, n int, to alert.State) Entry {
	from := alert.Firing
	if to == alert.Firing {
		from = alert.Pending
	}
	return Entry{
		Transition: alert.Transition{
			File: fmt.Sprintf("/etc/tocsin/rules/%d.yml", i%50), Group: fmt.Sprintf("group-%d", i%100), Rule: fmt.Sprintf("Rule%d", i%500),
			RuleID: fmt.Sprintf("%016x", i%500), From: from, To: to, Labels: labelsOf(i),
			Annotations: labels.FromStrings(
				"runbook", fmt.Sprintf("https://runbooks.example.com/latency/%d", i%500),
				"summary", fmt.Sprintf("Instance host-%d.example.com has a latency of %d ms", i, n)),
			Value: float64(n) / 8, ActiveAt: start().Add(time.Duration(n-60) * time.Second), At: start().Add(time.Duration(n) * time.Second),
		},
		Expr:      fmt.Sprintf(`histogram_quantile(0.99, sum by (instance, le) (rate(http_request_duration_seconds_bucket{job="job%d"}[5m]))) > 0.5`, i%50),
		Threshold: "> 0.5", Latency: time.Duration(n) * time.Microsecond,
	}
}

func instanceOf(i, n int, state alert.State) Instance {
	e := entryOf(i, n, state)
	return Instance{File: e.File, Group: e.Group, Rule: e.Rule, RuleID: e.RuleID, Alert: alert.Alert{
		State: state, Labels: e.Labels, Annotations: e.Annotations, Value: e.Value, ActiveAt: e.ActiveAt, FiredAt: e.At, LastSentAt: e.At,
		ValidUntil: e.At.Add(4 * time.Minute),
	}}
}

func keyOf(i int) InstanceKey {
	in := instanceOf(i, 0, alert.Firing)
	return in.Key()
}
