package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

func TestQueriesAreBounded(t *testing.T) {
	s := newServer(t, nil)
	form := "Content-Type: application/x-www-form-urlencoded"
	for name, query := range map[string]string{
		"parentheses": strings.Repeat("(", 40000) + "1" + strings.Repeat(")", 40000), "a chain": "1" + strings.Repeat("+1", 40000),
		"words": "a" + strings.Repeat(" oR a", 40000), "signs": strings.Repeat("-", 40000) + "1", "bytes": `a{b="` + strings.Repeat("c", 1<<20) + `"}`,
	} {
		for _, path := range []string{"/api/v1/query", "/api/v1/query_range", "/api/v1/format_query", "/api/v1/parse_query", "/api/v1/query_exemplars"} {
			began := time.Now()
			code, body := read(t, ask(t, s, http.MethodPost, path, url.Values{"query": {query}}.Encode(), form))
			require.Equal(t, http.StatusBadRequest, code, "%s %s", name, path)
			require.Contains(t, body, `"errorType":"bad_data","error":"invalid parameter \"query\": the expression has `)
			require.Less(t, time.Since(began), 5*time.Second)
		}
	}
	chain := "up" + strings.Repeat("+up", 600)
	code, page := get(t, s, "/graph?g0.expr="+url.QueryEscape("1"+strings.Repeat("+1", 6000)))
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, page, "at most 5000 are allowed")
	code, _ = get(t, s, "/api/v1/query?query="+url.QueryEscape(chain))
	require.Equal(t, http.StatusOK, code, "what is long is evaluated")
	code, body := get(t, s, "/api/v1/format_query?query="+url.QueryEscape(chain))
	require.Equal(t, http.StatusBadRequest, code, "but not printed")
	require.Contains(t, body, "at most 500")

	// A variable of a dashboard with thousands of values is one matcher.
	long := `count(up{instance=~"` + strings.Repeat("host-1.example.com:9100|", 20000) + `"})`
	code, body = read(t, ask(t, s, http.MethodPost, "/api/v1/query", url.Values{"query": {long}}.Encode(), form))
	require.Equal(t, http.StatusOK, code, body[:min(len(body), 300)])
}

func TestQueryParts(t *testing.T) {
	for expr, want := range map[string]int{
		"": 0, "up": 0, "sum by (job) (up)": 2, `a{b="(+("}`: 0, "a + b == c": 3, "a and b UNLESS c or d": 3, "# ((((\na": 0, "#": 0,
		`"\"(" + '(' `: 1, "`\\` + 1": 1, `"(`: 0, "android + orbit": 1, `a{b!="c",d=~"e"} > 1`: 1, "rate(a[5m] offset -1h)": 2,
	} {
		require.Equal(t, want, queryParts(expr), expr)
	}
}

// FuzzQueryParts holds that no expression gets past the bound: there are at least as many parts as binary operators,
// parentheses and calls.
func FuzzQueryParts(f *testing.F) {
	for _, s := range []string{"(a + b) / c", `sum by (x) (rate(a{b="\"("}[5m])) > bool 1`, "-a ^ -2 # c", "a atan2 b or c", `{"a(b", c='d'} + 1`, "`x`"} {
		f.Add(s)
	}
	p := compiler().Parser()
	f.Fuzz(func(t *testing.T, expr string) {
		parsed, err := p.ParseExpr(expr)
		if err != nil {
			return
		}
		nodes := 0
		parser.Inspect(parsed, func(n parser.Node, _ []parser.Node) error {
			switch n.(type) {
			case *parser.BinaryExpr, *parser.ParenExpr, *parser.Call, *parser.AggregateExpr, *parser.UnaryExpr:
				nodes++
			}
			return nil
		})
		if got := queryParts(expr); got < nodes {
			t.Errorf("%q has %d parts, counted %d", expr, nodes, got)
		}
	})
}
