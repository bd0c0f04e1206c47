package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Told says who is told of an alert, and why somebody is not.
type Told struct {
	// Recorded are the labels with which the rule engine recorded the alert, Sent those with which it leaves. Dropped says
	// that relabelling drops it: nobody is told.
	Recorded labels.Labels `json:"recorded"`
	Sent     labels.Labels `json:"sent"`
	Dropped  bool          `json:"dropped"`
	// Known says that the pipeline has the alert, and Firing that it fires there.
	Known  bool `json:"known"`
	Firing bool `json:"firing"`
	// Routes are the ones that match.
	Routes []ToldRoute `json:"routes"`
	// InhibitedBy holds the labels of an alert that inhibits it now, if one does.
	InhibitedBy []labels.Labels `json:"inhibitedBy"`
	// SilencedBy are the silences that hold for it now.
	SilencedBy []ToldSilence `json:"silencedBy"`
	// Acknowledged is set where somebody looks after it: it is not repeated.
	Acknowledged *ToldAck `json:"acknowledged,omitempty"`
	// FlappingSince is set where it changes all the time: it is not repeated.
	FlappingSince time.Time `json:"flappingSince,omitzero"`
	// Waiting and Dead are the messages about it that are not delivered, and that were given up.
	Waiting []Pending `json:"waiting"`
	Dead    []Pending `json:"dead"`
}

// ToldRoute is a route that an alert takes.
type ToldRoute struct {
	// Route names it as recorded deliveries do, Path by the matchers that lead there.
	Route    string   `json:"route"`
	Path     string   `json:"path"`
	Receiver string   `json:"receiver"`
	GroupBy  []string `json:"groupBy"`
	// GroupKey is the aggregation group's.
	GroupKey                                 string `json:"groupKey"`
	GroupWait, GroupInterval, RepeatInterval time.Duration
	// MutedBy are the time intervals that mute the route now: mute_time_intervals that hold, or active_time_intervals
	// none of which does.
	MutedBy []string `json:"mutedBy"`
	// Integrations are the receiver's.
	Integrations []ToldIntegration `json:"integrations"`
}

// ToldIntegration is an integration of a route's receiver.
type ToldIntegration struct {
	Circuit
	// LastTold is when it was last told of the group; zero where that is not known.
	LastTold time.Time `json:"lastTold,omitzero"`
}

// ToldSilence is a silence.
type ToldSilence struct {
	ID        string    `json:"id"`
	CreatedBy string    `json:"createdBy"`
	Comment   string    `json:"comment"`
	Until     time.Time `json:"until"`
}

// ToldAck is an acknowledgement.
type ToldAck struct {
	ID      uint64    `json:"id"`
	Owner   string    `json:"owner"`
	Comment string    `json:"comment"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until,omitzero"`
}

// Explain says who is told of the alert that the rule engine recorded with these labels, as things are now. The error is
// of a part that could not be read; the rest is there.
func (n *Notifier) Explain(ls labels.Labels) (Told, error) {
	now, ctx := time.Now(), context.Background()
	sent, kept := n.outward.Load().relabel(labels.NewBuilder(labels.EmptyLabels()), ls)
	out := Told{
		Recorded: ls, Sent: sent, Dropped: !kept, Routes: []ToldRoute{}, InhibitedBy: []labels.Labels{}, SilencedBy: []ToldSilence{},
		Waiting: []Pending{}, Dead: []Pending{},
	}
	if !kept {
		return out, nil
	}
	set := toLabelSet(sent, false)
	fp := set.Fingerprint()
	var began time.Time
	if a, err := n.store.Get(fp); err == nil {
		out.Known, out.Firing, began = true, !a.ResolvedAt(now), a.StartsAt
	}
	if p := n.current.Load(); p != nil {
		out.Routes = n.explainRoutes(p, set, now)
		out.InhibitedBy = n.explainInhibition(ctx, p, set)
	}
	silences, _, err := n.silences.Query(ctx, silence.QState(silence.SilenceStateActive), silence.QMatches(set))
	for _, s := range silences {
		out.SilencedBy = append(out.SilencedBy, ToldSilence{s.Id, s.CreatedBy, s.Comment, s.EndsAt.AsTime()})
	}
	if a, ok := n.acks.of(ls, began, now); ok {
		out.Acknowledged = &ToldAck{a.ID, a.Owner, a.Comment, a.At, a.Until}
	}
	out.FlappingSince, _ = n.flaps.since(fp)
	about := func(p Pending) bool {
		return !slices.ContainsFunc(p.Alerts, func(a PendingAlert) bool { return labels.Equal(a.Labels, ls) })
	}
	out.Waiting = slices.DeleteFunc(n.Waiting(), about)
	dead, derr := n.DeadLetters()
	out.Dead = slices.DeleteFunc(dead, about)
	if err == nil {
		err = derr
	}
	return out, err
}

