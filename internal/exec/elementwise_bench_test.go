package exec

import (
	"testing"

	"github.com/stretchr/testify/require"
)

const elementwiseBenchLanes = 100_000

// newElementwiseBench makes a graph whose vectors have many series, all with values.
func newElementwiseBench(b testing.TB, text string) *elementwiseGraph {
	g := newElementwiseGraph(b, text)
	for name, input := range g.inputs {
		n := elementwiseBenchLanes
		if len(name) == 1 {
			n = 1
		}
		ls := elementwiseLabels(name, 1)
		for i := range n {
			input.set(input.add(ls), float64(i*7919%1000), true, false)
		}
	}
	require.NoError(b, g.full(1_700_000_000_000))
	return g
}

func elementwiseBenchExpressions() []string {
	return []string{
		"metric > 500", "metric == 500", "metric > bool 500", "metric * 8", "100 - metric", "metric % 7", "metric ^ 2", "abs(metric)",
		"clamp(metric, 10, 500)", "round(metric, 0.1)", "floor(metric)", "sgn(metric)", "ln(metric)", "hour(metric)", "sort(metric)", "scalar(metric)",
	}
}

func BenchmarkElementwiseFull(b *testing.B) {
	for _, text := range elementwiseBenchExpressions() {
		b.Run(text, func(b *testing.B) {
			g := newElementwiseBench(b, text)
			b.ReportAllocs()
			for b.Loop() {
				g.root.bind()
				if err := g.root.full(1_700_000_000_000); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/elementwiseBenchLanes, "ns/lane")
		})
	}
}

func BenchmarkElementwiseUpdateOfAWord(b *testing.B) {
	for _, text := range elementwiseBenchExpressions() {
		b.Run(text, func(b *testing.B) {
			g := newElementwiseBench(b, text)
			input, out := g.inputs["metric"], g.root.out()
			lane := uint32(0)
			b.ReportAllocs()
			for b.Loop() {
				lane = (lane + 64) % elementwiseBenchLanes
				input.set(lane, input.column.V[lane]+300, true, true)
				g.root.bind()
				if err := g.root.update(1_700_000_000_000); err != nil {
					b.Fatal(err)
				}
				input.marks.Clear()
				out.marks.Clear()
			}
		})
	}
}

// TestElementwiseAllocates: evaluations allocate nothing.
func TestElementwiseAllocates(t *testing.T) {
	for _, text := range append(elementwiseBenchExpressions(), "metric > scalar(s)", "scalar(s) * 2", "vector(scalar(s))") {
		g := newElementwiseBench(t, text)
		var value float64
		require.Zero(t, testing.AllocsPerRun(10, func() {
			value++
			for _, input := range g.inputs {
				input.set(0, value, true, true)
			}
			for _, op := range g.order {
				op.bind()
				_ = op.update(0)
			}
			for _, op := range g.order {
				op.out().marks.Clear()
				_ = op.full(0)
			}
		}), text)
	}
}
