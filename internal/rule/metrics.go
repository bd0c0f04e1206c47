package rule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a Set. The built-in rule TocsinRuleFileBroken looks at the first.
type metrics struct {
	successful, timestamp *prometheus.GaugeVec
	files                 prometheus.Gauge
	reloads               *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		successful: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_rule_file_last_load_successful",
			Help: "Whether the rule file is good as it is now; where it is not, its last good version is in force, if there was one.",
		}, []string{"file"}),
		timestamp: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_rule_file_last_load_timestamp_seconds",
			Help: "When the version of the rule file that is in force was loaded.",
		}, []string{"file"}),
		files: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tocsin_rule_files",
			Help: "Rule files, good and broken, the built-in ones included.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_rule_reloads_total",
			Help: "How often the rule files were looked at, by result: success when all were good, failure otherwise.",
		}, []string{"result"}),
	}
	for _, result := range []string{"success", "failure"} {
		m.reloads.WithLabelValues(result)
	}
	if reg == nil {
		return m, nil
	}
	return m, errors.Join(reg.Register(m.successful), reg.Register(m.timestamp), reg.Register(m.files), reg.Register(m.reloads))
}

// show sets a file's metrics.
func (m *metrics) show(e *fileState) {
	ok := 0.0
	if len(e.errs) == 0 {
		ok = 1
	}
	m.successful.WithLabelValues(e.path).Set(ok)
	if e.good != nil {
		m.timestamp.WithLabelValues(e.path).Set(seconds(e.good.LoadedAt))
	}
}

// forget removes the metrics of a file that is gone.
func (m *metrics) forget(path string) {
	m.successful.DeleteLabelValues(path)
	m.timestamp.DeleteLabelValues(path)
}

func (m *metrics) count(ok bool) {
	result := "success"
	if !ok {
		result = "failure"
	}
	m.reloads.WithLabelValues(result).Inc()
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
