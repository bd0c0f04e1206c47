package tocsin

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/web"
)

// tally registers an ingest room's metrics twice: with everybody's, and in a small registry of its own that is cheap to
// read, so that the page can show rates by protocol.
type tally struct {
	prometheus.Registerer
	own *prometheus.Registry
}

func newTally(all prometheus.Registerer) tally {
	return tally{Registerer: all, own: prometheus.NewRegistry()}
}

// Register registers c in both places.
func (t tally) Register(c prometheus.Collector) error {
	return errors.Join(t.Registerer.Register(c), t.own.Register(c))
}

// MustRegister is Register for what cannot fail.
func (t tally) MustRegister(cs ...prometheus.Collector) {
	t.Registerer.MustRegister(cs...)
	t.own.MustRegister(cs...)
}

// ingested reads how much each protocol wrote: the samples and histograms of its tocsin_<protocol>_written_total.
func (t tally) ingested() ([]web.Ingested, error) {
	families, err := t.own.Gather()
	if err != nil {
		return nil, err
	}
	var out []web.Ingested
	for _, mf := range families {
		protocol, ok := strings.CutSuffix(mf.GetName(), "_written_total")
		if !ok {
			continue
		}
		protocol = strings.TrimPrefix(protocol, "tocsin_")
		total := 0.0
		for _, m := range mf.GetMetric() {
			if len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == "exemplar" {
				continue
			}
			total += m.GetCounter().GetValue()
		}
		out = append(out, web.Ingested{Protocol: protocol, Samples: total})
	}
	return out, nil
}
