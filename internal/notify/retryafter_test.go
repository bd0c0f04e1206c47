package notify

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"gopkg.in/telebot.v3"

	"github.com/tocsin/tocsin/internal/notify/clients"
)

func TestRetryAfterIsRead(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code  int
		value string
		want  time.Duration
		known bool
	}{
		{429, "7", 7 * time.Second, true}, {503, "0", 0, true}, {429, "86400", maxRetryAfter, true},
		{429, "Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second, true}, {429, "Sun, 01 Mar 2026 11:00:00 GMT", 0, true},
		{429, "soon", 0, false}, {429, "", 0, false}, {429, "-3", 0, false}, {500, "7", 0, false}, {200, "7", 0, false},
		{429, "99999999999999999999", 0, false},
	} {
		got, known := retryAfter(&answer{code: c.code, retryAfter: c.value}, now)
		require.Equal(t, c.want, got, c)
		require.Equal(t, c.known, known, c)
	}
	_, known := retryAfter(nil, now)
	require.False(t, known)
}

func FuzzRetryAfter(f *testing.F) {
	for _, text := range []string{"5", "Sun, 01 Mar 2026 12:00:30 GMT", "", "99999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, known := retryAfter(&answer{code: 429, retryAfter: text}, time.Unix(0, 0))
		if known && (d < 0 || d > maxRetryAfter) || !known && d != 0 {
			t.Fatal(d, known)
		}
	})
}

func TestFloodWait(t *testing.T) {
	for s, want := range map[int]time.Duration{9: 9 * time.Second, 0: 0, -1: 0, 1 << 60: maxRetryAfter} {
		got, known := floodWait(fmt.Errorf("outside: %w", telebot.FloodError{RetryAfter: s}))
		require.True(t, known)
		require.Equal(t, want, got)
	}
	_, known := floodWait(errors.New("another"))
	require.False(t, known)
}

// secure is a receiver over TLS, and a file with its certificate.
func secure(t testing.TB, http2 bool, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return s, ca
}

// newProxy is a proxy that connects where it is asked to, and counts.
func newProxy(t testing.TB) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var connects atomic.Int32
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		connects.Add(1)
		out, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}))
	t.Cleanup(p.Close)
	return p, &connects
}

// integrations are those of receiver r of a configuration, as the outbox has them.
func integrations(t testing.TB, o Options, yaml string) []*attempter {
	t.Helper()
	return startWithLedger(t, o, "route: {receiver: r}\n"+yaml).current.Load().used["r"]
}

// tryOnce has a deliver an alert of that name.
func tryOnce(t testing.TB, a *attempter, name string) verdict {
	m := &message{
		target: a.target(), GroupKey: fmt.Sprintf("{}:{alertname=%q}", name), GroupLabels: model.LabelSet{"alertname": model.LabelValue(name)},
		Now: time.Now(), RepeatInterval: time.Hour,
		Alerts: []messageAlert{{Alert: model.Alert{
			Labels: model.LabelSet{"alertname": model.LabelValue(name)}, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour),
		}}},
	}
	ctx, cancel := context.WithTimeout(m.context(t.Context(), nflog.NewStore(nil)), patience)
	defer cancel()
	return a.attempt(ctx, m.alerts(), 1)
}

// TestRetryAfterIsHeard asks receivers over each protocol that there is.
func TestRetryAfterIsHeard(t *testing.T) {
	type wanted struct {
		after time.Duration
		known bool
	}
	answers := []struct {
		status int
		header string
		want   wanted
	}{
		{429, "7", wanted{7 * time.Second, true}},
		{429, "a date", wanted{90 * time.Second, true}},
		{429, "", wanted{0, false}},
		{503, "11", wanted{11 * time.Second, true}},
		{500, "11", wanted{0, false}},
		{200, "7", wanted{0, false}},
	}
	for _, protocol := range []struct {
		name           string
		tls, h2, proxy bool
	}{
		{name: "plain"}, {name: "HTTP/1.1 over TLS", tls: true}, {name: "HTTP/2", tls: true, h2: true},
		{name: "HTTP/1.1 by a proxy", tls: true, proxy: true}, {name: "HTTP/2 by a proxy", tls: true, h2: true, proxy: true},
	} {
		for _, kind := range []string{"webhook_configs: [{url: %q, http_config: %s}]", "slack_configs: [{api_url: %q, channel: c, http_config: %s}]"} {
			for _, a := range answers {
				t.Run(fmt.Sprintf("%s %.7s %d %s", protocol.name, kind, a.status, a.header), func(t *testing.T) {
					var version atomic.Int32
					h := func(w http.ResponseWriter, r *http.Request) {
						_, _ = io.Copy(io.Discard, r.Body)
						version.Store(int32(r.ProtoMajor))
						header := a.header
						if header == "a date" {
							header = time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
						}
						w.Header().Set("Retry-After", header)
						w.WriteHeader(a.status)
						_, _ = io.WriteString(w, "ok")
					}
					var url, ca string
					if protocol.tls {
						s, file := secure(t, protocol.h2, h)
						url, ca = s.URL, file
					} else {
						s := httptest.NewServer(http.HandlerFunc(h))
						t.Cleanup(s.Close)
						url = s.URL
					}
					config := fmt.Sprintf("tls_config: {ca_file: %q}", ca)
					connects := &atomic.Int32{}
					if protocol.proxy {
						var p *httptest.Server
						p, connects = newProxy(t)
						config += fmt.Sprintf(", proxy_url: %q", p.URL)
					}
					built := integrations(t, Options{}, "receivers:\n- name: r\n  "+fmt.Sprintf(kind, url, "{"+config+"}"))
					require.Len(t, built, 1)
					v := tryOnce(t, built[0], "A")
					require.Equal(t, a.status != 200, v.err != nil, v.err)
					require.Equal(t, a.want.known, v.known)
					require.InDelta(t, a.want.after.Seconds(), v.after.Seconds(), 3, "dates are of whole seconds")
					require.Equal(t, a.status == 429 || a.want.known, v.limited)
					if a.status == 200 {
						require.Equal(t, "200 OK", v.answer)
					}
					require.Equal(t, protocol.h2, version.Load() == 2)
					require.Equal(t, protocol.proxy, connects.Load() > 0)
				})
			}
		}
	}
}

