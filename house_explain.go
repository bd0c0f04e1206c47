package tocsin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/notify"
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
		Told:      h.whoIsTold,
		Lookback:  time.Duration(cfg.Tocsin.Query.LookbackDelta),
		SubqueryStep: func() time.Duration {
			return time.Duration(h.server.running().Prometheus.GlobalConfig.EvaluationInterval)
		},
	})
	return err
}

// whoIsTold is what the pipeline makes of an alert, in explain's words.
func (h *house) whoIsTold(_ context.Context, ls labels.Labels) (*explain.Told, error) {
	t, err := h.notifier.Explain(ls)
	if err != nil {
		return nil, err
	}
	out := &explain.Told{
		Routes: []explain.Route{}, InhibitedBy: []string{}, SilencedBy: []explain.Silence{}, MutedBy: []string{},
		Flapping: !t.FlappingSince.IsZero(), Dropped: t.Dropped, Waiting: queuedWords(t.Waiting), Dead: queuedWords(t.Dead),
	}
	for _, r := range t.Routes {
		out.Routes = append(out.Routes, explain.Route{
			Path: r.Path, Receiver: r.Receiver, GroupBy: r.GroupBy, GroupKey: r.GroupKey, GroupWaitSeconds: r.GroupWait.Seconds(),
			GroupIntervalSeconds: r.GroupInterval.Seconds(), RepeatIntervalSeconds: r.RepeatInterval.Seconds(),
		})
		for _, name := range r.MutedBy {
			out.MutedBy = append(out.MutedBy, "time interval "+name+" of route "+r.Path)
		}
	}
	for _, source := range t.InhibitedBy {
		out.InhibitedBy = append(out.InhibitedBy, source.String())
	}
	for _, s := range t.SilencedBy {
		out.SilencedBy = append(out.SilencedBy, explain.Silence{ID: s.ID, CreatedBy: s.CreatedBy, Comment: s.Comment, EndsAt: orNil(s.Until)})
	}
	if a := t.Acknowledged; a != nil {
		out.Acknowledged = &explain.Ack{Owner: a.Owner, Comment: a.Comment, EndsAt: orNil(a.Until)}
	}
	return out, nil
}

func queuedWords(all []notify.Pending) []explain.Queued {
	out := make([]explain.Queued, 0, len(all))
	for _, p := range all {
		out = append(out, explain.Queued{
			Receiver: p.Receiver, Integration: p.Integration, Attempts: p.Attempts, NextAttempt: orNil(p.NextAt), LastError: p.LastError,
		})
	}
	return out
}

// orNil maps the zero time to none.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
