package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// abandonGrace is how long an attempt may take to notice that its time is up.
	abandonGrace = 500 * time.Millisecond
	// maxAbandoned bounds the attempts of one integration that hang beyond their time. It is there to bound memory, so it
	// is large: a server may hang on some connections and serve others.
	maxAbandoned = 64
)

var errHanging = errors.New("earlier attempts of this integration still hang; not starting another")

// attempter stands between upstream's retry stage and one integration. It reports each attempt, and it returns when the
// attempt's time is up even where the integration does not: upstream's email, for one, reads from a silent server for
// ever, and with it would hang the whole group, other integrations of the receiver included.
type attempter struct {
	inner    amnotify.Integration
	receiver string
	report   func(Delivery) // may be nil

	hanging   atomic.Int32 // attempts left to themselves that have not ended
	abandoned prometheus.Counter
}

// watched wraps in to be an attempter of the same name, index and settings.
func watched(in amnotify.Integration, receiver string, report func(Delivery), abandoned *prometheus.CounterVec) amnotify.Integration {
	a := &attempter{inner: in, receiver: receiver, report: report, abandoned: abandoned.WithLabelValues(in.Name())}
	return amnotify.NewIntegration(a, &a.inner, in.Name(), in.Index(), receiver)
}

// Notify implements upstream's Notifier.
func (a *attempter) Notify(ctx context.Context, alerts ...*amalert.Alert) (bool, error) {
	d := Delivery{
		Receiver: a.receiver, Integration: a.inner.Name(), Index: a.inner.Index(),
		Attempt: nextAttempt(ctx, a), StartedAt: time.Now(),
	}
	retry, err := a.bounded(ctx, alerts)
	if a.report != nil {
		d.EndedAt, d.Err, d.Retry = time.Now(), err, err != nil && retry && ctx.Err() == nil
		d.GroupKey, _ = amnotify.GroupKey(ctx)
		group, _ := amnotify.GroupLabels(ctx)
		d.GroupLabels, d.Alerts = toLabels(group), deliveredAlerts(alerts)
		a.report(d)
	}
	return retry, err
}

type outcome struct {
	retry bool
	err   error
}

func (a *attempter) bounded(ctx context.Context, alerts []*amalert.Alert) (bool, error) {
	if a.hanging.Load() >= maxAbandoned {
		return true, errHanging
	}
	done := make(chan outcome, 1)
	go func() {
		retry, err := a.inner.Notify(ctx, alerts...)
		done <- outcome{retry, err}
	}()
	select {
	case o := <-done:
		return o.retry, o.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonGrace)
	defer grace.Stop()
	select {
	case o := <-done:
		return o.retry, o.err
	case <-grace.C:
		a.abandoned.Inc()
		a.hanging.Add(1)
		go func() {
			<-done
			a.hanging.Add(-1)
		}()
		return true, fmt.Errorf("the receiver hangs beyond the time of this attempt: %w", context.Cause(ctx))
	}
}

type attemptsKey struct{}

// attempts counts the attempts of one flush by integration.
type attempts struct {
	mu sync.Mutex
	n  map[*attempter]int
}

func withAttempts(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptsKey{}, &attempts{n: map[*attempter]int{}})
}

func nextAttempt(ctx context.Context, a *attempter) int {
	at, ok := ctx.Value(attemptsKey{}).(*attempts)
	if !ok {
		return 1
	}
	at.mu.Lock()
	defer at.mu.Unlock()
	at.n[a]++
	return at.n[a]
}
