package web

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's own, under Prometheus's names where Prometheus has them, so that its dashboards fit.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	ingest   *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	ready    prometheus.Gauge

	federationErrors, federationWarnings prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prometheus_http_requests_total",
			Help: "HTTP requests by handler and status code.",
		}, []string{"handler", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "prometheus_http_request_duration_seconds",
			Help:                            "How long HTTP requests took.",
			Buckets:                         []float64{.1, .2, .4, 1, 3, 8, 20, 60, 120},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"handler"}),
		ingest: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                            "tocsin_ingest_request_duration_seconds",
			Help:                            "From an ingest request's headers to its answer, by protocol.",
			Buckets:                         prometheus.ExponentialBuckets(0.0001, 4, 10),
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, []string{"protocol"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_http_requests_refused_total",
			Help: "Requests that the browser guards refused, by reason.",
		}, []string{"reason"}),
		ready: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "prometheus_ready",
			Help: "1 once start-up is over and until shutdown begins, 0 otherwise.",
		}),
		federationErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prometheus_web_federation_errors_total",
			Help: "Federation requests that failed.",
		}),
		federationWarnings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "prometheus_web_federation_warnings_total",
			Help: "Warnings that occurred while answering federation requests.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.duration, m.ingest, m.refused, m.ready, m.federationErrors, m.federationWarnings,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// instrument counts and times h under the fixed name handler; names come from the route table, never from requests.
func (m *metrics) instrument(handler string, h http.Handler) http.Handler {
	label := prometheus.Labels{"handler": handler}
	return promhttp.InstrumentHandlerCounter(m.requests.MustCurryWith(label),
		promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(label), h))
}

// ingested times h as the door of a protocol.
func (m *metrics) ingested(protocol string, h http.Handler) http.Handler {
	observer := m.ingest.WithLabelValues(protocol)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		defer func() { observer.Observe(time.Since(begin).Seconds()) }()
		h.ServeHTTP(w, r)
	})
}
