package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// upstreamGroups retrieves real rule groups of upstream's.
type upstreamGroups []*rules.Group

func (g upstreamGroups) RuleGroups() []*rules.Group { return g }

func (g upstreamGroups) AlertingRules() []*rules.AlertingRule {
	var out []*rules.AlertingRule
	for _, group := range g {
		out = append(out, group.AlertingRules()...)
	}
	return out
}

// upstreamRuleGroups builds and evaluates groups with upstream's own code: firing, pending, inactive, failing and never
// evaluated rules, alerting and recording, with all that the API shows of them.
func upstreamRuleGroups(t *testing.T, db *tsdb.DB, at time.Time) upstreamGroups {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	expr := func(text string) rules.Rule {
		p, err := compiler().Parser().ParseExpr(text)
		require.NoError(t, err)
		return rules.NewAlertingRule("A "+text, p, 0, 0, labels.FromStrings("severity", "page"),
			labels.FromStrings("summary", "<b>{{ $value }}</b> & more"), labels.EmptyLabels(), "", true, quiet)
	}
	parse := compiler().Parser().ParseExpr
	held, err := parse(`node_load1 > 1e9`)
	require.NoError(t, err)
	up, err := parse(`sum   by(job) (up)`)
	require.NoError(t, err)
	options := func() *rules.ManagerOptions {
		return &rules.ManagerOptions{
			Queryable: db, Appendable: db, Context: context.Background(), Logger: quiet, Metrics: rules.NewGroupMetrics(nil),
			NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
			QueryFunc: func(_ context.Context, q string, ts time.Time) (promql.Vector, error) {
				switch {
				case strings.Contains(q, "fails"):
					return nil, errors.New(`it "fails" <here>`)
				case strings.Contains(q, "empty"):
					return nil, nil
				}
				return promql.Vector{
					{Metric: labels.FromStrings("__name__", "m", "instance", "a&b", "zone", "ü"), T: ts.UnixMilli(), F: 1.5e-9},
				}, nil
			},
		}
	}
	group := func(file, name string, limit int, evaluate bool, rs ...rules.Rule) *rules.Group {
		g := rules.NewGroup(rules.GroupOptions{File: file, Name: name, Interval: 15 * time.Second, Limit: limit, Rules: rs, Opts: options()})
		if evaluate {
			g.Eval(context.Background(), at)
			g.Eval(context.Background(), at.Add(15*time.Second))
		}
		return g
	}
	pending := rules.NewAlertingRule("Pending", held, time.Hour, 90*time.Second, labels.EmptyLabels(), labels.EmptyLabels(),
		labels.EmptyLabels(), "", true, quiet)
	record := rules.NewRecordingRule("job:up:sum", up, labels.FromStrings("kind", "sum", "severity", "none"))
	return upstreamGroups{
		group("a.yml", "first", 0, true, expr("fires"), pending, record),
		group("a.yml", "second", 7, true, expr("fails"), expr("empty")),
		group("b.yml", "first", 0, false, expr("never"), record),
	}
}

// translated turns upstream's groups into what the engine would tell of the same state.
func translated(t *testing.T, groups upstreamGroups) []engine.GroupStatus {
	t.Helper()
	var out []engine.GroupStatus
	for _, g := range groups {
		s := engine.GroupStatus{
			Name: g.Name(), File: g.File(), Interval: g.Interval(), Limit: g.Limit(),
			LastEvaluation: g.GetLastEvaluation(), EvaluationTime: g.GetEvaluationTime(),
		}
		for _, r := range g.Rules() {
			s.Rules = append(s.Rules, translatedRule(t, r))
		}
		out = append(out, s)
	}
	return out
}

