package tocsin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/explain"
)

// openExplain connects what answers for alerts with all that it asks.
func (h *house) openExplain(_ string, cfg *config.Config, _ prometheus.Registerer) (err error) {
	h.explainer, err = explain.New(explain.Options{
		Compiler:  h.server.compiler,
		Groups:    h.engine.Groups,
		Files:     h.rules.Files,
		Instant:   h.store.Instant,
		Read:      h.store.Read,
		Beginning: h.store.Beginning,
		History:   h.ledger.History,
		Lookback:  time.Duration(cfg.Tocsin.Query.LookbackDelta),
		SubqueryStep: func() time.Duration {
			return time.Duration(h.server.running().Prometheus.GlobalConfig.EvaluationInterval)
		},
	})
	return err
}
