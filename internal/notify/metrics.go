package notify

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are ours; most of the pipeline's are upstream's and registered by upstream's parts.
type metrics struct {
	alerts           *prometheus.CounterVec
	dropped          *prometheus.CounterVec
	abandoned        *prometheus.CounterVec
	snapshotFailures *prometheus.CounterVec
	requestDuration  *prometheus.HistogramVec
	receivers        prometheus.Gauge
	integrations     prometheus.Gauge
	inhibitRules     prometheus.Gauge
	outbox           *outboxMetrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		alerts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_alerts_total",
			Help: "Alerts that rules handed to the notification pipeline, by status (firing, resolved).",
		}, []string{"status"}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_alerts_dropped_total",
			Help: "Alerts that the notification pipeline did not take, by reason (invalid, cancelled, stopped, relabelled).",
		}, []string{"reason"}),
		abandoned: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_attempts_abandoned_total",
			Help: "Attempts to notify that hung beyond their time and were left to themselves, by integration.",
		}, []string{"integration"}),
		snapshotFailures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_notify_snapshot_failures_total",
			Help: "Failed writes of the silences and the notification log, by file.",
		}, []string{"file"}),
		// The names of the rest are upstream's, whose application registers them itself.
		requestDuration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "alertmanager_http_request_duration_seconds",
			Help:    "Histogram of latencies for HTTP requests.",
			Buckets: prometheus.DefBuckets,
		}, []string{"handler", "method", "code"}),
		receivers: f.NewGauge(prometheus.GaugeOpts{
			Name: "alertmanager_receivers", Help: "Number of configured receivers.",
		}),
		integrations: f.NewGauge(prometheus.GaugeOpts{
			Name: "alertmanager_integrations", Help: "Number of configured integrations.",
		}),
		inhibitRules: f.NewGauge(prometheus.GaugeOpts{
			Name: "alertmanager_inhibition_rules", Help: "Number of configured inhibition rules.",
		}),
	}
	m.outbox = newOutboxMetrics(reg)
	for _, s := range []string{"firing", "resolved"} {
		m.alerts.WithLabelValues(s)
	}
	for _, r := range []string{dropInvalid, dropCancelled, dropStopped, dropRelabelled} {
		m.dropped.WithLabelValues(r)
	}
	for _, s := range []string{silencesFile, nflogFile} {
		m.snapshotFailures.WithLabelValues(s)
	}
	return m
}
