package tocsin

import (
	"github.com/prometheus/prometheus/scrape"

	"github.com/tocsin/tocsin/internal/web"
)

// view is what HTTP shows and feeds of the tenant.
func (h *house) view() *web.Tenant {
	return &web.Tenant{
		History:       h.store,
		Groups:        h.engine.Groups,
		RuleFiles:     h.rules.Files,
		Config:        h.prometheusConfig,
		Scrape:        func() *scrape.Manager { return h.scraper.Manager() },
		Alertmanagers: h.elsewhere,
		RemoteWrite:   h.remote,
		OTLP:          h.otlp,
		Push:          h.pushed.Handler(),
		Alertmanager:  h.notifier.Handler(),
		Ingested:      h.ingested,
		Deliveries:    h.deliveries.Recent,
	}
}

// ingested is how much came in by each protocol since the start.
func (h *house) ingested() []web.Ingested {
	all, err := h.ingest.ingested()
	if err != nil {
		h.logger.Warn("Reading what came in", "err", err)
	}
	return all
}
