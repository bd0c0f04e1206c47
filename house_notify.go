package tocsin

import (
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/web"
)

func (h *house) openNotify(dir string, cfg *config.Config, reg prometheus.Registerer) (err error) {
	h.notifier, err = notify.New(notify.Options{
		Tenant:       h.id,
		Logger:       h.server.logger.With("part", "notify"), // It names the tenant itself.
		Registerer:   reg,
		Dir:          filepath.Join(dir, "notify"),
		ExternalURL:  h.external,
		Retention:    time.Duration(cfg.Tocsin.Notifications.Retention),
		DrillURL:     h.server.desk.Load().HookURL(),
		OnDelivery:   h.deliveries.Observe,
		DrainTimeout: h.server.budget().notifications(),
		Ledger:       h.ledger,
		Settings:     deliverySettings(cfg),
	})
	if err != nil {
		return err
	}
	h.elsewhere, err = notify.NewExternal(notify.ExternalOptions{
		Logger: h.logger.With("part", "alertmanagers"), Registerer: reg, SDMetrics: h.discovered,
		DrainLimit: h.server.budget().notifications(),
	})
	return err
}

// deliverySettings are what of delivery follows a reload.
func deliverySettings(cfg *config.Config) notify.Settings {
	n := cfg.Tocsin.Notifications
	return notify.Settings{
		DeadLetterAfter:  time.Duration(n.DeadLetterAfter),
		FallbackReceiver: n.FallbackReceiver,
		FallbackAfter:    time.Duration(n.FallbackAfter),
		MinBackoff:       time.Duration(n.MinBackoff),
		MaxBackoff:       time.Duration(n.MaxBackoff),
		MaxWaiting:       n.MaxWaiting,
	}
}

// notifications is what waits, what was given up, and which receivers have trouble.
func (h *house) notifications() (web.Notifications, error) {
	dead, err := h.notifier.DeadLetters()
	if err != nil {
		return web.Notifications{}, err
	}
	out := web.Notifications{Waiting: cutShort(h.notifier.Waiting()), DeadLetters: cutShort(dead)}
	for _, c := range h.notifier.Circuits() {
		if c.Troubled() {
			out.Circuits = append(out.Circuits, c)
		}
	}
	return out, nil
}

// shownAlerts is how many alerts of one message are shown.
const shownAlerts = 20

func cutShort(all []notify.Pending) []notify.Pending {
	for i := range all {
		p := &all[i]
		p.Alerts = p.Alerts[:min(len(p.Alerts), shownAlerts)]
	}
	return all
}

func (h *house) acks() ([]ledger.Ack, error) { return h.notifier.Acks(), nil }
