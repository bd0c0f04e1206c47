package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

func TestMain(m *testing.M) {
	// Configurations are loaded before a Notifier is made, as the program does.
	InitMatchers(nil)
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within %s: %s", patience, what)
}

func load(t testing.TB, yaml string) *amconfig.Config {
	t.Helper()
	cfg, err := amconfig.Load(yaml)
	require.NoError(t, err)
	return cfg
}

// testLogger shows warnings and errors of a failing test.
func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// start makes, configures and starts a Notifier that ends with the test.
func start(t testing.TB, o Options, yaml string) *Notifier {
	t.Helper()
	if o.Logger == nil {
		o.Logger = testLogger(t)
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = time.Second
	}
	n, err := New(o)
	require.NoError(t, err)
	if yaml != "" {
		require.NoError(t, n.Apply(load(t, yaml)))
	}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

func firing(name string, kv ...string) alert.Outgoing {
	return alert.Outgoing{
		Labels:   labels.FromStrings(append([]string{"alertname", name}, kv...)...),
		StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
	}
}

func over(a alert.Outgoing) alert.Outgoing {
	a.EndsAt = time.Now()
	return a
}

// hookMessage is Alertmanager's webhook message, as far as tests look at it.
type hookMessage struct {
	at       time.Time
	Receiver string            `json:"receiver"`
	Status   string            `json:"status"`
	GroupKey string            `json:"groupKey"`
	Reason   string            `json:"notification_reason"`
	Group    map[string]string `json:"groupLabels"`
	Alerts   []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
	} `json:"alerts"`
}

// hook is a webhook that remembers. While hang is open, it answers nobody.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	messages []hookMessage
	calls    int
	status   int
	hang     chan struct{}
}

func newHook(t testing.TB) *hook {
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(func() {
		h.release()
		h.Server.CloseClientConnections()
		h.Server.Close()
	})
	return h
}

func (h *hook) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	m := hookMessage{at: time.Now()}
	if err == nil {
		err = json.Unmarshal(body, &m)
	}
	h.mu.Lock()
	h.calls++
	hang, status := h.hang, h.status
	h.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	if err == nil && status == http.StatusOK {
		h.mu.Lock()
		h.messages = append(h.messages, m)
		h.mu.Unlock()
	}
	w.WriteHeader(status)
}

func (h *hook) block() *hook {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hang = make(chan struct{})
	return h
}

func (h *hook) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hang != nil {
		close(h.hang)
		h.hang = nil
	}
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) called() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

func (h *hook) got() []hookMessage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]hookMessage(nil), h.messages...)
}

// count is how many alerts with label name=value and the given status were delivered.
func (h *hook) count(status, name, value string) int {
	n := 0
	for _, m := range h.got() {
		for _, a := range m.Alerts {
			if a.Status == status && a.Labels[name] == value {
				n++
			}
		}
	}
	return n
}

// simple is a configuration with one webhook; extra is appended.
func simple(url, extra string) string {
	return fmt.Sprintf(`
route: {receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
%s`, url, extra)
}

// metric sums the samples of a family whose labels include all of want ("name=value").
func metric(t testing.TB, g prometheus.Gatherer, family string, want ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetName()+"="+l.GetValue()] = true
			}
			all := true
			for _, w := range want {
				all = all && have[w]
			}
			if all {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func send(n *Notifier, alerts ...alert.Outgoing) { n.Send(context.Background(), alerts) }

// call sends a request to the API and returns status and body.
func call(t testing.TB, h http.Handler, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
