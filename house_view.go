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
		Fallbacks:     h.compiled.Fallbacks,
		Kernels:       h.compiled.Kernels,
		Measure:       h.measure,
		Ledger:        h.ledger,
		Acknowledge:   h.notifier.Acknowledge,
		Unacknowledge: h.notifier.Unacknowledge,
		Acks:          h.acks,
		Notifications: h.notifications,
		Resend:        h.notifier.Resend,
		Discard:       h.notifier.Discard,

		RecurringSilences:      h.recurringSilences,
		AddRecurringSilence:    h.addRecurringSilence,
		RemoveRecurringSilence: h.removeRecurringSilence,
		Explainer:              h.explainer,
	}
}

// ingested is how much came in by each protocol since the start.
func (h *house) ingested() []web.Ingested {
	return []web.Ingested{
		{Protocol: "scrape", Samples: float64(h.scraper.Samples())},
		{Protocol: "remote write", Samples: float64(h.remote.Samples())},
		{Protocol: "otlp", Samples: float64(h.otlp.Samples())},
		{Protocol: "push", Samples: float64(h.pushed.Samples())},
	}
}
