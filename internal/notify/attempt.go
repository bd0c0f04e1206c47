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
	// accept, where it is not nil, takes messages for the outbox, which delivers them through attempt.
	accept func(ctx context.Context, to target, alerts []*amalert.Alert) (retry bool, err error)

	hanging   atomic.Int32 // attempts left to themselves that have not ended
	abandoned prometheus.Counter
}

// watched wraps in to be an attempter of the same name, index and settings.
func watched(in amnotify.Integration, receiver string, report func(Delivery), abandoned *prometheus.CounterVec) *attempter {
	return &attempter{inner: in, receiver: receiver, report: report, abandoned: abandoned.WithLabelValues(in.Name())}
}

// integration is a as upstream's pipeline wants it.
func (a *attempter) integration() amnotify.Integration {
	return amnotify.NewIntegration(a, &a.inner, a.inner.Name(), a.inner.Index(), a.receiver)
}

func (a *attempter) target() target { return target{a.receiver, a.inner.Name(), a.inner.Index()} }

// Notify implements upstream's Notifier.
func (a *attempter) Notify(ctx context.Context, alerts ...*amalert.Alert) (bool, error) {
	if a.accept != nil {
		return a.accept(ctx, a.target(), alerts)
	}
	d := a.begin(ctx, alerts, nextAttempt(ctx, a))
	retry, err := a.bounded(ctx, alerts)
	d.EndedAt, d.Err, d.Retry = time.Now(), err, err != nil && retry && ctx.Err() == nil
	a.tell(d)
	return retry, err
}

func (a *attempter) begin(ctx context.Context, alerts []*amalert.Alert, number int) Delivery {
	d := Delivery{
		Receiver: a.receiver, Integration: a.inner.Name(), Index: a.inner.Index(), Attempt: number, StartedAt: time.Now(),
	}
	d.GroupKey, _ = amnotify.GroupKey(ctx)
	group, _ := amnotify.GroupLabels(ctx)
	d.GroupLabels, d.Alerts = toLabels(group), deliveredAlerts(alerts)
	return d
}

func (a *attempter) tell(d Delivery) {
	if a.report != nil {
		a.report(d)
	}
}

// verdict is what came of one attempt.
type verdict struct {
	delivery Delivery
	err      error
	// retry says that time may mend err.
	retry bool
	// limited says that the receiver is asked too often; it wants to be left alone for after, where that is known.
	limited, known bool
	after          time.Duration
	answer         string
}

// attempt makes one attempt for the outbox.
func (a *attempter) attempt(ctx context.Context, alerts []*amalert.Alert, number int) verdict {
	ctx, heard := listen(ctx)
	d := a.begin(ctx, alerts, number)
	retry, err := a.bounded(ctx, alerts)
	d.EndedAt, d.Err = time.Now(), err
	v := verdict{retry: err != nil && retry, err: err, answer: "accepted"}
	last := heard.last.Load()
	if last != nil {
		v.answer = last.status
	}
	if err != nil {
		v.answer = err.Error()
		var why *amnotify.ErrorWithReason
		v.limited = errors.As(err, &why) && why.Reason == amnotify.RateLimitedReason
		if v.after, v.known = retryAfter(last, d.EndedAt); !v.known {
			v.after, v.known = floodWait(err)
		}
		v.limited = v.limited || v.known
		v.retry = v.retry || v.limited
	}
	d.Retry = v.retry
	v.delivery = d
	a.tell(d)
	return v
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
