package otlp

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests, rejected, warnings *prometheus.CounterVec
	written                      prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_otlp_requests_total",
			Help: "OTLP requests received, by HTTP status.",
		}, []string{"code"}),
		written: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_otlp_written_total",
			Help: "Samples and histograms that OTLP brought into history.",
		}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_otlp_rejected_total",
			Help: "OTLP data points (and exemplars and target_info samples, by their own reasons) that were not taken, by reason.",
		}, []string{"reason"}),
		warnings: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_otlp_translation_warnings_total",
			Help: "Warnings of the translation to Prometheus's model, by category.",
		}, []string{"category"}),
	}
}
