package notify

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		n, err := strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
		seed = n
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestBackoff(t *testing.T) {
	r := newRand(t)
	for n, want := range []time.Duration{0, 1, 2, 4, 8, 16, 20, 20, 20} {
		if n == 0 {
			continue
		}
		want *= time.Second
		for range 100 {
			got := backoff(n, time.Second, 20*time.Second, r)
			require.GreaterOrEqual(t, got, want/2)
			require.LessOrEqual(t, got, want)
		}
	}
	require.LessOrEqual(t, backoff(1<<30, time.Second, time.Hour, r), time.Hour, "and at once")
}

// TestCircuit drives a circuit at random against what is asked of it.
func TestCircuit(t *testing.T) {
	r := newRand(t)
	now := time.Unix(1_700_000_000, 0)
	wait := func(n int) time.Duration { return time.Duration(n) * time.Second }
	c, flying, failures := circuit{}, 0, 0
	for range 100_000 {
		next, ok, until := c.allow(now)
		switch c.state {
		case circuitClosed:
			require.True(t, ok)
			require.Less(t, failures, openAfter)
		case circuitOpen:
			require.Equal(t, !now.Before(c.until), ok)
			if !ok {
				require.Equal(t, c.until, until)
			}
		case circuitHalfOpen:
			require.Equal(t, !c.probing, ok, "one attempt at a time")
		}
		switch r.IntN(4) {
		case 0:
			if ok {
				c = next
				flying++
			}
		case 1:
			now = now.Add(time.Duration(r.Int64N(int64(2 * time.Second))))
		case 2:
			if flying > 0 {
				flying--
				was := c
				c = c.failed(now, wait)
				failures++
				if was.state == circuitHalfOpen {
					require.Equal(t, circuitOpen, c.state)
					require.Equal(t, now.Add(wait(was.opened+1)), c.until, "longer each time")
				}
			}
		default:
			if flying > 0 && r.IntN(3) == 0 {
				flying--
				c, failures = c.succeeded(), 0
				require.Equal(t, circuit{}, c)
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	m := &message{Version: messageVersion, target: target{"r", "webhook", 0}, Alerts: []messageAlert{{}}}
	data, err := m.encode()
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decodeMessage(data)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Skip() // Times that JSON cannot write.
		}
		same, err := decodeMessage(again)
		require.NoError(t, err)
		last, err := same.encode()
		require.NoError(t, err)
		require.True(t, bytes.Equal(again, last))
		m.context(t.Context(), nil)
		m.alerts()
	})
}

func TestMessageSaysWhatItSaid(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Nanosecond)
	m := &message{
		Version: messageVersion, Seq: 1 << 60, target: target{"team/a", "webhook", 3}, GroupKey: `{}:{a="b"}`, Route: "{}/0",
		GroupLabels: model.LabelSet{"a": "ü"}, RouteLabels: model.LabelSet{"r": "1"}, Reason: "repeat interval elapsed",
		RepeatInterval: time.Hour, Now: now, FlushID: 9, GroupID: "x", Timeout: time.Minute, Firing: []uint64{1<<64 - 1}, Resolved: []uint64{2},
		Alerts: []messageAlert{{
			Alert: model.Alert{
				Labels: model.LabelSet{"a": "b"}, Annotations: model.LabelSet{"t": "ä\n", "empty": ""}, StartsAt: now, EndsAt: now, GeneratorURL: "http://x",
			}, UpdatedAt: now, Timeout: true, Recorded: model.LabelSet{"c": "d"},
		}},
	}
	data, err := m.encode()
	require.NoError(t, err)
	got, err := decodeMessage(data)
	require.NoError(t, err)
	require.Equal(t, m, got)
	for _, bad := range []string{"", "{}", `{"version":2}`, strings.Replace(string(data), `"team/a"`, `""`, 1)} {
		_, err := decodeMessage([]byte(bad))
		require.Error(t, err, bad)
	}
}
