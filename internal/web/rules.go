package web

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// tierFields are what tocsin adds to a rule in /api/v1/rules.
type tierFields struct {
	// Tier is how the expression runs, TierReason why no faster.
	Tier       int    `json:"tier"`
	TierReason string `json:"tierReason,omitempty"`
	// TicksOnly says why the rule does not follow arrivals; empty where it does.
	TicksOnly string `json:"ticksOnly,omitempty"`
	// TierFallbacks counts the evaluations that were left to tier 0 all the same, by reason.
	TierFallbacks map[string]uint64 `json:"tierFallbacks,omitempty"`
	// Kernels are the pieces of its arithmetic, inputs first.
	Kernels []plan.Kernel `json:"kernels,omitempty"`
}

// alertingRule is upstream's, field by field, with our alerts.
type alertingRule struct {
	State          string           `json:"state"`
	Name           string           `json:"name"`
	Query          string           `json:"query"`
	Duration       float64          `json:"duration"`
	KeepFiringFor  float64          `json:"keepFiringFor"`
	Labels         labels.Labels    `json:"labels"`
	Annotations    labels.Labels    `json:"annotations"`
	Alerts         []*apiAlert      `json:"alerts"`
	Health         rules.RuleHealth `json:"health"`
	LastError      string           `json:"lastError,omitempty"`
	EvaluationTime float64          `json:"evaluationTime"`
	LastEvaluation time.Time        `json:"lastEvaluation"`
	Type           string           `json:"type"`
	tierFields
}

type recordingRule struct {
	v1.RecordingRule
	tierFields
}

// serveAlerts is GET /api/v1/alerts: every active alert, by file, group and rule.
func (t *Tenant) serveAlerts(w http.ResponseWriter, _ *http.Request) {
	out := []*apiAlert{}
	acks, err := t.acknowledged()
	for _, g := range t.groups() {
		for _, r := range g.Rules {
			if r.Rule.Kind == rule.Alerting {
				out = append(out, apiAlerts(r.Alerts, acks)...)
			}
		}
	}
	answerWith(w, &alertDiscovery{Alerts: out}, err)
}

// serveRules is GET /api/v1/rules with Prometheus's parameters: type, rule_name[], rule_group[], file[], match[],
// exclude_alerts, group_limit and group_next_token.
func (t *Tenant) serveRules(c *plan.Compiler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q, err := parseRulesQuery(c, r)
		if err != nil {
			badData(w, err)
			return
		}
		q.tier = t.tierOf
		var unread error
		if !q.excludeAlerts {
			q.acks, unread = t.acknowledged()
		}
		found, err := q.page(t.groups())
		if err != nil {
			badData(w, err)
			return
		}
		answerWith(w, found, unread)
	}
}

// rulesQuery is the parsed parameters of /api/v1/rules.
type rulesQuery struct {
	names, groups, files []string
	matchers             [][]*labels.Matcher
	alerting, recording  bool
	excludeAlerts        bool
	// limit is how many groups a page has, zero for all; token names the group that the page starts with.
	limit int
	token string
	// tier is Tenant.tierOf.
	tier func(engine.RuleStatus) tierFields
	acks acknowledged
}

func parseRulesQuery(c *plan.Compiler, r *http.Request) (rulesQuery, error) {
	if err := r.ParseForm(); err != nil {
		return rulesQuery{}, fmt.Errorf("error parsing form values: %w", err)
	}
	q := rulesQuery{
		names: r.Form["rule_name[]"], groups: r.Form["rule_group[]"], files: r.Form["file[]"], tier: (&Tenant{}).tierOf,
	}
	var err error
	if q.matchers, err = parseMatchers(c, r.Form["match[]"]); err != nil {
		return q, err
	}
	params := r.URL.Query()
	switch typ := strings.ToLower(params.Get("type")); typ {
	case "":
		q.alerting, q.recording = true, true
	case "alert":
		q.alerting = true
	case "record":
		q.recording = true
	default:
		return q, invalid("type", fmt.Errorf("not supported value %q", typ))
	}
	if s := strings.ToLower(params.Get("exclude_alerts")); s != "" {
		if q.excludeAlerts, err = strconv.ParseBool(s); err != nil {
			return q, invalid("exclude_alerts", fmt.Errorf("error converting exclude_alerts: %w", err))
		}
	}
	err = q.parsePage(params)
	return q, err
}

