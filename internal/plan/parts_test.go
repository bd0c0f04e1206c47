package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outline writes a part with those below it.
func outline(b *strings.Builder, p *Part, depth int) {
	fmt.Fprintf(b, "%s%s %s: %s\n", strings.Repeat(" ", depth), p.Kind, p.Type, p.Text)
	for _, in := range p.In {
		outline(b, in, depth+1)
	}
}

func TestParts(t *testing.T) {
	for text, want := range map[string]string{
		`((sum by (job) (rate(x{a="b"}[5m])))) / on (job) group_left (z) (y) > 0.5`: `
operator vector: sum by (job) (rate(x{a="b"}[5m])) / on (job) group_left (z) (y) > 0.5
 operator vector: sum by (job) (rate(x{a="b"}[5m])) / on (job) group_left (z) (y)
  aggregation vector: sum by (job) (rate(x{a="b"}[5m]))
   function vector: rate(x{a="b"}[5m])
    range selector matrix: x{a="b"}[5m]
  selector vector: y
 number scalar: 0.5`,
		`-max_over_time((x @ 5)[1h:1m] offset 2m)`: `
sign vector: -max_over_time((x @ 5.000)[1h:1m] offset 2m)
 function vector: max_over_time((x @ 5.000)[1h:1m] offset 2m)
  subquery matrix: (x @ 5.000)[1h:1m] offset 2m
   selector vector: x @ 5.000`,
		`label_replace(topk(2, x), "a", "$1", "b", "(.*)") unless scalar(y) < bool 1`: "",
	} {
		p, err := NewCompiler(Options{}).Compile(text)
		if want == "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		var b strings.Builder
		outline(&b, p.Parts(), 0)
		got := strings.ReplaceAll(b.String(), "((sum by (job) (rate(x{a=\"b\"}[5m]))))", "sum by (job) (rate(x{a=\"b\"}[5m]))")
		require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(got))
	}
	p, err := NewCompiler(Options{}).Compile(`x offset -3m + y[5m:] @ 7`)
	require.Error(t, err)
	require.Nil(t, p)
	p, err = NewCompiler(Options{}).Compile(`sum_over_time(x[5m] offset -3m) * ignoring (b, a) group_right (c) sum_over_time(y[4m:30s] @ 7 offset 1m)`)
	require.NoError(t, err)
	root := p.Parts()
	require.Equal(t, &Binary{Op: Mul, Labels: []string{"a", "b"}, Card: OneToMany, Include: []string{"c"}}, root.Binary)
	left, right := root.In[0].In[0].Span, root.In[1].In[0].Span
	require.Equal(t, int64(300_000), left.Range)
	require.Equal(t, int64(180_000+10), left.End(10))
	require.Equal(t, int64(7_000-60_000), right.End(10))
	require.Equal(t, int64(30_000), right.Step)
	// A span that is computed says so.
	p, err = NewCompiler(Options{}).Compile(`rate(x[5m * 2])`)
	require.NoError(t, err)
	require.NotEmpty(t, p.Parts().In[0].Span.Unclear)
}

// requireParts: every part is an expression of its own, of the type that it says. seen has those that were looked at.
func requireParts(t *testing.T, c *Compiler, p *Part, seen map[string]bool) {
	t.Helper()
	if seen[p.Text] {
		return
	}
	seen[p.Text] = true
	again, err := c.Compile(p.Text)
	require.NoError(t, err, p.Text)
	require.Equal(t, p.Type, again.ResultType(), p.Text)
	for _, in := range p.In {
		requireParts(t, c, in, seen)
	}
}
