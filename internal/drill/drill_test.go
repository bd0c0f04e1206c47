package drill_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/drill"
)

// server stands in for tocsin: it fires on the drill's sample and delivers, as far as the test lets it.
type server struct {
	*httptest.Server
	desk *drill.Desk
	ends chan bool // receives whether the ending sample is a staleness marker
}

func newServer(t *testing.T, fire, deliver bool) *server {
	t.Helper()
	desk, err := drill.NewDesk(nil)
	require.NoError(t, err)
	desk.Start()
	t.Cleanup(desk.Stop)
	s := &server{desk: desk, ends: make(chan bool, 1)}
	mux := http.NewServeMux()
	mux.Handle("GET /api/v1/drill", desk)
	mux.HandleFunc("POST /api/v1/write", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		raw, err := snappy.Decode(nil, b)
		require.NoError(t, err)
		var req prompb.WriteRequest
		require.NoError(t, req.Unmarshal(raw))
		w.WriteHeader(http.StatusNoContent)
		ts := req.Timeseries[0]
		if ts.Samples[0].Value != 1 {
			s.ends <- value.IsStaleNaN(ts.Samples[0].Value)
			return
		}
		if fire {
			id := ts.Labels[1].Value
			desk.Observe(r.Context(), alert.Transition{Rule: drill.AlertName, To: alert.Firing, Labels: labels.FromStrings(drill.Label, id)})
			if deliver {
				body := `{"alerts":[{"status":"firing","labels":{"alertname":"TocsinDrill","drill":"` + id + `"}}]}`
				resp, err := http.Post(desk.HookURL(), "application/json", strings.NewReader(body))
				require.NoError(t, err)
				resp.Body.Close()
			}
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) run(t *testing.T, timeout time.Duration) drill.Result {
	t.Helper()
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	return drill.Run(context.Background(), s.Client(), u, "id-1", timeout)
}

func TestDelivered(t *testing.T) {
	s := newServer(t, true, true)
	r := s.run(t, 10*time.Second)
	require.True(t, r.Delivered, r.Error)
	require.Len(t, r.Legs, 3)
	sum := 0.0
	for _, l := range r.Legs {
		sum += l.MS
	}
	require.InDelta(t, r.TotalMS, sum, 0.01+r.TotalMS*0.01)
	require.True(t, <-s.ends, "the drill's series must end with a staleness marker")
}

func TestNothingDelivered(t *testing.T) {
	for _, tc := range []struct {
		name string
		fire bool
		want string
	}{{"no rule fired", false, "did not fire"}, {"fired, not delivered", true, "nothing was delivered"}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, tc.fire, false)
			r := s.run(t, 300*time.Millisecond)
			require.False(t, r.Delivered)
			require.Contains(t, r.Error, tc.want)
			require.True(t, <-s.ends)
		})
	}
}

func TestServerAway(t *testing.T) {
	u, err := url.Parse("http://127.0.0.1:1")
	require.NoError(t, err)
	r := drill.Run(context.Background(), http.DefaultClient, u, "x", time.Second)
	require.False(t, r.Delivered)
	require.Contains(t, r.Error, "is tocsin running there?")
}

func TestDeskForgetsTheOldest(t *testing.T) {
	desk, err := drill.NewDesk(nil)
	require.NoError(t, err)
	desk.Start()
	defer desk.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	firing := func(id string) {
		desk.Observe(ctx, alert.Transition{Rule: drill.AlertName, To: alert.Firing, Labels: labels.FromStrings(drill.Label, id)})
	}
	firing("first")
	require.True(t, desk.Wait(ctx, "first").Fired)
	for i := range 1024 {
		firing(fmt.Sprint(i))
	}
	require.False(t, desk.Wait(ctx, "first").Fired)
}

// TestAnotherServer takes samples, as a Prometheus with a remote-write receiver does, but is no tocsin.
func TestAnotherServer(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/write", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	other := httptest.NewServer(mux)
	defer other.Close()
	u, err := url.Parse(other.URL)
	require.NoError(t, err)
	r := drill.Run(context.Background(), other.Client(), u, "x", 10*time.Second)
	require.False(t, r.Delivered)
	require.Contains(t, r.Error, "is it a tocsin?")
}

// TestStoppingEndsWaits: a request that waits for a drill does not hold up the server's end.
func TestStoppingEndsWaits(t *testing.T) {
	desk, err := drill.NewDesk(nil)
	require.NoError(t, err)
	desk.Start()
	defer desk.Stop()
	answered := make(chan drill.Outcome)
	go func() { answered <- desk.Wait(context.Background(), "never") }()
	desk.EndWaits()
	select {
	case o := <-answered:
		require.False(t, o.Delivered)
	case <-time.After(20 * time.Second):
		t.Fatal("still waiting")
	}
}
