package web

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
)

// What a page shows at most; beyond it says how many it left out, and the API has them all.
const (
	maxAlertRows    = 500
	maxRuleRows     = 2000
	maxTargetRows   = 1000
	maxDeliveryRows = 15
)

// statusView is the status page's content.
type statusView struct {
	Rules    ruleCounts
	Targets  targetCounts
	Config   ConfigState
	ConfigAt moment
	Series   int
	Disk     string
	Oldest   moment

	Alerts     []alertView
	MoreAlerts int
	Groups     []groupView
	MoreRules  int
	Files      []rule.FileStatus
	BadFiles   []rule.FileStatus
	Pools      []poolView
	MoreTarget int
	Ingest     []ingestView
	PerSecond  float64
	Measured   bool // whether there are rates by protocol yet
	Deliveries []deliveryView
	Notifies   bool // whether deliveries are told at all

	History historyStatus
	Record  recordView
	Outbox  outboxView
	// Acknowledged counts among all active alerts; AcksUnread says why nobody knows.
	Acknowledged int
	AcksUnread   string
}

type alertView struct {
	// State is "firing" or "pending"; Kept says that only keep_firing_for holds it.
	State, Name          string
	Kept                 bool
	Labels               []labels.Label
	Summary, Description string
	Links                []link
	Value, Exact         string
	Since                moment
	Expr                 string
	// Ack says who looks after it; Flapping and NoData are as in package alert.
	Ack              *ackMark
	Flapping, NoData bool
}

// ackMark is an acknowledgement beside an alert.
type ackMark struct {
	Owner, Comment string
	Until          moment
}

type link struct{ Name, URL string }

type groupView struct {
	Name, File     string
	Interval, Took string
	Last           moment
	Rules          []ruleView
	Firing, Failed int
	Pending        int
	// Open unfolds the group: something in it wants to be seen.
	Open bool
}

type ruleView struct {
	Name, Expr, Kind string
	State, Health    string
	For, Error, Took string
	Last             moment
	Tier             int
	// TierNote says why no faster, or that it was not always as fast; FellBack is the latter.
	TierNote string
	FellBack bool
	// Explain is the address of its plan.
	Explain   string
	Alerts    int
	Condition string
}

// alertViews returns the active alerts of all groups, firing before pending, the newest first within each.
func alertViews(groups []engine.GroupStatus, acks acknowledged, m clock) (shown []alertView, more, acknowledged int) {
	type found struct {
		a alert.Alert
		r *rule.Rule
	}
	var all []found
	for _, g := range groups {
		for _, r := range g.Rules {
			for _, a := range activeAlerts(r.Alerts) {
				all = append(all, found{a, r.Rule})
				if acks.of(&a) != nil {
					acknowledged++
				}
			}
		}
	}
	slices.SortStableFunc(all, func(x, y found) int {
		return cmp.Or(-cmp.Compare(x.a.State, y.a.State), y.a.ActiveAt.Compare(x.a.ActiveAt),
			labels.Compare(x.a.Labels, y.a.Labels))
	})
	if len(all) > maxAlertRows {
		all, more = all[:maxAlertRows], len(all)-maxAlertRows
	}
	for _, f := range all {
		v := alertViewOf(f.a, f.r, m)
		if ack := acks.of(&f.a); ack != nil {
			v.Ack = &ackMark{Owner: ack.Owner, Comment: ack.Comment, Until: m.until(ack.Until)}
		}
		shown = append(shown, v)
	}
	return shown, more, acknowledged
}

func alertViewOf(a alert.Alert, r *rule.Rule, m clock) alertView {
	v := alertView{
		State: a.State.String(), Name: r.Name, Kept: !a.KeepFiringSince.IsZero(),
		Summary: a.Annotations.Get("summary"), Description: a.Annotations.Get("description"),
		Value: figure(a.Value), Exact: strconv.FormatFloat(a.Value, 'g', -1, 64),
		Since: m.moment(a.ActiveAt), Expr: r.Plan.String(), Flapping: a.Flapping(), NoData: a.NoData(),
	}
	if v.Summary == "" {
		v.Summary = a.Annotations.Get("message")
	}
	if v.Summary == "" {
		v.Summary, v.Description = v.Description, ""
	}
	a.Labels.Range(func(l labels.Label) {
		if l.Name != labels.AlertName {
			v.Labels = append(v.Labels, l)
		}
	})
	a.Annotations.Range(func(l labels.Label) {
		if u, err := url.Parse(l.Value); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			v.Links = append(v.Links, link{Name: l.Name, URL: l.Value})
		}
	})
	return v
}

// groupViews returns the groups, in order, up to maxRuleRows rules.
func (t *Tenant) groupViews(groups []engine.GroupStatus, m clock) (shown []groupView, more int) {
	rows := 0
	for _, g := range groups {
		if rows+len(g.Rules) > maxRuleRows && rows > 0 {
			more += len(g.Rules)
			continue
		}
		rows += len(g.Rules)
		shown = append(shown, t.groupViewOf(g, m))
	}
	return shown, more
}

func (t *Tenant) groupViewOf(g engine.GroupStatus, m clock) groupView {
	v := groupView{
		Name: g.Name, File: g.File, Interval: model.Duration(g.Interval).String(), Took: took(g.EvaluationTime), Last: m.moment(g.LastEvaluation),
	}
	for _, r := range g.Rules {
		rv := t.ruleViewOf(g, r, m)
		switch rv.State {
		case alert.Firing.String():
			v.Firing++
		case alert.Pending.String():
			v.Pending++
		}
		if rv.Health == string(rules.HealthBad) {
			v.Failed++
		}
		v.Rules = append(v.Rules, rv)
	}
	v.Open = v.Failed > 0
	return v
}

func (t *Tenant) ruleViewOf(g engine.GroupStatus, r engine.RuleStatus, m clock) ruleView {
	tier := t.tierOf(r)
	v := ruleView{
		Name: r.Rule.Name, Expr: r.Rule.Plan.String(), Kind: string(r.Rule.Kind), Health: string(ruleHealth(r)),
		Error: r.LastError, Took: took(r.EvaluationTime), Last: m.moment(r.LastEvaluation),
		Tier: tier.Tier, TierNote: tier.TierReason, Condition: r.Rule.Condition,
		Explain: "api/v1/rules/explain?" + url.Values{
			"file": {g.File}, "group": {g.Name}, "rule": {r.Rule.Name}, "format": {"text"},
		}.Encode(),
	}
	if words := fallbackWords(tier.TierFallbacks); words != "" {
		v.TierNote, v.FellBack = words, true
	}
	if r.Rule.Kind == rule.Alerting {
		v.State = ruleState(r)
		v.Alerts = len(activeAlerts(r.Alerts))
		if r.Rule.For > 0 {
			v.For = model.Duration(r.Rule.For).String()
		}
	}
	return v
}
