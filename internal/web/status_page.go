package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"

	"github.com/tocsin/tocsin/internal/notify"
)

// How often the status page reloads itself, in seconds: by default, and at the least and the most that ?refresh= may ask
// for. Zero does not.
const (
	defaultRefresh = 15
	minRefresh     = 2
	maxRefresh     = 3600
)

type poolView struct {
	Name     string
	Up, Down int
	Unknown  int
	Targets  []targetView
}

type targetView struct {
	URL, Health string
	Labels      []labels.Label
	Last        moment
	Took, Error string
}

type ingestView struct {
	Protocol  string
	PerSecond float64
	Total     float64
}

type deliveryView struct {
	Receiver, Integration, Group string
	Firing, Resolved             int
	When                         moment
	Took, Error                  string
	// Retried says that another attempt follows.
	Retried bool
}

// serveStatusPage is GET /.
func (s *Server) serveStatusPage(m *mounted) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refresh := defaultRefresh
		if n, err := strconv.Atoi(r.URL.Query().Get("refresh")); err == nil {
			refresh = 0
			if n > 0 {
				refresh = min(max(n, minRefresh), maxRefresh)
			}
		}
		view := s.statusView(r.Context(), m)
		f := frame{Title: "all quiet", Here: "status", Icon: "quiet", Refresh: refresh, Content: view}
		switch {
		case view.Rules.Firing > 0:
			f.Title, f.Icon = fmt.Sprintf("(%d) firing", view.Rules.Firing), "firing"
		case view.Rules.Pending > 0:
			f.Title, f.Icon = fmt.Sprintf("(%d) pending", view.Rules.Pending), "pending"
		}
		s.render(w, s.page.status, f)
	}
}

func (s *Server) statusView(ctx context.Context, m *mounted) statusView {
	now := clock{s.options.Clock()}
	groups, files, config := m.tenant.groups(), m.tenant.ruleFiles(), s.configState()
	v := statusView{
		Rules:    countRules(groups, files),
		Targets:  countTargets(m.tenant),
		Config:   config,
		ConfigAt: now.moment(config.Time),
		Files:    files,
		Notifies: m.tenant.Deliveries != nil,
	}
	for _, f := range files {
		if len(f.Errors) > 0 {
			v.BadFiles = append(v.BadFiles, f)
		}
	}
	acks, err := m.tenant.acknowledged()
	if err != nil {
		v.AcksUnread = err.Error()
	}
	v.Alerts, v.MoreAlerts, v.Acknowledged = alertViews(groups, acks, now)
	v.History = m.tenant.historyStatus()
	v.Record, v.Outbox = m.tenant.recordView(ctx, now), m.tenant.outboxView(now)
	v.Groups, v.MoreRules = m.tenant.groupViews(groups, now)
	v.Pools, v.MoreTarget = poolViews(scrapeTargets(m.tenant.scrape()), now)
	v.addIngest(m.ingestStatus(), now)
	if v.Notifies {
		for _, d := range m.tenant.Deliveries() {
			if len(v.Deliveries) == maxDeliveryRows {
				break
			}
			v.Deliveries = append(v.Deliveries, deliveryViewOf(d, now))
		}
	}
	return v
}

func (v *statusView) addIngest(i ingestStatus, now clock) {
	v.Series, v.Disk, v.Oldest = int(i.HeadSeries), byteSize(i.DiskBytes), now.moment(i.Oldest)
	v.PerSecond = i.SamplesPerSecond
	v.Measured = len(i.ByProtocol) > 0
	for _, protocol := range sortedKeys(i.SamplesTotal) {
		v.Ingest = append(v.Ingest, ingestView{
			Protocol: protocol, PerSecond: i.ByProtocol[protocol], Total: i.SamplesTotal[protocol],
		})
	}
}

// poolViews returns the scrape pools by name, targets that are down first.
func poolViews(targets upstreamTargets, now clock) (shown []poolView, more int) {
	active := targets.TargetsActive()
	rows := 0
	for _, name := range sortedKeys(active) {
		pool := poolView{Name: name}
		for _, t := range active[name] {
			switch t.Health() {
			case scrape.HealthGood:
				pool.Up++
			case scrape.HealthBad:
				pool.Down++
			default:
				pool.Unknown++
			}
			if rows == maxTargetRows {
				more++
				continue
			}
			rows++
			pool.Targets = append(pool.Targets, targetViewOf(t, now))
		}
		slices.SortStableFunc(pool.Targets, func(a, b targetView) int {
			return cmp.Or(cmp.Compare(a.Health, b.Health), cmp.Compare(a.URL, b.URL)) // "down" < "unknown" < "up"
		})
		shown = append(shown, pool)
	}
	return shown, more
}

func targetViewOf(t *scrape.Target, now clock) targetView {
	v := targetView{
		URL: t.URL().Redacted(), Health: string(t.Health()), Last: now.moment(t.LastScrape()), Took: took(t.LastScrapeDuration()),
	}
	if err := t.LastError(); err != nil {
		v.Error = err.Error()
	}
	t.Labels(labels.NewBuilder(labels.EmptyLabels())).Range(func(l labels.Label) {
		if l.Name != "job" { // the pool says it
			v.Labels = append(v.Labels, l)
		}
	})
	return v
}

func deliveryViewOf(d notify.Delivery, now clock) deliveryView {
	v := deliveryView{
		Receiver: d.Receiver, Integration: d.Integration, When: now.moment(d.EndedAt), Took: took(d.EndedAt.Sub(d.StartedAt)),
	}
	if !d.GroupLabels.IsEmpty() {
		v.Group = d.GroupLabels.String()
	}
	for _, a := range d.Alerts {
		if a.Resolved {
			v.Resolved++
		} else {
			v.Firing++
		}
	}
	if d.Err != nil {
		v.Error, v.Retried = d.Err.Error(), d.Retry
	}
	return v
}
