package notify

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
)

func openLedger(t testing.TB, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(ledger.Options{Dir: dir, Logger: testLogger(t), CommitTimeout: 30 * time.Second})
	require.NoError(t, err)
	return l
}

// quick are settings for tests: receivers come back within moments.
func quick() Settings {
	return Settings{MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond}
}

// startWithLedger is start with an outbox.
func startWithLedger(t testing.TB, o Options, yaml string) *Notifier {
	t.Helper()
	l := openLedger(t, t.TempDir())
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	o.Ledger = l
	if o.Settings == (Settings{}) {
		o.Settings = quick()
	}
	return start(t, o, yaml)
}

// faulty is a receiver that can be broken in a certain way, and mended.
type faulty struct {
	*hook
	mu     sync.Mutex
	answer func(http.ResponseWriter) bool // reports whether it answered
	asked  []time.Time
}

func newFaulty(t testing.TB, answer func(http.ResponseWriter) bool) *faulty {
	f := &faulty{hook: newHook(t), answer: answer}
	inner := f.hook.Server.Config.Handler
	f.hook.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, time.Now())
		answer := f.answer
		f.mu.Unlock()
		if answer == nil || !answer(w) {
			inner.ServeHTTP(w, r)
		}
	})
	return f
}

func (f *faulty) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = nil
}

func (f *faulty) requests() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.asked...)
}

func status(code int) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool { w.WriteHeader(code); return true }
}

// hangUp closes the connection without a word.
func hangUp(w http.ResponseWriter) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = c.Close()
	return true
}

// halfClose says that nothing more comes, and goes on listening.
func halfClose(w http.ResponseWriter) bool {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
	return true
}

// beside is a configuration with receivers that are broken and one that is not, each told of every alert.
func beside(healthy string, broken map[string]string) string {
	routes, receivers := "", ""
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		routes += fmt.Sprintf("  - {receiver: %s, continue: true}\n", name)
		receivers += fmt.Sprintf("- name: %s\n  webhook_configs: [%s]\n", name, broken[name])
	}
	return fmt.Sprintf(`
route:
  receiver: healthy
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
%s  - {receiver: healthy}
receivers:
%s- name: healthy
  webhook_configs: [{url: %q}]
`, routes, receivers, healthy)
}

// tellThree sends three alerts of one group, each in a flush of its own, and checks that the healthy receiver hears of
// each at once.
func tellThree(t *testing.T, n *Notifier, healthy *hook) {
	t.Helper()
	for i := range 3 {
		began := time.Now()
		send(n, firing("A", "i", strconv.Itoa(i)))
		eventually(t, "the healthy receiver is told", func() bool { return healthy.count("firing", "i", strconv.Itoa(i)) > 0 })
		require.Less(t, time.Since(began), soon)
	}
}

// inOrder checks that a receiver was told of the three, each time of more than before. Where the machine is busy, a flush
// may bring two at once; a receiver that hung may have taken what nobody waited for any more.
func inOrder(t *testing.T, h *hook, hung bool) {
	t.Helper()
	eventually(t, "all is delivered after recovery", func() bool { return h.count("firing", "i", "2") > 0 })
	before := 0
	for _, m := range h.got() {
		if !hung {
			require.Greater(t, len(m.Alerts), before)
		}
		require.GreaterOrEqual(t, len(m.Alerts), before)
		before = len(m.Alerts)
	}
	require.Equal(t, 3, before)
}

