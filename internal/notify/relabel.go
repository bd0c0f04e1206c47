package notify

import (
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/tocsin/tocsin/internal/alert"
)

// outward is what a Prometheus configuration does to alerts on their way to an Alertmanager.
type outward struct {
	external labels.Labels
	rules    []*relabel.Config
}

// ApplyAlerting makes Send treat alerts as Prometheus does before it hands them to an Alertmanager: global.external_labels
// are added where an alert has no label of that name, and alerting.alert_relabel_configs are applied to what comes of it.
// Routes, inhibition rules and templates of an alertmanager.yml are written for alerts that went that way. It can be
// called at any time. The drill's alert goes as it is: it shows the way, whatever is dropped on it.
func (n *Notifier) ApplyAlerting(cfg *promconfig.Config) {
	n.outward.Store(&outward{external: cfg.GlobalConfig.ExternalLabels, rules: cfg.AlertingConfig.AlertRelabelConfigs})
}

// relabelled returns alerts as they leave, and the labels that they had; where was is nil, those are the same. The argument
// is not changed.
func (n *Notifier) relabelled(alerts []alert.Outgoing) (out []alert.Outgoing, was []labels.Labels) {
	o := n.outward.Load()
	if o == nil || o.external.IsEmpty() && len(o.rules) == 0 {
		return alerts, nil
	}
	out = make([]alert.Outgoing, 0, len(alerts))
	was = make([]labels.Labels, 0, len(alerts))
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, a := range alerts {
		sent, kept := o.relabel(b, a.Labels)
		if !kept {
			n.metrics.dropped.WithLabelValues(dropRelabelled).Inc()
			continue
		}
		was = append(was, a.Labels)
		a.Labels = sent
		out = append(out, a)
	}
	return out, was
}

// relabel returns the labels with which an alert leaves, and whether it does. b is for its use.
func (o *outward) relabel(b *labels.Builder, ls labels.Labels) (sent labels.Labels, kept bool) {
	if o == nil || ls.Get(labels.AlertName) == DrillAlert {
		return ls, true
	}
	b.Reset(ls)
	o.external.Range(func(l labels.Label) {
		if ls.Get(l.Name) == "" {
			b.Set(l.Name, l.Value)
		}
	})
	kept = relabel.ProcessBuilder(b, o.rules...)
	return b.Labels(), kept
}
