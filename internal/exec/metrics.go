package exec

import (
	"maps"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats is what a Core occupies and did.
type Stats struct {
	// Series and Samples are in windows; WindowBytes is what they occupy, NodeBytes what the columns and tables of
	// plans do.
	Series, Samples, WindowBytes, NodeBytes int64
	// Nodes is the number of distinct nodes, Plans that of distinct plans.
	Nodes, Plans int
	Pulses       uint64
	// Bails counts the evaluations that were left to tier 0, by reason.
	Bails map[string]uint64
	// Lines are the comparisons with numbers that indexes answer; LineHits counts the evaluations that they answered
	// without looking at a lane.
	Lines    int
	LineHits uint64
}

// Stats returns the present numbers.
func (c *Core) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.store.Stats()
	s := Stats{
		Series: int64(w.Series), Samples: w.Samples, WindowBytes: w.Bytes,
		Nodes: len(c.units), Plans: len(c.roots), Pulses: c.pulses, Bails: maps.Clone(c.bails),
	}
	for _, u := range c.units {
		s.NodeBytes += int64(u.bytes())
	}
	s.LineHits = c.lineHits
	for _, x := range c.lines {
		s.NodeBytes += int64(x.index.Bytes())
		s.Lines, s.LineHits = s.Lines+x.index.Len(), s.LineHits+x.hits
	}
	return s
}

// Collector exposes a Core's Stats as metrics.
type Collector struct {
	core                                                             *Core
	series, samples, windowBytes, nodeBytes, perSeries, nodes, plans *prometheus.Desc
	pulses, bails, lines, lineHits                                   *prometheus.Desc
}

// NewCollector returns the collector of core.
func NewCollector(core *Core) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tocsin_compiled_"+name, help, labels, nil)
	}
	return &Collector{
		core:        core,
		series:      desc("series", "Series that compiled rules select."),
		samples:     desc("window_samples", "Recent samples that are kept for compiled rules."),
		windowBytes: desc("window_bytes", "Memory of the windows of recent samples."),
		nodeBytes:   desc("node_bytes", "Memory of the columns and tables of compiled rules."),
		perSeries:   desc("bytes_per_series", "Memory of windows, columns and tables, a series that compiled rules select."),
		nodes:       desc("nodes", "Distinct operations of all compiled rules."),
		plans:       desc("plans", "Distinct expressions of compiled rules."),
		pulses:      desc("pulses_total", "Times at which what arrived was followed."),
		bails:       desc("fallbacks_total", "Evaluations of compiled rules that the upstream engine answered, by reason.", "reason"),
		lines:       desc("threshold_lines", "Comparisons with numbers that threshold indexes answer."),
		lineHits:    desc("threshold_hits_total", "Evaluations of comparisons that a threshold index answered without looking at a series again."),
	}
}

// Describe implements prometheus.Collector.
func (m *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.series, m.samples, m.windowBytes, m.nodeBytes, m.perSeries, m.nodes, m.plans, m.pulses, m.bails, m.lines, m.lineHits,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Collector) Collect(to chan<- prometheus.Metric) {
	s := m.core.Stats()
	gauge := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(m.series, float64(s.Series))
	gauge(m.samples, float64(s.Samples))
	gauge(m.windowBytes, float64(s.WindowBytes))
	gauge(m.nodeBytes, float64(s.NodeBytes))
	gauge(m.perSeries, float64(s.WindowBytes+s.NodeBytes)/float64(max(s.Series, 1)))
	gauge(m.nodes, float64(s.Nodes))
	gauge(m.plans, float64(s.Plans))
	to <- prometheus.MustNewConstMetric(m.pulses, prometheus.CounterValue, float64(s.Pulses))
	gauge(m.lines, float64(s.Lines))
	to <- prometheus.MustNewConstMetric(m.lineHits, prometheus.CounterValue, float64(s.LineHits))
	for reason, n := range s.Bails {
		to <- prometheus.MustNewConstMetric(m.bails, prometheus.CounterValue, float64(n), reason)
	}
}