// breakAll returns receivers that fail in every way, what they are told once they are mended, and what mends them; fixed is
// their configuration then.
func breakAll(t *testing.T) (broken, fixed map[string]string, hooks map[string]*hook, mend func()) {
	quickly := func(url string) string { return fmt.Sprintf("{url: %q, timeout: 300ms}", url) }
	broken, hooks = map[string]string{}, map[string]*hook{}
	var mends []func()
	for name, answer := range map[string]func(http.ResponseWriter) bool{
		"error": status(500), "hangup": hangUp, "half-closed": halfClose, "limited": status(429),
	} {
		f := newFaulty(t, answer)
		broken[name], hooks[name] = quickly(f.URL), f.hook
		mends = append(mends, f.mend)
	}
	hooks["refused"] = newHook(t)
	gate := newGate(t, hooks["refused"].Listener.Addr().String())
	broken["refused"] = quickly("http://" + gate.addr)
	hooks["hanging"] = newHook(t).block()
	broken["hanging"] = quickly(hooks["hanging"].URL)
	mends = append(mends, func() { gate.open(t) }, hooks["hanging"].release)

	fixed = maps.Clone(broken)
	hooks["dns"] = newHook(t)
	broken["dns"], fixed["dns"] = quickly("http://nobody.invalid:1"), quickly(hooks["dns"].URL)
	hooks["tls"] = newHook(t)
	secure := httptest.NewUnstartedServer(hooks["tls"].Server.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	broken["tls"] = quickly(secure.URL)
	fixed["tls"] = fmt.Sprintf("{url: %q, http_config: {tls_config: {insecure_skip_verify: true}}}", secure.URL)
	return broken, fixed, hooks, func() {
		for _, m := range mends {
			m()
		}
	}
}

func TestFaultyReceivers(t *testing.T) {
	broken, fixed, hooks, mend := breakAll(t)
	healthy := newHook(t)
	reg := prometheus.NewRegistry()
	n := startWithLedger(t, Options{Registerer: reg}, beside(healthy.URL, broken))
	tellThree(t, n, healthy)
	for name, h := range hooks {
		require.Empty(t, h.got(), name)
		eventually(t, name+" fails again and again", func() bool {
			return metric(t, reg, "tocsin_notify_outbox_circuit_state", "receiver="+name) > 0 || name == "limited"
		})
	}
	eventually(t, "everything waits", func() bool {
		complete := 0
		for _, w := range n.Waiting() {
			if len(w.Alerts) == 3 {
				complete++
			}
		}
		return complete == len(hooks)
	})
	mend()
	require.NoError(t, n.Apply(load(t, beside(healthy.URL, fixed))))
	for name, h := range hooks {
		t.Log(name)
		inOrder(t, h, name == "hanging")
	}
	eventually(t, "the outbox is empty", func() bool { return metric(t, reg, "tocsin_notify_outbox_waiting") == 0 })
	require.Len(t, healthy.got(), 3, "nothing is told twice")
	for name, h := range hooks {
		inOrder(t, h, name == "hanging")
		require.Zero(t, metric(t, reg, "tocsin_notify_outbox_circuit_state", "receiver="+name), name)
	}
}

func TestSlowReceiverIsNoTrouble(t *testing.T) {
	f := newFaulty(t, func(http.ResponseWriter) bool { time.Sleep(500 * time.Millisecond); return false })
	healthy := newHook(t)
	reg := prometheus.NewRegistry()
	n := startWithLedger(t, Options{Registerer: reg}, beside(healthy.URL, map[string]string{"slow": fmt.Sprintf("{url: %q}", f.URL)}))
	tellThree(t, n, healthy)
	inOrder(t, f.hook, false)
	require.Zero(t, metric(t, reg, "tocsin_notify_outbox_attempts_total", "outcome=failed"))
}

// Nobody asks before Retry-After is over, for whatever group.
func TestRetryAfter(t *testing.T) {
	const pause = 2 * time.Second
	f := newFaulty(t, func(w http.ResponseWriter) bool {
		w.Header().Set("Retry-After", "2")
		return status(http.StatusTooManyRequests)(w)
	})
	n := startWithLedger(t, Options{}, simple(f.URL, ""))
	send(n, firing("A"))
	eventually(t, "asked", func() bool { return len(f.requests()) == 1 })
	f.mend()
	eventually(t, "noted", func() bool { c := n.Circuits(); return len(c) == 1 && !c[0].Until.IsZero() })
	limited := n.Circuits()[0]
	require.True(t, limited.Troubled())
	require.Contains(t, limited.LastError, "429")
	send(n, firing("B"))
	eventually(t, "both are delivered", func() bool { return len(f.got()) == 2 })
	asked := f.requests()
	require.Len(t, asked, 3)
	require.GreaterOrEqual(t, asked[1].Sub(asked[0]), pause-100*time.Millisecond)
	eventually(t, "it works again", func() bool { c := n.Circuits()[0]; return !c.Troubled() && c.LastError == "" })
}

// gate forwards to an address, once it is open; before, it refuses.
type gate struct{ addr, to string }

func newGate(t testing.TB, to string) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return &gate{addr: l.Addr().String(), to: to}
}

func (g *gate) open(t testing.TB) {
	l, err := net.Listen("tcp", g.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.to)
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}
