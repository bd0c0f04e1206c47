package plan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

func mustCompile(t *testing.T, text string) *Plan {
	t.Helper()
	p, err := NewCompiler(Options{ExperimentalFunctions: true}).Compile(text)
	require.NoError(t, err)
	return p
}

func TestExplain(t *testing.T) {
	for text, want := range map[string]string{
		`up == bool 0 or on(job) -abs(up{a="b"} offset 5m)`: `
or on (job)  #1
  == bool  #2
    select up  #3
    0  #4
  -  #5
    abs  #6
      select up{a="b"} offset 5m  #7
`,
		`sum without(pod, a) (rate(x[5m] offset -1m)) / ignoring(b) group_right(d, c) avg(x)`: `
/ ignoring (b) group_right (d, c)  #1
  sum without (a, pod)  #2
    rate x[5m] offset -1m  #3
  avg  #4
    select x  #5
`,
		`rate(x[1m]) > 2 and rate(x[1m]) < time()`: `
and  #1
  >  #2
    rate x[1m]  #3
    2  #4
  <  #5
    rate x[1m]  #3 as above
    time()  #6
`,
		`max_over_time(rate(x[1m])[1h:] offset 2h) * on() quantile_over_time(0.5, (x + y)[1h:1m] offset -1s)`: `
* on ()  #1
  max_over_time (rate(x[1m]))[1h:] offset 2h  #2
  quantile_over_time ((x + y))[1h:1m] offset -1s  #3
    0.5  #4
`,
		`absent(up{job="a"}) + absent_over_time({__name__=~"a|b"}[5m])`: `
+  #1
  absent {job="a"}  #2
    select up{job="a"}  #3
  absent  #4
    present_over_time {__name__=~"a|b"}[5m]  #5
`,
		`topk by (a) (scalar(y), vector(1)) == count_values by (b) ("v", histogram_quantile(0.9, x)) == timestamp(z)`: `
==  #1
  ==  #2
    topk by (a)  #3
      vector  #4
        1  #5
      scalar  #6
        select y  #7
    count_values "v" by (b)  #8
      histogram_quantile  #9
        0.9  #10
        select x  #11
  timestamp z  #12
`,
		`sort_by_label(label_join(label_replace(x, "a", "$1", "b", "(.*)"), "c", "-", "a", "b"), "c")`: `
sort_by_label c  #1
  label_join "c","-","a","b"  #2
    label_replace "a","$1","b","(.*)"  #3
      select x  #4
`,
		`{"a name", b="c"}`: "\nselect {__name__=\"a name\",b=\"c\"}  #1\n",
	} {
		require.Equal(t, want[1:], mustCompile(t, text).Explain().String(), text)
	}
	require.Nil(t, mustCompile(t, `up @ 5`).Explain())
}

func TestSharing(t *testing.T) {
	plans := []*Plan{
		mustCompile(t, `rate(x[5m]) > 1`), mustCompile(t, `sum(rate(x[5m])) + sum(rate(x[5m])) > 1`),
		mustCompile(t, `sum(rate(x[5m]))`), mustCompile(t, `x @ 5`),
	}
	s := NewSharing(plans)
	require.Equal(t, `>  #4
  +  #5
    sum  #6 shared by 2
      rate x[5m]  #2 shared by 3
    sum  #6 shared by 2, as above
  1  #3
`, s.Explain(plans[1], nil).String())
	require.Nil(t, s.Explain(plans[3], nil))

	measured := s.Explain(plans[0], func(n *Node) *Measurement {
		switch n.Op {
		case Window:
			return &Measurement{Lanes: 10, Valid: 8, Evaluations: 3, NsPerEval: 120.4, Bytes: 640}
		case Arithmetic:
			return &Measurement{}
		}
		return nil
	})
	require.Equal(t, `>  #1 0 of 0 lanes valid, 0 bytes
  rate x[5m]  #2 shared by 3, 8 of 10 lanes valid, 3 evaluations of 120 ns, 640 bytes
  1  #3
`, measured.String())
	got, err := json.Marshal(measured)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":1,"op":">","shared":1,"lanes":0,"valid":0,"evaluations":0,"nsPerEval":0,"bytes":0,"children":[
		{"id":2,"op":"rate","detail":"x[5m]","shared":3,"lanes":10,"valid":8,"evaluations":3,"nsPerEval":120.4,"bytes":640},
		{"id":3,"op":"1"}]}`, string(got))
}

// TestEveryPlanCanBeExplained finds no node without words in upstream's own suites.
func TestEveryPlanCanBeExplained(t *testing.T) {
	exprs, err := promqltest.GetBuiltInExprs()
	require.NoError(t, err)
	c := NewCompiler(Options{ExperimentalFunctions: true})
	explained := 0
	for _, text := range exprs {
		p, err := c.Compile(text)
		if err != nil || p.Root() == nil {
			continue
		}
		explained++
		tree := p.Explain()
		require.NotEmpty(t, tree.String(), text)
		var check func(*Tree)
		check = func(tree *Tree) {
			require.NotEmpty(t, tree.Op, text)
			require.NotZero(t, tree.ID, text)
			require.NotContains(t, strings.TrimSpace(tree.line()), "\n", text)
			for _, child := range tree.Children {
				check(child)
			}
		}
		check(tree)
	}
	require.Greater(t, explained, 500)
}
