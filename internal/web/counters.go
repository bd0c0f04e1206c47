package web

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// IngestCounter says which counter of the self metrics counts one protocol's accepted samples.
type IngestCounter struct {
	Protocol string
	// Metric is the counter's name; all its series are added up that have every label of Where.
	Metric string
	Where  map[string]string
}

// IngestedFrom returns the totals that counters have in g now, for Tenant.Ingested. A counter that does not exist yet is
// left out.
func IngestedFrom(g prometheus.Gatherer, counters []IngestCounter) ([]Ingested, error) {
	families, err := g.Gather()
	if err != nil {
		return nil, fmt.Errorf("web: gather ingest counters: %w", err)
	}
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	var out []Ingested
	for _, c := range counters {
		f, ok := byName[c.Metric]
		if !ok {
			continue
		}
		total := Ingested{Protocol: c.Protocol}
		for _, m := range f.GetMetric() {
			if hasLabels(m, c.Where) {
				total.Samples += m.GetCounter().GetValue()
			}
		}
		out = append(out, total)
	}
	return out, nil
}

func hasLabels(m *dto.Metric, want map[string]string) bool {
	found := 0
	for _, l := range m.GetLabel() {
		if v, ok := want[l.GetName()]; ok && v == l.GetValue() {
			found++
		}
	}
	return found == len(want)
}