// everyKind is a receiver with every kind of integration that there is; the receivers are where tests have them.
const everyKind = `
global:
  smtp_smarthost: 'localhost:1'
  smtp_from: a@example.org
  http_config: {tls_config: {insecure_skip_verify: true}}
receivers:
- name: r
  discord_configs: [{webhook_url: 'https://example.com/'}]
  email_configs: [{to: b@example.org}]
  incidentio_configs: [{url: 'https://example.com/', alert_source_token: x}]
  jira_configs: [{api_url: 'https://example.com/', project: p, issue_type: i}]
  mattermost_configs: [{webhook_url: 'https://example.com/', text: x}]
  msteams_configs: [{webhook_url: 'https://example.com/'}]
  msteamsv2_configs: [{webhook_url: 'https://example.com/'}]
  opsgenie_configs: [{api_url: 'https://example.com/', api_key: x}]
  pagerduty_configs: [{url: 'https://example.com/', routing_key: x}]
  pushover_configs: [{user_key: x, token: x}]
  rocketchat_configs: [{api_url: 'https://example.com/', token: x, token_id: x}]
  slack_configs: [{api_url: 'https://example.com/', channel: c}]
  sns_configs: [{api_url: 'https://example.com/', topic_arn: a, sigv4: {region: us-east-1, access_key: x, secret_key: x}}]
  telegram_configs: [{api_url: 'https://example.com/', bot_token: x, chat_id: 1}]
  victorops_configs: [{api_url: 'https://example.com/', api_key: x, routing_key: x}]
  webex_configs: [{api_url: 'https://example.com/', room_id: x, http_config: {authorization: {credentials: x}, tls_config: {insecure_skip_verify: true}}}]
  webhook_configs: [{url: 'https://example.com/'}]
  wechat_configs: [{api_url: 'https://example.com/', corp_id: x, api_secret: x}]
`

// TestEveryKindIsHeard fails where upstream comes with a new kind, keeps a client elsewhere, or makes requests without the
// context it is given: Retry-After is not heard of it then, and a longer backoff stands in.
func TestEveryKindIsHeard(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "")
	var kinds int
	for r, i := reflect.ValueOf(load(t, "route: {receiver: r}\n"+everyKind).Receivers[0]), 0; i < r.NumField(); i++ {
		if name := r.Type().Field(i).Name; strings.HasSuffix(name, "Configs") {
			kinds++
			require.Equal(t, 1, r.Field(i).Len(), "%s is missing here", name)
		}
	}
	s, _ := secure(t, false, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		// As Telegram says it, but for another time.
		_, _ = io.WriteString(w, `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 9","parameters":{"retry_after":9}}`)
	})
	built := integrations(t, Options{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}}, everyKind)
	require.Len(t, built, kinds)
	for _, a := range built {
		name := a.inner.Name()
		if name == "email" {
			require.Empty(t, clients.Of(&a.inner))
			continue
		}
		found := clients.Of(&a.inner)
		require.Len(t, found, 1, name)
		require.IsType(t, &listener{}, found[0].Transport, name)
		want := 7 * time.Second
		if name == "telegram" {
			want = 9 * time.Second // from the body
		}
		v := tryOnce(t, a, "A")
		require.Error(t, v.err, name)
		require.True(t, v.known && v.limited && v.retry, "%s: %+v", name, v)
		require.Equal(t, want, v.after, name)
	}
}

