package engine

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/alert"
)

// metrics are an engine's. Those that Prometheus's users know have its names.
type metrics struct {
	evalSeconds       prometheus.Observer
	evalHistogram     prometheus.Observer
	groupSeconds      prometheus.Observer
	groupHistogram    prometheus.Observer
	iterationsMissed  *prometheus.CounterVec
	iterations        *prometheus.CounterVec
	evaluations       *prometheus.CounterVec
	failures          *prometheus.CounterVec
	interval          *prometheus.GaugeVec
	lastTimestamp     *prometheus.GaugeVec
	lastDuration      *prometheus.GaugeVec
	lastRuleDurations *prometheus.GaugeVec
	lastRestore       *prometheus.GaugeVec
	rules             *prometheus.GaugeVec
	lastSamples       *prometheus.GaugeVec

	transitions *prometheus.CounterVec
	panics      prometheus.Counter
	discarded   *prometheus.CounterVec
}

// groupLabel is the label that Prometheus gives a group's metrics; its value is groupKey's.
const groupLabel = "rule_group"

// groupKey names a group uniquely: names need not be unique across files.
func groupKey(file, name string) string { return file + ";" + name }

func newMetrics(reg prometheus.Registerer, logger *slog.Logger) *metrics {
	r := registrar{reg: reg, logger: logger}
	return &metrics{
		evalSeconds:       register(r, newDurations("prometheus_rule_evaluation_duration_seconds", "How long one rule took to evaluate.")),
		evalHistogram:     register(r, histogram("prometheus_rule_evaluation_duration_histogram_seconds", "How long one rule took to evaluate.")),
		groupSeconds:      register(r, newDurations("prometheus_rule_group_duration_seconds", "How long one group took to evaluate.")),
		groupHistogram:    register(r, histogram("prometheus_rule_group_duration_histogram_seconds", "How long one group took to evaluate.")),
		iterationsMissed:  r.counter("prometheus_rule_group_iterations_missed_total", "Evaluations of a group that were skipped because the one before took too long.", groupLabel),
		iterations:        r.counter("prometheus_rule_group_iterations_total", "Scheduled evaluations of a group, done or missed.", groupLabel),
		evaluations:       r.counter("prometheus_rule_evaluations_total", "Evaluations of rules.", groupLabel),
		failures:          r.counter("prometheus_rule_evaluation_failures_total", "Evaluations of rules that failed.", groupLabel),
		interval:          r.gauge("prometheus_rule_group_interval_seconds", "The interval of a group.", groupLabel),
		lastTimestamp:     r.gauge("prometheus_rule_group_last_evaluation_timestamp_seconds", "When the last evaluation of a group began.", groupLabel),
		lastDuration:      r.gauge("prometheus_rule_group_last_duration_seconds", "How long the last evaluation of a group took.", groupLabel),
		lastRuleDurations: r.gauge("prometheus_rule_group_last_rule_duration_sum_seconds", "How long the rules of a group took in its last evaluation, summed.", groupLabel),
		lastRestore:       r.gauge("prometheus_rule_group_last_restore_duration_seconds", "How long the last restoration of alerts from ALERTS_FOR_STATE took.", groupLabel),
		rules:             r.gauge("prometheus_rule_group_rules", "How many rules a group has.", groupLabel),
		lastSamples:       r.gauge("prometheus_rule_group_last_evaluation_samples", "How many samples the last evaluation of a group returned.", groupLabel),

		transitions: r.counter("tocsin_alert_transitions_total", "Changes of the state of alerts.", "from", "to"),
		panics: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_rule_evaluation_panics_total", Help: "Evaluations of rules that failed by a panic, which harmed only the rule.",
		})),
		discarded: r.counter("tocsin_rule_samples_discarded_total", "Results of rules that history refused.", "reason"),
	}
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: name, Help: help,
		Buckets:                         []float64{1e-5, 1e-4, .001, .01, .1, 1, 10},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	})
}

// registrar registers collectors, or finds the equal one that is registered already.
type registrar struct {
	reg    prometheus.Registerer
	logger *slog.Logger
}

func register[C prometheus.Collector](r registrar, c C) C {
	if r.reg == nil {
		return c
	}
	err := r.reg.Register(c)
	if err == nil {
		return c
	}
	if is, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := is.ExistingCollector.(C); ok {
			return existing
		}
	}
	r.logger.Error("A metric of the rule engine cannot be exposed; everything else works", "err", err)
	return c
}

func (r registrar) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

func (r registrar) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

// groupMetrics are the metrics of one group, looked up once.
type groupMetrics struct {
	*metrics
	iterationsMissed, iterations, evaluations, failures prometheus.Counter
	interval, lastTimestamp, lastDuration               prometheus.Gauge
	lastRuleDurations, lastRestore, rules, lastSamples  prometheus.Gauge
	discarded                                           [discardReasons]prometheus.Counter
}

func (m *metrics) group(key string) *groupMetrics {
	g := &groupMetrics{
		metrics:           m,
		iterationsMissed:  m.iterationsMissed.WithLabelValues(key),
		iterations:        m.iterations.WithLabelValues(key),
		evaluations:       m.evaluations.WithLabelValues(key),
		failures:          m.failures.WithLabelValues(key),
		interval:          m.interval.WithLabelValues(key),
		lastTimestamp:     m.lastTimestamp.WithLabelValues(key),
		lastDuration:      m.lastDuration.WithLabelValues(key),
		lastRuleDurations: m.lastRuleDurations.WithLabelValues(key),
		lastRestore:       m.lastRestore.WithLabelValues(key),
		rules:             m.rules.WithLabelValues(key),
		lastSamples:       m.lastSamples.WithLabelValues(key),
	}
	for reason, name := range discardNames {
		g.discarded[reason] = m.discarded.WithLabelValues(name)
	}
	return g
}

// forget removes the metrics of a group that is gone.
func (m *metrics) forget(key string) {
	for _, v := range []*prometheus.CounterVec{m.iterationsMissed, m.iterations, m.evaluations, m.failures} {
		v.DeleteLabelValues(key)
	}
	for _, v := range []*prometheus.GaugeVec{
		m.interval, m.lastTimestamp, m.lastDuration, m.lastRuleDurations, m.lastRestore, m.rules, m.lastSamples,
	} {
		v.DeleteLabelValues(key)
	}
}

func (m *metrics) countTransition(t *alert.Transition) {
	m.transitions.WithLabelValues(t.From.String(), t.To.String()).Inc()
}