func translatedRule(t *testing.T, r rules.Rule) engine.RuleStatus {
	s := engine.RuleStatus{
		Rule:   newRule(t, rule.Recording, r.Name(), r.Query().String(), r.Labels(), labels.EmptyLabels()),
		Health: string(r.Health()), LastEvaluation: r.GetEvaluationTimestamp(), EvaluationTime: r.GetEvaluationDuration(),
	}
	if err := r.LastError(); err != nil {
		s.LastError = err.Error()
	}
	a, ok := r.(*rules.AlertingRule)
	if !ok {
		return s
	}
	s.Rule.Kind, s.Rule.For, s.Rule.KeepFiringFor, s.Rule.Annotations = rule.Alerting, a.HoldDuration(), a.KeepFiringFor(), a.Annotations()
	states := map[rules.AlertState]alert.State{
		rules.StateInactive: alert.Inactive, rules.StatePending: alert.Pending, rules.StateFiring: alert.Firing,
	}
	s.State = states[a.State()]
	for _, x := range a.ActiveAlerts() {
		s.Alerts = append(s.Alerts, alert.Alert{
			State: states[x.State], Labels: x.Labels, Annotations: x.Annotations, Value: x.Value, ActiveAt: x.ActiveAt,
			FiredAt: x.FiredAt, ResolvedAt: x.ResolvedAt, KeepFiringSince: x.KeepFiringSince,
		})
	}
	return s
}

// TestRulesAndAlertsAreUpstreams asks upstream's API and ours for the same state and compares the bytes.
func TestRulesAndAlertsAreUpstreams(t *testing.T) {
	var mine *Tenant
	s := newServer(t, func(o *Options, m *Tenant) { o.Registerer, mine = nil, m })
	groups := upstreamRuleGroups(t, mine.History.DB(), fixtureNow())
	mine.Groups = func() []engine.GroupStatus { return translated(t, groups) }
	upstream := http.StripPrefix("", s.upstreamAPI(tenant.Default, mine, groups))

	second := groupToken(engine.GroupStatus{File: "a.yml", Name: "second"})
	added := regexp.MustCompile(`,"tier":(1|0,"tierReason":"[^"]*")`)
	for _, path := range []string{
		"/api/v1/alerts", "/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?type=RECORD", "/api/v1/rules?type=nonsense",
		"/api/v1/rules?rule_name[]=Pending", "/api/v1/rules?rule_name[]=Pending&rule_name[]=job:up:sum", "/api/v1/rules?rule_name[]=none",
		"/api/v1/rules?rule_group[]=second", "/api/v1/rules?file[]=b.yml", "/api/v1/rules?file[]=b.yml&rule_group[]=second",
		`/api/v1/rules?match[]={severity="page"}`, `/api/v1/rules?match[]={severity="none"}&match[]={kind="x"}`,
		`/api/v1/rules?match[]={severity=""}`, `/api/v1/rules?match[]={severity`,
		"/api/v1/rules?exclude_alerts=true", "/api/v1/rules?exclude_alerts=maybe", "/api/v1/rules?exclude_alerts=FALSE",
		"/api/v1/rules?group_limit=1", "/api/v1/rules?group_limit=2", "/api/v1/rules?group_limit=3", "/api/v1/rules?group_limit=9",
		"/api/v1/rules?group_limit=1&group_next_token=" + second, "/api/v1/rules?group_limit=1&type=record",
		"/api/v1/rules?group_next_token=" + second, "/api/v1/rules?group_limit=1&group_next_token=gone",
		"/api/v1/rules?group_limit=0", "/api/v1/rules?group_limit=x", "/api/v1/rules?group_limit=99999999999",
		"/api/v1/rules?%zz=1",
	} {
		t.Run(path, func(t *testing.T) {
			theirs := httptest.NewRecorder()
			upstream.ServeHTTP(theirs, request(t, path))
			ours := httptest.NewRecorder()
			s.Handler().ServeHTTP(ours, request(t, path))
			require.Equal(t, theirs.Code, ours.Code)
			require.Equal(t, theirs.Header().Get("Content-Type"), ours.Header().Get("Content-Type"))
			require.Equal(t, theirs.Body.String(), added.ReplaceAllString(ours.Body.String(), ""))
		})
	}
}