// Attempts at the same time share a client; each hears its own answer.
func TestAttemptsHearTheirOwnAnswers(t *testing.T) {
	const attempts = 30
	all := make(chan struct{})
	var there atomic.Int32
	s, ca := secure(t, true, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" { // The last answer counts.
			body, _ := io.ReadAll(r.Body)
			_, after, _ := strings.Cut(string(body), `"alertname":"`)
			n, _, _ := strings.Cut(after, `"`)
			w.Header().Set("Retry-After", "1000")
			w.Header().Set("Location", "/"+n)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		if there.Add(1) == attempts {
			close(all)
		}
		<-all
		w.Header().Set("Retry-After", strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(http.StatusTooManyRequests)
	})
	built := integrations(t, Options{}, fmt.Sprintf("receivers: [{name: r, webhook_configs: [{url: %q, http_config: {tls_config: {ca_file: %q}}}]}]", s.URL, ca))
	var wg sync.WaitGroup
	for i := range attempts {
		wg.Go(func() {
			v := tryOnce(t, built[0], strconv.Itoa(i))
			if want := time.Duration(i) * time.Second; !v.known || v.after != want {
				t.Errorf("attempt %d heard %s %t: %v", i, v.after, v.known, v.err)
			}
		})
	}
	wg.Wait()
}

// scripted is a transport that does as it is told.
type scripted struct {
	answers []*http.Response // nil for an error
	idle    int
}

func (s *scripted) RoundTrip(*http.Request) (*http.Response, error) {
	a := s.answers[0]
	s.answers = s.answers[1:]
	if a == nil {
		return nil, errors.New("no answer")
	}
	return a, nil
}

func (s *scripted) CloseIdleConnections() { s.idle++ }

type holding struct{ client *http.Client }

func (holding) Notify(context.Context, ...*amalert.Alert) (bool, error) { return false, nil }

func TestListenerIsOtherwiseTheTransport(t *testing.T) {
	limited := &http.Response{StatusCode: 429, Status: "429 x", Header: http.Header{"Retry-After": {"3"}}, Body: http.NoBody}
	next := &scripted{answers: []*http.Response{limited, limited, nil}}
	c := &http.Client{Transport: next}
	in := amnotify.NewIntegration(holding{c}, nil, "test", 0, "r")
	hear(&in)
	ask := func(ctx context.Context) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
		require.NoError(t, err)
		return c.Do(r)
	}
	got, err := ask(t.Context())
	require.NoError(t, err, "a request of no attempt")
	require.Equal(t, 429, got.StatusCode)

	ctx, heard := listen(t.Context())
	require.Nil(t, heard.last.Load())
	_, err = ask(ctx)
	require.NoError(t, err)
	require.Equal(t, &answer{429, "429 x", "3"}, heard.last.Load())
	_, err = ask(ctx)
	require.Error(t, err)
	require.Nil(t, heard.last.Load(), "the last request had no answer")

	c.CloseIdleConnections()
	require.Equal(t, 1, next.idle)
	(&http.Client{Transport: &listener{http.NewFileTransport(http.Dir("."))}}).CloseIdleConnections() // which has none
}

func TestHearLeavesAloneWhatIsEverybodys(t *testing.T) {
	before := *http.DefaultClient
	in := amnotify.NewIntegration(holding{http.DefaultClient}, nil, "test", 0, "r")
	hear(&in)
	require.Equal(t, before.Transport, http.DefaultClient.Transport)

	own := &http.Client{}
	in = amnotify.NewIntegration(holding{own}, nil, "test", 0, "r")
	hear(&in)
	require.Equal(t, &listener{http.DefaultTransport}, own.Transport)
}

// Nobody asks before Retry-After is over, for whatever group.
func TestRetryAfter(t *testing.T) {
	for _, over := range []string{"plain HTTP", "TLS", "HTTP/2"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			const pause = 2 * time.Second
			f := newFaulty(t, func(w http.ResponseWriter) bool {
				w.Header().Set("Retry-After", "2")
				return status(http.StatusTooManyRequests)(w)
			})
			url := f.URL
			if over != "plain HTTP" {
				s, _ := secure(t, over == "HTTP/2", f.hook.Server.Config.Handler.ServeHTTP)
				url = s.URL
			}
			n := startWithLedger(t, Options{}, simple(url, "global: {http_config: {tls_config: {insecure_skip_verify: true}}}"))
			send(n, firing("A"))
			eventually(t, "asked", func() bool { return len(f.requests()) == 1 })
			f.mend()
			eventually(t, "noted", func() bool { c := n.Circuits(); return len(c) == 1 && !c[0].Until.IsZero() })
			limited := n.Circuits()[0]
			require.True(t, limited.Troubled())
			require.False(t, n.Waiting()[0].NextAt.Before(limited.Until))
			require.Contains(t, limited.LastError, "429")
			send(n, firing("B"))
			eventually(t, "both are delivered", func() bool { return len(f.got()) == 2 })
			asked := f.requests()
			require.Len(t, asked, 3)
			require.GreaterOrEqual(t, asked[1].Sub(asked[0]), pause-100*time.Millisecond)
			eventually(t, "it works again", func() bool { c := n.Circuits()[0]; return !c.Troubled() && c.LastError == "" })
		})
	}
}
