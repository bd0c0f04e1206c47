package notify

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	amnotify "github.com/prometheus/alertmanager/notify"
	"gopkg.in/telebot.v3"

	"github.com/tocsin/tocsin/internal/notify/clients"
)

// Upstream's integrations do not tell what a receiver answered beyond an error. So their clients are listened to: what
// HTTP it is, over TLS or not, and by which proxy, is the client's business. Where an integration has no client that can
// be found, a longer backoff stands in for what Retry-After says.

// maxRetryAfter is the longest time that a receiver may ask for.
const maxRetryAfter = time.Hour

// answer is what is kept of a receiver's answer.
type answer struct {
	code       int
	status     string
	retryAfter string
}

// heard is the answer to the last request of one attempt; nil where there was none. An attempt that is left to itself may
// write to it still.
type heard struct{ last atomic.Pointer[answer] }

type heardKey struct{}

// listen returns a context for the requests of one attempt, and what is heard of their answers.
func listen(ctx context.Context) (context.Context, *heard) {
	h := &heard{}
	return context.WithValue(ctx, heardKey{}, h), h
}

// hear has the clients of in listened to. All kinds of integrations make their requests with the context that Notify is
// given but telegram, whose library takes none: its answers belong to no attempt (see floodWait).
func hear(in *amnotify.Integration) {
	for _, c := range clients.Of(in) {
		if c == http.DefaultClient {
			continue // It is everybody's.
		}
		next := c.Transport
		if next == nil {
			next = http.DefaultTransport
		}
		c.Transport = &listener{next}
	}
}

// listener is a transport that notes the answers to requests of attempts and is otherwise next.
type listener struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	h, ok := r.Context().Value(heardKey{}).(*heard)
	if !ok {
		return l.next.RoundTrip(r)
	}
	h.last.Store(nil)
	resp, err := l.next.RoundTrip(r)
	if err == nil && resp != nil {
		h.last.Store(&answer{code: resp.StatusCode, status: resp.Status, retryAfter: resp.Header.Get("Retry-After")})
	}
	return resp, err
}

// CloseIdleConnections lets http.Client's reach next.
func (l *listener) CloseIdleConnections() {
	if c, ok := l.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// retryAfter returns what an answer asks to wait from now on; it is false where it asks nothing of the kind.
func retryAfter(a *answer, now time.Time) (time.Duration, bool) {
	if a == nil || a.code != http.StatusTooManyRequests && a.code != http.StatusServiceUnavailable {
		return 0, false
	}
	if s, err := strconv.ParseUint(a.retryAfter, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxRetryAfter), true
	}
	at, err := http.ParseTime(a.retryAfter)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// floodWait returns what Telegram asks to wait, which its API says in the body of an answer as well as in its head.
func floodWait(err error) (time.Duration, bool) {
	var flood telebot.FloodError
	if !errors.As(err, &flood) {
		return 0, false
	}
	s := min(max(flood.RetryAfter, 0), int(maxRetryAfter/time.Second))
	return time.Duration(s) * time.Second, true
}
