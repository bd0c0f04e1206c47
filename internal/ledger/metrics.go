package ledger

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	transitions prometheus.Counter
	deliveries  prometheus.Counter
	commits     prometheus.Counter
	seconds     prometheus.Histogram
	records     prometheus.Histogram
	bytes       prometheus.Gauge
	queue       *prometheus.GaugeVec
	dropped     *prometheus.CounterVec
	errors      *prometheus.CounterVec
	deletions   *prometheus.CounterVec
	indexed     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		transitions: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_ledger_transitions_total", Help: "Transitions of alerts that are on disk."}),
		deliveries: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_ledger_deliveries_total", Help: "Attempts to deliver whose record is on disk."}),
		commits: f.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_ledger_commits_total", Help: "Synced commits; concurrent evaluations share one."}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "tocsin_ledger_commit_seconds", Help: "How long a commit took, its sync included.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16)}),
		records: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "tocsin_ledger_record_seconds",
			Help:    "How long an evaluation that changed an alert waited until that was on disk, before people were told.",
			Buckets: prometheus.ExponentialBucketsRange(50e-6, 5, 32)}),
		bytes: f.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_ledger_bytes", Help: "Size of the ledger's file; free pages in it and the write-ahead log included."}),
		queue: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_ledger_queue", Help: "What waits in memory because the disk takes nothing, by kind."}, []string{"kind"}),
		dropped: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_ledger_dropped_total",
			Help: "What never came to be on disk, by kind and reason (queue_full, inbox_full, closed)."}, []string{"kind", "reason"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_ledger_errors_total", Help: "Failures of the disk, by what was being done."}, []string{"doing"}),
		deletions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_ledger_retention_deletions_total", Help: "Transitions that retention deleted, by reason (age, size)."}, []string{"reason"}),
		indexed: f.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_ledger_indexed_transitions", Help: "Transitions that history can find."}),
	}
	for _, kind := range []string{kindTransition, kindDelivery, kindInstance} {
		m.queue.WithLabelValues(kind)
		for _, reason := range []string{dropQueueFull, dropInboxFull, dropClosed} {
			m.dropped.WithLabelValues(kind, reason)
		}
	}
	for _, doing := range []string{doingCommit, doingUpkeep, doingRead} {
		m.errors.WithLabelValues(doing)
	}
	for _, reason := range []string{deletedForAge, deletedForSize} {
		m.deletions.WithLabelValues(reason)
	}
	return m
}

// registerHealth shows whether the ledger is healthy.
func registerHealth(reg prometheus.Registerer, healthy func() (bool, string)) {
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tocsin_ledger_healthy", Help: "1 while what happens reaches the disk and can be read, 0 otherwise.",
	}, func() float64 {
		if ok, _ := healthy(); ok {
			return 1
		}
		return 0
	})
}

// The values of the label doing.
const (
	doingCommit = "commit"
	doingUpkeep = "upkeep"
	doingRead   = "read"
)

func (m *metrics) countCommit(rows []numberedRow, took time.Duration) {
	m.commits.Inc()
	m.seconds.Observe(took.Seconds())
	for i := range rows {
		m.transitions.Add(float64(len(rows[i].entries)))
		m.deliveries.Add(float64(len(rows[i].deliveries)))
	}
}

func (m *metrics) setQueue(b *backlog) {
	m.queue.WithLabelValues(kindTransition).Set(float64(len(b.entries)))
	m.queue.WithLabelValues(kindDelivery).Set(float64(len(b.deliveries)))
	m.queue.WithLabelValues(kindInstance).Set(float64(len(b.states)))
}