func (q *rulesQuery) parsePage(params url.Values) error {
	limit := params.Get("group_limit")
	q.token = params.Get("group_next_token")
	if limit == "" {
		if q.token != "" {
			return invalid("group_next_token",
				errors.New("group_limit needs to be present in order to paginate over the groups"))
		}
		return nil
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	if err != nil {
		return invalid("group_limit", fmt.Errorf("group_limit needs to be a valid number: %w", err))
	}
	if n <= 0 {
		return invalid("group_limit", errors.New("group_limit needs to be greater than 0"))
	}
	q.limit = int(n)
	return nil
}

func invalid(parameter string, err error) error {
	return fmt.Errorf("invalid parameter %q: %w", parameter, err)
}

// page returns the groups that the query asks for, from the token's on, and the token of the first that did not fit.
// Groups of which no rule is left are not shown, and not counted.
func (q rulesQuery) page(groups []engine.GroupStatus) (*v1.RuleDiscovery, error) {
	if q.token != "" {
		at := slices.IndexFunc(groups, func(g engine.GroupStatus) bool { return groupToken(g) == q.token })
		if at < 0 {
			return nil, invalid("group_next_token",
				fmt.Errorf("invalid group_next_token '%v'. were rule groups changed?", q.token))
		}
		groups = groups[at:]
	}
	out := &v1.RuleDiscovery{RuleGroups: []*v1.RuleGroup{}}
	for _, g := range groups {
		if !among(q.groups, g.Name) || !among(q.files, g.File) {
			continue
		}
		found := q.group(g)
		if len(found.Rules) == 0 {
			continue
		}
		if q.limit > 0 && len(out.RuleGroups) == q.limit {
			out.GroupNextToken = groupToken(g)
			break
		}
		out.RuleGroups = append(out.RuleGroups, found)
	}
	return out, nil
}

func (q rulesQuery) group(g engine.GroupStatus) *v1.RuleGroup {
	out := &v1.RuleGroup{
		Name:           g.Name,
		File:           g.File,
		Interval:       g.Interval.Seconds(),
		Limit:          g.Limit,
		Rules:          []v1.Rule{},
		EvaluationTime: g.EvaluationTime.Seconds(),
		LastEvaluation: g.LastEvaluation,
	}
	for _, r := range g.Rules {
		switch {
		case !among(q.names, r.Rule.Name) || !matchesAny(q.matchers, r.Rule.Labels):
		case r.Rule.Kind == rule.Alerting && q.alerting:
			out.Rules = append(out.Rules, q.alertingRule(r))
		case r.Rule.Kind == rule.Recording && q.recording:
			out.Rules = append(out.Rules, q.recordingRule(r))
		}
	}
	return out
}

func (q rulesQuery) alertingRule(r engine.RuleStatus) alertingRule {
	var alerts []*apiAlert
	if !q.excludeAlerts {
		alerts = apiAlerts(r.Alerts, q.acks)
	}
	return alertingRule{
		State:          ruleState(r),
		Name:           r.Rule.Name,
		Query:          r.Rule.Plan.String(),
		Duration:       r.Rule.For.Seconds(),
		KeepFiringFor:  r.Rule.KeepFiringFor.Seconds(),
		Labels:         r.Rule.Labels,
		Annotations:    r.Rule.Annotations,
		Alerts:         alerts,
		Health:         ruleHealth(r),
		LastError:      r.LastError,
		EvaluationTime: r.EvaluationTime.Seconds(),
		LastEvaluation: r.LastEvaluation,
		Type:           string(rule.Alerting),
		tierFields:     q.tier(r),
	}
}

func (q rulesQuery) recordingRule(r engine.RuleStatus) recordingRule {
	return recordingRule{
		RecordingRule: v1.RecordingRule{
			Name:           r.Rule.Name,
			Query:          r.Rule.Plan.String(),
			Labels:         r.Rule.Labels,
			Health:         ruleHealth(r),
			LastError:      r.LastError,
			EvaluationTime: r.EvaluationTime.Seconds(),
			LastEvaluation: r.LastEvaluation,
			Type:           string(rule.Recording),
		},
		tierFields: q.tier(r),
	}
}

// ruleState is the state as upstream says it: "unknown" until the first evaluation.
func ruleState(r engine.RuleStatus) string {
	if r.LastEvaluation.IsZero() {
		return rules.StateUnknown.String()
	}
	return r.State.String()
}

func ruleHealth(r engine.RuleStatus) rules.RuleHealth {
	if r.Health == "" {
		return rules.HealthUnknown
	}
	return rules.RuleHealth(r.Health)
}

// tierOf says how r runs.
func (t *Tenant) tierOf(r engine.RuleStatus) tierFields {
	tier, reason := r.Rule.Plan.Tier()
	out := tierFields{Tier: int(tier), TierReason: reason, TicksOnly: r.TicksOnly}
	if t.Fallbacks != nil {
		out.TierFallbacks = t.Fallbacks(r.Rule.Plan)
	}
	if t.Kernels == nil || tier == plan.Tier0 {
		return out
	}
	out.Kernels = t.Kernels(r.Rule.Plan)
	why, left := "", false
	for _, k := range out.Kernels {
		out.Tier = max(out.Tier, k.Tier)
		if k.Tier == int(plan.Tier1) && !left {
			why, left = k.Reason, true
		}
	}
	switch {
	case len(out.Kernels) == 0:
		out.TierReason = "nothing in it is for machine code"
	case left && out.Tier > int(plan.Tier1):
		out.TierReason = "some of its arithmetic is not machine code" + because(why)
	case left:
		out.TierReason = "its arithmetic is not machine code" + because(why)
	}
	return out
}

// because says in words why a kernel is not machine code.
func because(why string) string {
	switch why {
	case "":
		return ""
	case "off":
		return ": tocsin.jit is off"
	case "waiting":
		return ": it waits to be compiled"
	case "cold":
		return ": it has not cost enough to be compiled"
	case "memory", "full":
		return ": there is no room for more (tocsin.jit.max_size)"
	case "unsupported":
		return ": this system cannot run any; the log says why"
	}
	return ": " + why
}

// fallbackWords says for people what TierFallbacks says.
func fallbackWords(fallbacks map[string]uint64) string {
	var words []string
	for _, reason := range sortedKeys(fallbacks) {
		words = append(words, fmt.Sprintf("%d for %s", fallbacks[reason], strings.ReplaceAll(reason, "_", " ")))
	}
	if len(words) == 0 {
		return ""
	}
	return "evaluations left to tier 0: " + strings.Join(words, ", ")
}

// groupToken is upstream's page token: the hex SHA-256 of "<file>;<group>".
func groupToken(g engine.GroupStatus) string {
	sum := sha256.Sum256([]byte(g.File + ";" + g.Name))
	return hex.EncodeToString(sum[:])
}

// sortedGroups orders groups by file, then by name, as upstream does.
func sortedGroups(groups []engine.GroupStatus) []engine.GroupStatus {
	out := slices.Clone(groups)
	slices.SortStableFunc(out, func(a, b engine.GroupStatus) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// among reports whether s is wanted: no list wants all.
func among(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
