package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/explain"
	"github.com/tocsin/tocsin/internal/rule"
)

// whyServer has one alert that fires and one that does not.
func whyServer(t *testing.T) *Server {
	t.Helper()
	r := newRule(t, rule.Alerting, "Load", `node_load1 > 0`, labels.EmptyLabels(), labels.EmptyLabels())
	quiet := newRule(t, rule.Alerting, "Quiet", `node_load1 > 100`, labels.EmptyLabels(), labels.EmptyLabels())
	a := firing(r, alert.Firing, 1.5, fixtureNow().Add(-time.Minute), "instance", "db-1:9100", "job", "node")
	return newServer(t, func(_ *Options, m *Tenant) {
		var err error
		m.Explainer, err = explain.New(explain.Options{
			Compiler: compiler(), Instant: m.History.Instant, Read: m.History.Read, Beginning: m.History.Beginning, Now: fixtureNow,
			Groups: func() []engine.GroupStatus {
				return []engine.GroupStatus{{File: "/r.yml", Name: "g", Rules: []engine.RuleStatus{
					evaluated(r, fixtureNow(), a), evaluated(quiet, fixtureNow()),
				}}}
			},
		})
		require.NoError(t, err)
	})
}

func TestWhy(t *testing.T) {
	s := whyServer(t)
	code, body := get(t, s, "/api/v1/explain?alert=Load&match[]="+url.QueryEscape(`{instance="db-1:9100"}`))
	require.Equal(t, 200, code, body)
	var got struct {
		Status string
		Data   explain.Answer
	}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, "success", got.Status)
	require.Contains(t, got.Data.Answer, `Load{instance="db-1:9100", job="node"} is firing since 2026-03-14 09:25:53Z (1m)`)
	require.Len(t, got.Data.Instances, 1)
	require.Equal(t, "db-1:9100", got.Data.Instances[0].Expression.Elements[0].Labels.Get("instance"))
	require.NotContains(t, body, "0001-01-01", "a time that is none")

	code, body = get(t, s, "/api/v1/explain?rule=Quiet&time=1773480000.5")
	require.Equal(t, 200, code, body)
	got.Data = explain.Answer{}
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.Equal(t, explain.ComparisonFalse, got.Data.WhyNot[0].Cause.Code)
	require.Equal(t, time.UnixMilli(1773480000500).UTC(), got.Data.Time)

	r := ask(t, s, http.MethodGet, "/api/v1/explain?alert=Quiet", "", "Accept: text/plain")
	_, body = read(t, r)
	require.Equal(t, "text/plain; charset=utf-8", r.Header.Get("Content-Type"))
	require.True(t, strings.HasPrefix(body, "Quiet is not firing: comparison is false: value "), body)
}

func TestWhyRefuses(t *testing.T) {
	s := whyServer(t)
	for target, want := range map[string]struct {
		code int
		body string
	}{
		"/api/v1/explain":                                          {400, "name the alert by the parameter alert"},
		"/api/v1/explain?alert=a&rule=b":                           {400, "give one of them"},
		"/api/v1/explain?alert=Load&format=xml":                    {400, `invalid parameter \"format\"`},
		"/api/v1/explain?alert=Load&time=soon":                     {400, `invalid parameter \"time\"`},
		"/api/v1/explain?alert=Load&time=1e300":                    {400, `invalid parameter \"time\"`},
		"/api/v1/explain?alert=Load&time=NaN":                      {400, `invalid parameter \"time\"`},
		"/api/v1/explain?alert=Load&match[]=%7B":                   {400, `invalid parameter \"match[]\"`},
		"/api/v1/explain?alert=Load&match[]=a&match[]=b":           {400, "one question is about one set of labels"},
		"/api/v1/explain?alert=load":                               {404, "did you mean Load?"},
		"/api/v1/explain?alert=Load&group=none":                    {404, "in that file and group"},
		"/api/v1/explain?alert=None&format=text":                   {404, "none of the 2 alerting rules"},
		"/api/v1/explain?alert=Load&match[]=%7Binstance%3D%22%22}": {400, "non-empty matcher"},
	} {
		code, body := get(t, s, target)
		require.Equal(t, want.code, code, target+body)
		require.Contains(t, body, want.body, target)
		require.Contains(t, body, `"status":"error"`)
	}
	code, body := get(t, newServer(t, nil), "/api/v1/explain?alert=Load")
	require.Equal(t, 404, code)
	require.Contains(t, body, "is not enabled here")
}