// request makes a GET of a path whose query is deliberately not cleaned.
func request(t *testing.T, path string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9909/", nil)
	p, query, _ := strings.Cut(path, "?")
	r.URL = &url.URL{Path: p, RawQuery: query}
	return r
}

func TestRulesCarryTheirTier(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		groups := busyGroups(t, fixtureNow())
		slow := newRule(t, rule.Recording, "slow", `up @ 5`, labels.EmptyLabels(), labels.EmptyLabels())
		groups[0].Rules = append(groups[0].Rules, evaluated(slow, fixtureNow()))
		m.Groups = func() []engine.GroupStatus { return groups }
		m.Fallbacks = func(p *plan.Plan) map[string]uint64 {
			if p.String() == "up == 0" {
				return map[string]uint64{"window": 3, "native_histogram": 1}
			}
			return nil
		}
	})
	_, body := get(t, s, "/api/v1/rules")
	var found struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct {
					Name          string
					Tier          *int
					TierReason    string
					TierFallbacks map[string]uint64
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &found))
	var names []string
	for _, g := range found.Data.Groups {
		names = append(names, g.Name)
		for _, r := range g.Rules {
			require.NotNil(t, r.Tier, r.Name)
			require.Equal(t, r.Name == "slow", *r.Tier == 0, r.Name)
			require.Equal(t, *r.Tier == 0, r.TierReason != "", r.Name)
			if r.Name == "InstanceDown" {
				require.Equal(t, map[string]uint64{"window": 3, "native_histogram": 1}, r.TierFallbacks)
			} else {
				require.Nil(t, r.TierFallbacks, r.Name)
			}
		}
	}
	require.Equal(t, []string{"api", "fresh", "node"}, names)
	require.Equal(t, 1, strings.Count(body, `"tierFallbacks"`))

	_, page := get(t, s, "/")
	require.Contains(t, page, `title="evaluations left to tier 0: 1 for native histogram, 3 for window"`)
	require.Contains(t, page, `title="the @ modifier"`)
	require.Equal(t, 1, strings.Count(page, "at times 0"))
}

// TestAlertsLeaveOutTheResolved: the engine may still hold what has resolved, and receivers were told; it is not active.
func TestAlertsLeaveOutTheResolved(t *testing.T) {
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus { return busyGroups(t, fixtureNow()) }
	})
	_, body := get(t, s, "/api/v1/alerts")
	require.NotContains(t, body, "gone:9100")
	require.Equal(t, 4, strings.Count(body, `"activeAt"`))
	require.Equal(t, 1, strings.Count(body, `"keepFiringSince"`))
}

// FuzzRulesPages walks all pages of any size and finds every group once.
func FuzzRulesPages(f *testing.F) {
	f.Add(1, "", "type=alert")
	f.Add(3, "x", "rule_group[]=g1&exclude_alerts=1")
	f.Add(-1, "", "match[]={a=\"b\"}")
	f.Fuzz(func(t *testing.T, limit int, token, rest string) {
		groups := manyGroups(t, fixtureNow(), 1)
		for _, name := range []string{"g1", "g2", "g3"} {
			g := groups[0]
			g.Name = name
			groups = append(groups, g)
		}
		r := httptest.NewRequest(http.MethodGet, "/api/v1/rules", nil)
		r.URL.RawQuery = rest
		q, err := parseRulesQuery(compiler(), r)
		if err != nil {
			return
		}
		q.limit, q.token = 0, ""
		all, err := q.page(groups)
		require.NoError(t, err)
		if limit <= 0 {
			return
		}
		q.limit = limit
		var seen []string
		for range len(groups) + 1 {
			page, err := q.page(groups)
			require.NoError(t, err)
			for _, g := range page.RuleGroups {
				seen = append(seen, g.Name)
			}
			if q.token = page.GroupNextToken; q.token == "" {
				break
			}
		}
		require.Len(t, seen, len(all.RuleGroups))
		if token != "" {
			q.token = token
			_, err := q.page(groups)
			require.Error(t, err, "no group has this token")
		}
	})
}