// explainInhibition asks the inhibitor, which names the first alert that it finds.
func (n *Notifier) explainInhibition(ctx context.Context, p *pipeline, set model.LabelSet) []labels.Labels {
	out := []labels.Labels{}
	m := marker.NewAlertMarker()
	if !p.inhibitor.Mutes(marker.WithContext(ctx, m), set) {
		return out
	}
	for _, id := range m.Status(set.Fingerprint()).InhibitedBy {
		fp, err := model.ParseFingerprint(id)
		if err != nil {
			continue
		}
		if source, err := n.store.Get(fp); err == nil {
			out = append(out, toLabels(source.Labels))
		} else {
			out = append(out, labels.FromStrings("fingerprint", id)) // It ended, and inhibits until the cache knows.
		}
	}
	return out
}

func (n *Notifier) explainRoutes(p *pipeline, set model.LabelSet, now time.Time) []ToldRoute {
	out := []ToldRoute{}
	circuits := n.Circuits()
	for _, r := range p.routes.Match(set) {
		o := &r.RouteOpts
		t := ToldRoute{
			Route: r.ID(), Path: r.Key(), Receiver: o.Receiver, GroupBy: []string{}, GroupWait: o.GroupWait,
			GroupInterval: o.GroupInterval, RepeatInterval: o.RepeatInterval, MutedBy: []string{},
			Integrations: []ToldIntegration{},
		}
		group := model.LabelSet{}
		for name, value := range set {
			if _, by := o.GroupBy[name]; by || o.GroupByAll {
				group[name] = value
			}
		}
		t.GroupKey = fmt.Sprintf("%s:%s", r.Key(), group)
		for name := range o.GroupBy {
			t.GroupBy = append(t.GroupBy, string(name))
		}
		if o.GroupByAll {
			t.GroupBy = []string{"..."}
		}
		slices.Sort(t.GroupBy)
		t.MutedBy = p.mutedBy(o, now)
		for _, a := range p.used[o.Receiver] {
			i := slices.IndexFunc(circuits, func(c Circuit) bool { return target{c.Receiver, c.Integration, c.Index} == a.target() })
			in := ToldIntegration{Circuit: Circuit{
				Receiver: a.receiver, Integration: a.inner.Name(), Index: a.inner.Index(), State: circuitClosed.String(), Configured: true,
			}}
			if i >= 0 {
				in.Circuit = circuits[i]
			}
			in.LastTold = n.told.at(laneKey{a.target(), t.GroupKey})
			t.Integrations = append(t.Integrations, in)
		}
		out = append(out, t)
	}
	return out
}

// mutedBy returns the time intervals that mute a route at now.
func (p *pipeline) mutedBy(o *dispatch.RouteOpts, now time.Time) []string {
	out := []string{}
	if len(o.ActiveTimeIntervals) > 0 {
		// An unknown name would have been refused with the configuration.
		if active, _, err := p.intervener.Mutes(o.ActiveTimeIntervals, now); err == nil && !active {
			out = append(out, o.ActiveTimeIntervals...)
		}
	}
	if len(o.MuteTimeIntervals) > 0 {
		if muted, by, err := p.intervener.Mutes(o.MuteTimeIntervals, now); err == nil && muted {
			out = append(out, by...)
		}
	}
	return out
}
