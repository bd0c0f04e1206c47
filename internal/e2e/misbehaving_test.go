package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// misbehaving is a webhook receiver that is broken in some way until it is mended. What it is sent before counts for
// nothing.
type misbehaving struct {
	name string
	url  string // while it is broken, and afterwards where the configuration need not change
	// mend lets it work, at mended where that is another address.
	mend   func()
	mended string
	// extra is further configuration while it is broken.
	extra string

	mu    sync.Mutex
	works bool
	tried []time.Time
	heard map[string]bool // "firing 3": that alert 3 fires
}

func (m *misbehaving) set(works bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.works = works
}

// serve takes a message where m works, else breaks as broken does.
func (m *misbehaving) serve(broken func(http.ResponseWriter, *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.mu.Lock()
		m.tried = append(m.tried, time.Now())
		works := m.works
		if works {
			var msg struct {
				Alerts []struct {
					Status string
					Labels map[string]string
				}
			}
			if err := json.Unmarshal(body, &msg); err != nil {
				panic(err)
			}
			for _, a := range msg.Alerts {
				m.heard[a.Status+" "+a.Labels["id"]] = true
			}
		}
		m.mu.Unlock()
		if !works {
			broken(w, r)
		}
	})
}

func (m *misbehaving) has(what string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[what]
}

func (m *misbehaving) attempts() []time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.tried)
}

// limitedFor is what limited receivers ask to be left alone for. No wait that is not asked for is as long in these tests.
const limitedFor = 3 * time.Second

// askedAgain reports whether m was asked after a pause.
func (m *misbehaving) askedAgain() error {
	tried := m.attempts()
	if len(tried) < 2 || tried[len(tried)-1].Sub(tried[0]) < time.Second {
		return fmt.Errorf("%s was not asked again: %v", m.name, tried)
	}
	return nil
}

// leftAlone fails the test where m was asked again before that time was over. What was under way when m said so arrives
// within moments.
func (m *misbehaving) leftAlone(t *testing.T) {
	t.Helper()
	tried := m.attempts()
	for i, at := range tried[1:] {
		wait := at.Sub(tried[i])
		if wait > time.Second {
			require.GreaterOrEqual(t, wait, limitedFor-100*time.Millisecond, "%s was asked again too early: %v", m.name, tried)
		}
	}
}

func hijacked(w http.ResponseWriter) *net.TCPConn {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	return c.(*net.TCPConn)
}

// brokenReceivers are one of each kind that there is.
func brokenReceivers(t *testing.T) []*misbehaving {
	t.Helper()
	servedBy := func(start func(*httptest.Server), name string, broken func(http.ResponseWriter, *http.Request)) *misbehaving {
		m := &misbehaving{name: name, heard: map[string]bool{}}
		s := httptest.NewUnstartedServer(m.serve(broken))
		start(s)
		t.Cleanup(s.Close)
		m.url, m.mended = s.URL, s.URL
		m.mend = func() { m.set(true) }
		return m
	}
	served := func(name string, broken func(http.ResponseWriter, *http.Request)) *misbehaving {
		return servedBy((*httptest.Server).Start, name, broken)
	}
	limited := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", fmt.Sprint(limitedFor.Seconds()))
		w.WriteHeader(http.StatusTooManyRequests)
	}
	limitedTLS := servedBy((*httptest.Server).StartTLS, "limitedtls", limited)
	limitedHTTP2 := servedBy(func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }, "limitedhttp2", limited)
	limitedTLS.extra = ", http_config: {tls_config: {insecure_skip_verify: true}}"
	limitedHTTP2.extra = limitedTLS.extra
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) }) // before the servers are closed, which wait for their requests

	slow := served("slow", nil)
	inner := slow.serve(nil)
	slow.set(true)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Second):
		case <-ended:
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	slow.url, slow.mended, slow.mend = s.URL, s.URL, func() {}

	all := []*misbehaving{
		slow,
		refusing(t),
		served("hanging", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-ended:
			}
		}),
		served("limited", limited), limitedTLS, limitedHTTP2,
		served("failing", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }),
		served("dropping", func(w http.ResponseWriter, _ *http.Request) { _ = hijacked(w).Close() }),
		served("halfclosed", func(w http.ResponseWriter, _ *http.Request) {
			c := hijacked(w)
			_ = c.CloseWrite() // Nothing more comes from here, and it goes on listening.
			go func() { <-ended; _ = c.Close() }()
		}),
	}
	// A name that no resolver knows, by the rules of the top-level domain; mended by a configuration that names another.
	dns := served("nameless", nil)
	dns.url = "http://receiver.tocsin.invalid/hook"
	dns.set(true)
	all = append(all, dns)

	// A certificate that nobody vouches for; mended by a configuration that does.
	tls := &misbehaving{name: "untrusted", heard: map[string]bool{}, mend: func() {}}
	tls.set(true)
	secure := httptest.NewTLSServer(tls.serve(nil))
	t.Cleanup(secure.Close)
	tls.url, tls.mended = secure.URL, secure.URL
	tls.extra = ", http_config: {tls_config: {insecure_skip_verify: false}}"
	return append(all, tls)
}

// refusing is a receiver where nothing listens until it is mended.
func refusing(t *testing.T) *misbehaving {
	t.Helper()
	m := &misbehaving{name: "refused", heard: map[string]bool{}, works: true}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	m.url, m.mended = "http://"+address, "http://"+address
	m.mend = func() {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err, "the port was free before")
		s := &http.Server{Handler: m.serve(nil)}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { s.Close() })
	}
	return m
}
