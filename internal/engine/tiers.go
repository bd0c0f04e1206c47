package engine

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/plan"
)

// tierCollector counts the rules by the tier that they run on, at the moment when somebody asks.
type tierCollector struct {
	desc   *prometheus.Desc
	engine *Engine
}

func newTierCollector(e *Engine) *tierCollector {
	return &tierCollector{
		desc:   prometheus.NewDesc("tocsin_rules", "Rules by the tier that they run on; 0 is the general engine.", []string{"tier"}, nil),
		engine: e,
	}
}

// Describe implements prometheus.Collector.
func (c *tierCollector) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector. Tier 0 is always there.
func (c *tierCollector) Collect(to chan<- prometheus.Metric) {
	counts := map[int]int{0: 0}
	for _, p := range c.engine.plans() {
		counts[c.engine.tierOf(p)]++
	}
	for tier, n := range counts {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), strconv.Itoa(tier))
	}
}

func (e *Engine) tierOf(p *plan.Plan) int {
	tier, _ := p.Tier()
	if tier == plan.Tier0 || e.opts.Tier == nil {
		return int(tier)
	}
	return e.opts.Tier(p)
}

// plans returns the plan of each rule.
func (e *Engine) plans() (all []*plan.Plan) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.runners {
		for _, rs := range r.group.rules {
			all = append(all, rs.rule().Plan)
		}
	}
	return all
}
