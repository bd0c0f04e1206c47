package notify

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// requests makes HTTP requests that can be waited for, and ended together.
type requests struct {
	ctx context.Context
	end context.CancelFunc

	mu      sync.Mutex
	running int
	last    time.Time // when one last began or ended, or waiting began
}

func newRequests() *requests {
	r := &requests{}
	r.ctx, r.end = context.WithCancel(context.Background())
	return r
}

// do is what upstream's notifier makes its requests with. The answer's body is read and closed: upstream looks at the
// status alone.
func (r *requests) do(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	r.count(1)
	defer r.count(-1)
	if r.ctx.Err() != nil {
		return nil, r.ctx.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	_ = resp.Body.Close()
	resp.Body = http.NoBody
	return resp, nil
}

func (r *requests) count(d int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running += d
	r.last = time.Now()
}

// waitQuiet returns when no request runs and none has for the time given, or when requests were ended.
func (r *requests) waitQuiet(quiet time.Duration) {
	r.count(0) // quiet begins now
	tick := time.NewTicker(quiet / 10)
	defer tick.Stop()
	for {
		r.mu.Lock()
		done := r.running == 0 && time.Since(r.last) >= quiet
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-r.ctx.Done():
			return
		}
	}
}
