package rule

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLabelsThatChangeAreWarnedOf(t *testing.T) {
	t.Parallel()
	const rules = "groups: [{name: g, rules: [{alert: A, expr: x > 5, labels: {level: '{{ $value }}'}}]}]"
	const side = "groups: [{name: g, rules: [{alert: A, clear: x < 1}]}]"
	for text, want := range map[string]int{side: 1, "": 0} {
		f, errs := ParseBoth("f.yml", []byte(rules), []byte(text), compiler())
		require.Empty(t, errs)
		warnings := Lint(f)
		require.Len(t, warnings, want)
		if want > 0 {
			require.Contains(t, warnings[0], `f.yml:1: group "g", rule "A": the label level is made of the value`)
		}
	}
}
