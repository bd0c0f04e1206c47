package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/prompb"
)

const (
	// backgroundSeries are the series of the background, in backgroundMetrics metrics.
	backgroundSeries  = 10_000
	backgroundMetrics = 50
	// backgroundBatch is how many samples a request has.
	backgroundBatch = 1_000
	// loadWorkers send at the same time.
	loadWorkers = 4
)

// load sends samples at a steady rate.
type load struct {
	sender   *sender
	requests []*request
	// perSecond is how many samples are wanted.
	perSecond int
	sent      atomic.Int64
}

// newLoad prepares the requests; each series is in one.
func newLoad(s *sender, perSecond int) (*load, error) {
	l := &load{sender: s, perSecond: perSecond}
	for first := 0; first < backgroundSeries; first += backgroundBatch {
		series := make([][]prompb.Label, backgroundBatch)
		for i := range series {
			series[i] = backgroundLabels(first + i)
		}
		r, err := newRequest(series)
		if err != nil {
			return nil, err
		}
		l.requests = append(l.requests, r)
	}
	return l, nil
}

// backgroundLabels are a series' labels, sorted.
func backgroundLabels(i int) []prompb.Label {
	host := i / backgroundMetrics
	return []prompb.Label{
		{Name: "__name__", Value: fmt.Sprintf("bench_background_%02d", i%backgroundMetrics)},
		{Name: "instance", Value: fmt.Sprintf("host-%04d:9100", host)},
		{Name: "job", Value: fmt.Sprintf("job-%02d", host%20)},
		{Name: "zone", Value: fmt.Sprintf("zone-%d", host%3)},
	}
}

// write sends the n-th request with samples as of now.
func (l *load) write(ctx context.Context, n int, turn int64) error {
	r := l.requests[n]
	now := time.Now().UnixMilli()
	for i := range r.samples {
		r.set(i, float64((int64(i)*7+turn)%1000), now)
	}
	return l.sender.send(ctx, r.body())
}

// first writes each series once, so that all of them are there.
func (l *load) first(ctx context.Context) error {
	for n := range l.requests {
		if err := l.write(ctx, n, 0); err != nil {
			return err
		}
	}
	return nil
}

// run sends until ctx ends. A worker that is late sends at once; what the server cannot take is not made up for beyond a
// second, so that the load stays what was asked for. It returns the first error that was not ctx's end.
func (l *load) run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make(chan error, loadWorkers)
	for worker := range loadWorkers {
		wg.Go(func() {
			if err := l.work(ctx, worker); err != nil && ctx.Err() == nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// work sends the requests that are the worker's own, in turn: samples of a series never overtake each other.
func (l *load) work(ctx context.Context, worker int) error {
	var mine []int
	for n := worker; n < len(l.requests); n += loadWorkers {
		mine = append(mine, n)
	}
	every := time.Duration(float64(time.Second) * backgroundBatch * float64(len(l.requests)) / float64(len(mine)) / float64(l.perSecond))
	due := time.Now().Add(every * time.Duration(worker) / loadWorkers)
	for turn := int64(0); ; turn++ {
		if late := time.Since(due); late > time.Second {
			due = due.Add(late - time.Second)
		} else if !sleep(ctx, -late) {
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := l.write(ctx, mine[int(turn)%len(mine)], turn); err != nil {
			return err
		}
		l.sent.Add(backgroundBatch)
		due = due.Add(every)
	}
}

// sleep waits for d, which may be negative, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
