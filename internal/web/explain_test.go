package web

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// explainServer has two groups that share a node, two rules of one name, and one on tier 0.
func explainServer(t *testing.T, change func(*Tenant)) *Server {
	t.Helper()
	status := func(kind rule.Kind, name, expr string) engine.RuleStatus {
		return evaluated(newRule(t, kind, name, expr, labels.EmptyLabels(), labels.EmptyLabels()), fixtureNow())
	}
	return newServer(t, func(_ *Options, m *Tenant) {
		m.Groups = func() []engine.GroupStatus {
			return []engine.GroupStatus{
				{File: "/r/b c.yml", Name: "g&h", Rules: []engine.RuleStatus{
					status(rule.Alerting, "Twice", `rate(x[5m]) > 1`), status(rule.Alerting, "Twice", `rate(x[5m]) > 2`),
				}},
				{File: "/r/a.yml", Name: "g", Rules: []engine.RuleStatus{
					status(rule.Recording, "x:rate", `rate(x[5m])`), status(rule.Recording, "old", `x @ 5`),
				}},
			}
		}
		if change != nil {
			change(m)
		}
	})
}

func TestExplainJSON(t *testing.T) {
	s := explainServer(t, func(m *Tenant) {
		m.Measure = func(n *plan.Node) *plan.Measurement {
			if n.Op != plan.Window {
				return nil
			}
			return &plan.Measurement{Lanes: 3, Valid: 2, Evaluations: 4, NsPerEval: 12.5, Bytes: 100}
		}
		m.Fallbacks = func(*plan.Plan) map[string]uint64 { return map[string]uint64{"window": 2} }
	})
	code, body := get(t, s, "/api/v1/rules/explain?file="+url.QueryEscape("/r/b c.yml")+"&group=g%26h&rule=Twice")
	require.Equal(t, 200, code)
	const window = `{"id":1,"op":"rate","detail":"x[5m]","shared":3,"lanes":3,"valid":2,"evaluations":4,"nsPerEval":12.5,"bytes":100}`
	require.JSONEq(t, `{"status":"success","data":{"rules":[
		{"file":"/r/b c.yml","group":"g&h","name":"Twice","type":"alerting","query":"rate(x[5m]) > 1","tier":1,"tierFallbacks":{"window":2},
		 "plan":{"id":2,"op":">","shared":1,"children":[`+window+`,{"id":3,"op":"1"}]}},
		{"file":"/r/b c.yml","group":"g&h","name":"Twice","type":"alerting","query":"rate(x[5m]) > 2","tier":1,"tierFallbacks":{"window":2},
		 "plan":{"id":4,"op":">","shared":1,"children":[`+window+`,{"id":5,"op":"2"}]}}]}}`, body)

	code, body = get(t, explainServer(t, nil), "/api/v1/rules/explain?rule=old")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"status":"success","data":{"rules":[{"file":"/r/a.yml","group":"g","name":"old","type":"recording",
		"query":"x @ 5.000","tier":0,"tierReason":"the @ modifier"}]}}`, body)
}

func TestExplainText(t *testing.T) {
	s := explainServer(t, func(m *Tenant) {
		m.Fallbacks = func(p *plan.Plan) map[string]uint64 {
			if p.Root() == nil || p.Root().Op != plan.Window {
				return nil
			}
			return map[string]uint64{"native_histogram": 2}
		}
	})
	const want = `/r/a.yml / g / x:rate: tier 1
  evaluations left to tier 0: 2 for native histogram
  rate x[5m]  #1 shared by 3

/r/a.yml / g / old: tier 0, not compiled: the @ modifier
  x @ 5.000
`
	for target, accept := range map[string]string{
		"/api/v1/rules/explain?group=g&format=text":       "Accept: application/json",
		"/api/v1/rules/explain?group=g":                   "Accept: text/plain",
		"/api/v1/rules/explain?file=/r/a.yml&format=text": "Accept: */*",
	} {
		r := ask(t, s, http.MethodGet, target, "", accept)
		code, body := read(t, r)
		require.Equal(t, 200, code)
		require.Equal(t, "text/plain; charset=utf-8", r.Header.Get("Content-Type"))
		require.Equal(t, want, body)
	}
	_, body := get(t, s, "/api/v1/rules/explain?group=g&format=json", "Accept: text/plain")
	require.True(t, strings.HasPrefix(body, `{"status":"success"`), body)
}

func TestExplainRefuses(t *testing.T) {
	s := explainServer(t, nil)
	for target, want := range map[string]struct {
		code int
		body string
	}{
		"/api/v1/rules/explain":                          {400, "name what to explain"},
		"/api/v1/rules/explain?format=xml&rule=x":        {400, `invalid parameter \"format\"`},
		"/api/v1/rules/explain?rule=none":                {404, "there is no such rule"},
		"/api/v1/rules/explain?rule=none&format=text":    {404, "there is no such rule"},
		"/api/v1/rules/explain?rule=old&group=g%26h":     {404, "there is no such rule"},
		"/api/v1/rules/explain?file=/r/none.yml&group=g": {404, "there is no such rule"},
	} {
		code, body := get(t, s, target)
		require.Equal(t, want.code, code, target)
		require.Contains(t, body, want.body, target)
		require.Contains(t, body, `"status":"error"`)
	}
}

// TestStatusPageLeadsToPlans follows the links of the rules' tiers.
func TestStatusPageLeadsToPlans(t *testing.T) {
	s := explainServer(t, nil)
	_, page := get(t, s, "/")
	links := regexp.MustCompile(`href="(api/v1/rules/explain\?[^"]*)"`).FindAllStringSubmatch(page, -1)
	require.Len(t, links, 4)
	for _, l := range links {
		code, body := get(t, s, "/"+html.UnescapeString(l[1]))
		require.Equal(t, 200, code, "%s: %s", l[1], body)
		require.Contains(t, body, "tier")
	}
}
