package bench

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

const (
	// probeEvery is the time between two probes.
	probeEvery = 100 * time.Millisecond
	// lostAfter is a prober's patience.
	lostAfter = 5 * time.Second
	// probesAlive is about how many probes fire at a time; older ones are ended.
	probesAlive = 10
)

// prober sends breaches, each with a label value of its own, so that each is an alert of its own.
type prober struct {
	sender *sender
	hook   *receiver
	// patience is when a probe that the webhook did not hear of counts as lost.
	patience time.Duration
	next     int
	firing   []*probe // sent and not ended, oldest first
}

type probe struct {
	id string
	// sent is when the POST began, answered how long it took.
	sent     time.Time
	answered time.Duration
	err      error
	done     chan struct{} // closed after the POST, before which only the POST's goroutine looks at the others but id
}

// send posts count probes, one each probeEvery whatever becomes of those before, and returns once the last is posted.
func (p *prober) send(ctx context.Context, count int) ([]*probe, error) {
	probes := make([]*probe, 0, count)
	var wg sync.WaitGroup
	defer wg.Wait()
	due := time.Now()
	for range count {
		if !sleep(ctx, time.Until(due)) {
			return nil, ctx.Err()
		}
		due = due.Add(probeEvery)
		q := &probe{id: strconv.Itoa(p.next), done: make(chan struct{})}
		p.next++
		r, err := newRequest([][]prompb.Label{probeLabels(q.id)})
		if err != nil {
			return nil, fmt.Errorf("encode a probe: %w", err)
		}
		wg.Go(func() { p.post(ctx, q, r) })
		probes, p.firing = append(probes, q), append(p.firing, q)
		if len(p.firing) >= 2*probesAlive {
			old := p.firing[:probesAlive:probesAlive]
			p.firing = p.firing[probesAlive:]
			wg.Go(func() { p.end(ctx, old) })
		}
	}
	return probes, nil
}

func probeLabels(id string) []prompb.Label {
	return []prompb.Label{{Name: "__name__", Value: probeMetric}, {Name: "job", Value: "bench"}, {Name: probeLabel, Value: id}}
}

func (p *prober) post(ctx context.Context, q *probe, r *request) {
	defer close(q.done)
	q.sent = time.Now()
	r.set(0, 200, q.sent.UnixMilli())
	q.err = p.sender.send(ctx, r.body())
	q.answered = time.Since(q.sent)
}

// end makes the series of old probes stale, those that the webhook heard of: a server that is behind is not to lose them
// by it.
func (p *prober) end(ctx context.Context, old []*probe) {
	var series [][]prompb.Label
	for _, q := range old {
		if _, ok := p.hook.hit(q.id); ok {
			<-q.done
			series = append(series, probeLabels(q.id))
		}
	}
	if len(series) == 0 {
		return
	}
	r, err := newRequest(series)
	if err != nil {
		return // It was encoded before; and a probe that goes on firing harms nothing.
	}
	for i := range series {
		r.set(i, math.Float64frombits(value.StaleNaN), time.Now().UnixMilli())
	}
	_ = p.sender.send(ctx, r.body())
}

// wait returns when the webhook has heard of all probes, or the last is lost.
func (p *prober) wait(ctx context.Context, probes []*probe) {
	for _, q := range probes {
		<-q.done
		for {
			_, heard := p.hook.hit(q.id)
			if heard || q.err != nil || time.Since(q.sent) > p.patience || !sleep(ctx, 5*time.Millisecond) {
				break
			}
		}
	}
}
