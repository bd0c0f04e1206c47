package rule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzCondition: whatever the text, lowering either says no with a place inside the text, or gives PromQL that parses,
// within its bounds, and that lowering gives again.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		`value > 80.0`, `value > 100 and metric == "cpu"`, `not (a == 'b' or value / 2 != 3 ^ -value) && labels["x"] =~ "y|z"`,
		`10 < value < 20`, "labels.x == `\\`", `"\u00fc" == ü`, `value % 0 >= 1/0`, `!`, `((`, `metric !~ ".*" or metric != ""`,
	} {
		f.Add(s, "")
		f.Add(s, "cpu")
	}
	f.Add("value>1", "inf")
	f.Fuzz(func(t *testing.T, text, metric string) {
		c := compiler()
		low, err := lowerCondition(text, metric, c)
		if err != nil {
			ce, ok := err.(*conditionError)
			require.True(t, ok)
			require.LessOrEqual(t, ce.pos, len(text))
			require.NotEmpty(t, ce.Error())
			return
		}
		require.LessOrEqual(t, len(low.promql), maxPromQL)
		p, err := c.Compile(low.promql)
		require.NoError(t, err, low.promql)
		require.True(t, p.Evaluable())
		again, err := lowerCondition(text, metric, c)
		require.NoError(t, err)
		require.Equal(t, low, again)
	})
}

// FuzzParse: whatever the content, a file is read as upstream reads it where it is Prometheus's, and never both good and
// bad. Every error has the file's name, and every place in it is in the file.
func FuzzParse(f *testing.F) {
	for _, s := range []string{full, ruleFile("A"), broken, "rules:\n- {id: a, metric: m, condition: value > 1, duration: 5m, severity: x, labels: {a: b}}\n",
		`{"rules":[{"name":"a","condition":"less_than","threshold":1e3,"summary":"\ud83d\udd25"}]}`,
		"groups:\n- &g\n  name: g\n  rules:\n  - &r {alert: A, expr: up}\n  - <<: *r\n- <<: *g\n  name: h\n", "rules: &r [*r]", "a: &a [*a]\nrules: *a", "--- a\n--- b", "\x00", "rules: [{<<: {<<: {id: a}}, condition: value > 1}]",
	} {
		f.Add([]byte(s))
	}
	if files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpora", "rules", "*", "*.yaml")); err == nil {
		for i := 0; i < len(files); i += 60 {
			if content, err := os.ReadFile(files[i]); err == nil && len(content) < 4096 {
				f.Add(content)
			}
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		dialect, _, _ := parse("f.yml", content, compiler())
		file, errs := Parse("f.yml", content, compiler())
		require.Equal(t, len(errs) > 0, file == nil)
		lines := strings.Count(string(content), "\n") + strings.Count(string(content), "\r") + 2
		for _, err := range errs {
			require.True(t, strings.HasPrefix(err.Error(), "f.yml:"), err)
			if e, ok := err.(*Error); ok {
				require.LessOrEqual(t, e.Line, lines)
			}
		}
		if file != nil {
			_ = Lint(file)
		}
		if dialect == Prometheus {
			_, upstream := upstreamErrs(content)
			require.Equal(t, len(upstream) > 0, len(errs) > 0, "%v, %v", upstream, errs)
		}
	})
}
