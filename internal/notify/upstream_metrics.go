package notify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/featurecontrol"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
)

// Upstream's retry stage counts notifications, requests, failures and latency in alertmanager_* metrics that dashboards
// and alerting rules know. With the outbox, attempts are made elsewhere, and are counted here in the same metrics, which
// upstream keeps to itself: they are caught when upstream registers them.

// upstreamMetrics are those of the retry stage, by integration.
type upstreamMetrics struct {
	notifications, requests, requestsFailed *prometheus.CounterVec
	failed                                  *prometheus.CounterVec // also by reason
	latency                                 *prometheus.HistogramVec
}

// catching is a Registerer that keeps what is registered.
type catching struct {
	prometheus.Registerer
	caught []prometheus.Collector
}

// MustRegister implements prometheus.Registerer.
func (c *catching) MustRegister(all ...prometheus.Collector) {
	c.Registerer.MustRegister(all...)
	c.caught = append(c.caught, all...)
}

// newStageMetrics registers upstream's metrics and returns them for upstream's stages and for ours.
func newStageMetrics(reg prometheus.Registerer) (*amnotify.Metrics, *upstreamMetrics, error) {
	c := &catching{Registerer: reg}
	m := amnotify.NewMetrics(c, featurecontrol.NoopFlags{})
	out := &upstreamMetrics{}
	counters := map[string]**prometheus.CounterVec{
		"alertmanager_notifications_total": &out.notifications, "alertmanager_notifications_failed_total": &out.failed,
		"alertmanager_notification_requests_total": &out.requests, "alertmanager_notification_requests_failed_total": &out.requestsFailed,
	}
	for _, v := range c.caught {
		name := nameOfMetric(v)
		switch v := v.(type) {
		case *prometheus.CounterVec:
			if to := counters[name]; to != nil {
				*to = v
			}
		case *prometheus.HistogramVec:
			if name == "alertmanager_notification_latency_seconds" {
				out.latency = v
			}
		}
	}
	for name, v := range counters {
		if *v == nil {
			return nil, nil, fmt.Errorf("notify: this release of Alertmanager's notify package registers no counter %s", name)
		}
	}
	if out.latency == nil {
		return nil, nil, errors.New("notify: this release of Alertmanager's notify package registers no histogram of latencies")
	}
	return m, out, nil
}

func nameOfMetric(c prometheus.Collector) string {
	described := make(chan *prometheus.Desc, 8)
	go func() { c.Describe(described); close(described) }()
	name := ""
	for d := range described {
		_, rest, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(rest, `"`)
	}
	return name
}

// attempt counts one attempt of the outbox.
func (m *upstreamMetrics) attempt(integration string, took time.Duration, failed bool) {
	m.requests.WithLabelValues(integration).Inc()
	m.latency.WithLabelValues(integration).Observe(took.Seconds())
	if failed {
		m.requestsFailed.WithLabelValues(integration).Inc()
	}
}

// failure counts that a message was not delivered in the time that a flush of its group would have had.
func (m *upstreamMetrics) failure(integration string, err error) {
	reason := amnotify.DefaultReason
	var why *amnotify.ErrorWithReason
	if errors.As(err, &why) {
		reason = why.Reason
	}
	m.failed.WithLabelValues(integration, reason.String()).Inc()
}
