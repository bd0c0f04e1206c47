package notify

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"time"

	commoncfg "github.com/prometheus/common/config"
)

// Upstream's integrations do not tell what a receiver answered beyond an error. Over plain HTTP the answer's head can be
// read along on the connection; over TLS it cannot, and a longer backoff stands in for what Retry-After says.

const (
	// maxHead bounds how much of an answer is looked at.
	maxHead = 16 << 10
	// maxRetryAfter is the longest time that a receiver may ask for.
	maxRetryAfter = time.Hour
)

// answers reads along on the connections of one integration.
type answers struct {
	connect func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	conns map[string]*watchedConn // by both addresses
}

func newAnswers(o *Options) *answers {
	a := &answers{connect: o.Dial, conns: map[string]*watchedConn{}}
	if a.connect == nil {
		a.connect = (&net.Dialer{}).DialContext
	}
	return a
}

// option makes an HTTP client's connections watched ones.
func (a *answers) option() commoncfg.HTTPClientOption { return commoncfg.WithDialContextFunc(a.dial) }

func (a *answers) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := a.connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &watchedConn{Conn: c, all: a, key: connKey(c)}
	a.mu.Lock()
	a.conns[w.key] = w
	a.mu.Unlock()
	return w, nil
}

func connKey(c net.Conn) string { return c.LocalAddr().String() + " " + c.RemoteAddr().String() }

// watch returns a context for one attempt and, for after it, the head of the last answer that was seen, or nil.
func (a *answers) watch(ctx context.Context) (context.Context, func() *http.Response) {
	var mu sync.Mutex
	var last *watchedConn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.mu.Lock()
		w := a.conns[connKey(info.Conn)]
		a.mu.Unlock()
		if w != nil {
			w.begin()
		}
		mu.Lock()
		last = w
		mu.Unlock()
	}})
	return ctx, func() *http.Response {
		mu.Lock()
		defer mu.Unlock()
		if last == nil {
			return nil
		}
		return last.answer()
	}
}

// watchedConn remembers the beginning of what comes in since begin, as long as it looks like the head of an answer.
type watchedConn struct {
	net.Conn
	all *answers
	key string

	mu   sync.Mutex
	head []byte
	done bool
}

func (w *watchedConn) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head, w.done = w.head[:0], false
}

// Read implements net.Conn.
func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.head = append(w.head, b[:min(n, maxHead-len(w.head))]...)
		const start = "HTTP/1."
		seen := min(len(w.head), len(start))
		w.done = len(w.head) >= maxHead || string(w.head[:seen]) != start[:seen]
	}
	return n, err
}

// Close implements net.Conn.
func (w *watchedConn) Close() error {
	w.all.mu.Lock()
	if w.all.conns[w.key] == w {
		delete(w.all.conns, w.key)
	}
	w.all.mu.Unlock()
	return w.Conn.Close()
}

// answer parses the head, passing over interim answers; nil where there is none.
func (w *watchedConn) answer() *http.Response {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := w.head; ; {
		end := bytes.Index(rest, []byte("\r\n\r\n"))
		if end < 0 {
			return nil
		}
		end += 4
		r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(rest[:end])), nil)
		if err != nil {
			return nil
		}
		_ = r.Body.Close() // There is nothing behind it.
		if r.StatusCode >= 200 {
			return r
		}
		rest = rest[end:]
	}
}

// retryAfter returns what an answer asks to wait from now on; it is false where it asks nothing of the kind.
func retryAfter(r *http.Response, now time.Time) (time.Duration, bool) {
	if r == nil || r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	text := r.Header.Get("Retry-After")
	if s, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxRetryAfter), true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}
