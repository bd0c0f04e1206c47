package remotewrite

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	requests, written, rejected *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_remote_write_requests_total",
			Help: "Remote write requests received, by protocol version and HTTP status.",
		}, []string{"version", "code"}),
		written: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_remote_write_written_total",
			Help: "What remote write brought into history, by kind: sample, histogram or exemplar.",
		}, []string{"kind"}),
		rejected: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_remote_write_rejected_total",
			Help: "Samples, histograms and exemplars of remote write that were not taken, by reason.",
		}, []string{"reason"}),
	}
}

func (m *metrics) wrote(c counts) {
	m.written.WithLabelValues("sample").Add(float64(c.samples))
	m.written.WithLabelValues("histogram").Add(float64(c.histograms))
	m.written.WithLabelValues("exemplar").Add(float64(c.exemplars))
}
