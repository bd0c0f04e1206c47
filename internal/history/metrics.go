package history

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/tocsin/tocsin/internal/series"
)

// metrics counts what passes the door. Counters of known reasons exist from the start, at 0.
type metrics struct {
	appended        prometheus.Counter
	commitFailures  prometheus.Counter
	metadataDropped prometheus.Counter
	rejected        *prometheus.CounterVec
	low             prometheus.Gauge
}

// The reasons for which a sample is rejected.
const (
	reasonLabels      = "too_many_labels"
	reasonNameLength  = "label_name_too_long"
	reasonValueLength = "label_value_too_long"
	reasonOutOfOrder  = "out_of_order"
	reasonTooOld      = "too_old"
	reasonOutOfBounds = "out_of_bounds"
	reasonDuplicate   = "duplicate_timestamp"
	reasonInvalid     = "invalid"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		appended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_samples_appended_total", Help: "Samples committed to history."}),
		commitFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_commit_failures_total", Help: "Batches of samples that history could not commit."}),
		metadataDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_metadata_dropped_total", Help: "Metric metadata not remembered because the limit was reached."}),
		low: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_history_disk_low", Help: "1 while samples are refused because the disk is nearly full."}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_samples_rejected_total", Help: "Samples that history refused, by reason."}, []string{"reason"}),
	}
	for _, reason := range []string{reasonLabels, reasonNameLength, reasonValueLength, reasonOutOfOrder, reasonTooOld,
		reasonOutOfBounds, reasonDuplicate, reasonInvalid} {
		m.rejected.WithLabelValues(reason)
	}
	if reg != nil {
		reg.MustRegister(m.appended, m.commitFailures, m.metadataDropped, m.rejected, m.low)
	}
	return m
}

// registerHealth shows whether the store is healthy.
func registerHealth(reg prometheus.Registerer, healthy func() (bool, string)) {
	if reg == nil {
		return
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tocsin_history_healthy",
		Help: "0 while samples are refused, or nothing is compacted or deleted, because the disk does not take it; 1 otherwise.",
	}, func() float64 {
		if ok, _ := healthy(); ok {
			return 1
		}
		return 0
	}))
}

// reject counts one refused sample.
func (m *metrics) reject(err error) { m.rejected.WithLabelValues(reasonOf(err)).Inc() }

// reasonOf maps an append error to its reason.
func reasonOf(err error) string {
	var limit *series.LimitError
	switch {
	case errors.As(err, &limit):
		switch limit.What {
		case "labels":
			return reasonLabels
		case "label name bytes":
			return reasonNameLength
		default:
			return reasonValueLength
		}
	case errors.Is(err, storage.ErrOutOfOrderSample):
		return reasonOutOfOrder
	case errors.Is(err, storage.ErrTooOldSample):
		return reasonTooOld
	case errors.Is(err, storage.ErrOutOfBounds):
		return reasonOutOfBounds
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return reasonDuplicate
	case errors.Is(err, tsdb.ErrInvalidSample):
		return reasonInvalid
	}
	return reasonInvalid // What remains are malformed histograms and label sets.
}
