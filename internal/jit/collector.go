package jit

import "github.com/prometheus/client_golang/prometheus"

// Collector exposes a library's Stats as metrics.
type Collector struct {
	library                                         *Library
	kernels, compiled, shared, waiting              *prometheus.Desc
	compileSeconds, compiles, evictions, refused    *prometheus.Desc
	codeBytes, codeReserved, runs, lanes, runSecond *prometheus.Desc
}

// NewCollector returns the collector of l.
func NewCollector(l *Library) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tocsin_jit_"+name, help, labels, nil)
	}
	return &Collector{
		library:        l,
		kernels:        desc("kernels", "Distinct kernels that rules use."),
		compiled:       desc("kernels_compiled", "Kernels that run in machine code."),
		shared:         desc("kernels_shared", "Uses of kernels beyond the first of each."),
		waiting:        desc("kernels_waiting", "Kernels that are to be compiled."),
		compileSeconds: desc("compile_seconds_total", "Processor time of compiling kernels."),
		compiles:       desc("compiles_total", "Kernels that were compiled."),
		evictions:      desc("evictions_total", "Kernels whose code was given up because they did not run."),
		refused:        desc("refused_total", "Kernels that could not be compiled and are interpreted, by reason.", "reason"),
		codeBytes:      desc("code_bytes", "Memory that machine code occupies."),
		codeReserved:   desc("code_reserved_bytes", "Memory that is held for machine code."),
		runs:           desc("runs_total", "Runs of kernels, by tier: 1 is vectorised Go, 2 machine code.", "tier"),
		lanes:          desc("lanes_total", "Lanes that kernels computed, 64 a word, by tier.", "tier"),
		runSecond:      desc("run_seconds_total", "Time of runs, estimated by those that are timed, by tier.", "tier"),
	}
}

// Describe implements prometheus.Collector.
func (m *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		m.kernels, m.compiled, m.shared, m.waiting, m.compileSeconds, m.compiles, m.evictions, m.refused, m.codeBytes,
		m.codeReserved, m.runs, m.lanes, m.runSecond,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Collector) Collect(to chan<- prometheus.Metric) {
	s := m.library.Stats()
	gauge := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(m.kernels, float64(s.Kernels))
	gauge(m.compiled, float64(s.Compiled))
	gauge(m.shared, float64(s.Shared))
	gauge(m.waiting, float64(s.Waiting))
	gauge(m.codeBytes, float64(s.CodeBytes))
	gauge(m.codeReserved, float64(s.CodeReserved))
	counter(m.compileSeconds, s.CompileTime.Seconds())
	counter(m.compiles, float64(s.Compiles))
	counter(m.evictions, float64(s.Evictions))
	for reason, n := range s.Refused {
		counter(m.refused, float64(n), reason)
	}
	for tier, w := range map[string]Work{"1": s.Interpreted, "2": s.MachineCode} {
		counter(m.runs, float64(w.Runs), tier)
		counter(m.lanes, float64(w.Lanes), tier)
		counter(m.runSecond, w.Time.Seconds(), tier)
	}
}
