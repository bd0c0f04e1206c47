package tocsin

import (
	"errors"

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

// ingested is what each protocol wrote to history since the start.
func (t tally) ingested() ([]web.Ingested, error) {
	return web.IngestedFrom(t.own, []web.IngestCounter{
		{Protocol: "remote_write", Metric: "tocsin_remote_write_written_total", Where: map[string]string{"kind": "sample"}},
		{Protocol: "remote_write", Metric: "tocsin_remote_write_written_total", Where: map[string]string{"kind": "histogram"}},
		{Protocol: "otlp", Metric: "tocsin_otlp_written_total"},
		{Protocol: "push", Metric: "tocsin_push_written_total"},
		{Protocol: "scrape", Metric: "tocsin_scrape_written_total"},
	})
}
