package push

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests, refused *prometheus.CounterVec
	written           prometheus.Counter
	groups, series    prometheus.Gauge
	expired, corrupt  prometheus.Counter
	commitFailures    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_push_requests_total", Help: "Requests to the push gateway, by method and HTTP status.",
		}, []string{"method", "code"}),
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_push_refused_total",
			Help: "Pushed samples that history refused, at the push or when they were restated, by reason.",
		}, []string{"reason"}),
		written: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_push_written_total", Help: "Samples and histograms written for pushed groups, restatements included.",
		}),
		groups: f.NewGauge(prometheus.GaugeOpts{Name: "tocsin_push_groups", Help: "Pushed groups."}),
		series: f.NewGauge(prometheus.GaugeOpts{Name: "tocsin_push_series", Help: "Series of all pushed groups."}),
		expired: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_push_groups_expired_total", Help: "Pushed groups whose time to live ran out.",
		}),
		corrupt: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_push_groups_corrupt_total", Help: "Files of pushed groups that could not be read and were moved aside.",
		}),
		commitFailures: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_push_commit_failures_total", Help: "Batches of pushed samples that history could not commit.",
		}),
	}
}
