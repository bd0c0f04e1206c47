package exec_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
)

// TestKernelsTakeRuns: element-wise nodes that nobody else wants have no columns, and are one kernel.
func TestKernelsTakeRuns(t *testing.T) {
	for _, c := range []struct {
		text           string
		nodes, kernels int
	}{
		{`up == 0`, 2, 1},
		{`up`, 1, 0},
		{`(1 - m_total / up) * 100 > 5`, 3, 1},
		{`m_total / up`, 3, 1},
		{`up > 0 and up < 5`, 2, 1},
		{`abs(up > 0) < 5 or -up`, 2, 1},
		{`up > 0 or -up`, 4, 2}, // the sides differ in their names: a table has to tell them apart
		{`rate(m_total[1m]) / rate(m_total[5m]) > 2`, 3, 1},
		{`rate(m_total[1m]) / on (zone) rate(m_total[5m]) > 2`, 3, 1},
		{`sum(rate(m_total[5m])) * 8 / 1024 > 3`, 3, 1},
		{`sum by (zone) (up * 2) / 3 + (sum by (zone) (up * 2))`, 4, 2},
		{`ln(up * 2) * 2`, 4, 2},
		{`clamp(up, 0, scalar(m_total)) > 1`, 6, 1},
		{`{__name__=~"up|down"} * 2 > 5`, 5, 0}, // names go, and may have told series apart
		{`m_total * on (zone) group_left (instance) up > 5`, 4, 2},
		{`m_total % up > 5`, 4, 1},
	} {
		w := newWorld(t, rand.New(rand.NewPCG(1, 1)), c.text)
		w.core = exec.New(exec.Options{Range: w.rangeQuery})
		w.run(8)
		require.Equal(t, c.nodes, w.core.Stats().Nodes, c.text)
		require.Len(t, w.core.Kernels(w.plans[0]), c.kernels, c.text)
	}
}

// TestKernelsEndWhereOthersRead: what two rules want has a column, also when the second comes later; and what is left alone
// again goes on.
func TestKernelsEndWhereOthersRead(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	w := newWorld(t, r, `m_total * 8 > 5`, `m_total * 8 < 100`, `sum(m_total * 8)`)
	w.core = exec.New(exec.Options{Range: w.rangeQuery})
	all := w.plans
	for _, step := range []struct{ plans, nodes int }{{1, 2}, {2, 4}, {3, 5}, {1, 2}, {3, 5}} {
		w.plans = all[:step.plans]
		w.run(5)
		require.Equal(t, step.nodes, w.core.Stats().Nodes, fmt.Sprint(step))
	}
}

// TestLines: comparisons of one vector with many numbers come to what each would by itself, also for those who read them,
// when only some follow arrivals, and while rules come and go.
func TestLines(t *testing.T) {
	seed := seedOf(t)
	worlds := uint64(40)
	if testing.Short() {
		worlds = 10
	}
	for i := range worlds {
		r := rand.New(rand.NewPCG(seed, i))
		vector := pick(r, "m_total", "rate(m_total[1m])", "up", "sum by (zone) (up)", "up * 0")
		var texts []string
		for range 5 + r.IntN(12) {
			line := fmt.Sprintf("%s %s %s", vector, pick(r, ">", "<", ">=", "<=", "==", "!="), pick(r, "0", "-0", "1", "2", "5", "20", "40", "+Inf", "-Inf", "0.2", "1e9", "NaN"))
			if r.IntN(4) == 0 {
				line = fmt.Sprintf("%s %s (%s)", pick(r, "0", "3", "10"), pick(r, ">", "<", "<=", "!="), vector)
			}
			texts = append(texts, fmt.Sprintf(pick(r, "%s", "%s", "%s", "sum(%s)", "(%s) * 2", "count by (zone) (%s)", "(%s) and on (zone) down", "max(%s)"), line))
		}
		w := newWorld(t, r, append(texts, "down")...)
		w.core = exec.New(exec.Options{Range: w.rangeQuery, Kernels: w.kernels})
		all := w.plans
		for range 4 {
			w.plans = nil
			for _, p := range all {
				if r.IntN(4) > 0 {
					w.plans = append(w.plans, p)
				}
			}
			w.run(8)
			if t.Failed() {
				t.Fatalf("seed %d, world %d: %v", seed, i, texts)
			}
		}
	}
}
