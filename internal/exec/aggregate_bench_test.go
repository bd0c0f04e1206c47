package exec

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

// aggregateBench is an expression over n lanes.
type aggregateBench struct {
	name, text string
	histogram  bool
}

func aggregateBenches() []aggregateBench {
	var all []aggregateBench
	for _, op := range []string{"sum", "avg", "count", "min", "max", "group", "stddev", "quantile:0.9", "topk:5", "bottomk:5"} {
		for _, grouping := range []string{"", "by (g)", "by (k)"} {
			all = append(all, aggregateBench{name: op + grouping, text: aggregateText(op, grouping, "m")})
		}
	}
	all = append(all, aggregateBench{name: "count_values", text: `count_values("v", m)`})
	all = append(all, aggregateBench{name: "histogram_quantile", text: "histogram_quantile(0.9, m)", histogram: true})
	return append(all, aggregateBench{name: "absent", text: "absent(m)"})
}

// rig makes n series: 100 groups g whose members are mixed, and groups k of 16 neighbours; or histograms of 16 buckets.
func (c *aggregateBench) rig(t testing.TB, n int) *aggregateRig {
	r := rand.New(rand.NewPCG(1, 2))
	in := newAggregateInput(true)
	sum := 0.0
	for i := range n {
		ls := labels.FromStrings(model.MetricNameLabel, "m", "i", fmt.Sprint(i), "g", fmt.Sprint(r.IntN(100)), "k", fmt.Sprint(i/16))
		v := float64(r.IntN(100))
		if c.histogram {
			if i%16 == 0 {
				sum = 0
			}
			sum += v
			v = sum
			le := fmt.Sprint(float64(i%16) / 4)
			if i%16 == 15 {
				le = "+Inf"
			}
			ls = labels.FromStrings(model.MetricNameLabel, "m", "k", fmt.Sprint(i/16), "le", le)
		} else if c.name != "count_values" {
			v += r.Float64()
		}
		in.set(in.add(ls), v)
	}
	in.marks.Clear()
	rig := newAggregateRig(t, c.text, in)
	require.NoError(t, rig.full())
	return rig
}

// stir changes the values of 16 lanes.
func (r *aggregateRig) stir(rnd *rand.Rand) {
	r.in.marks.Clear()
	r.settle()
	for range 16 {
		r.in.set(uint32(rnd.IntN(r.in.own.Len())), float64(rnd.IntN(50)))
	}
}

func TestAggregatesAllocateNothing(t *testing.T) {
	for _, c := range aggregateBenches() {
		t.Run(c.name, func(t *testing.T) {
			rig := c.rig(t, 4000)
			rnd := rand.New(rand.NewPCG(3, 4))
			for range 500 { // Let marks, lists and heaps grow to what they need.
				rig.stir(rnd)
				require.NoError(t, rig.update())
			}
			require.NoError(t, rig.full())
			require.Zero(t, testing.AllocsPerRun(20, func() { _ = rig.full() }), "full")
			require.Zero(t, testing.AllocsPerRun(50, func() {
				rig.stir(rnd)
				_ = rig.update()
			}), "update")
		})
	}
}

func BenchmarkAggregateFull(b *testing.B) {
	const n = 1 << 18
	for _, c := range aggregateBenches() {
		b.Run(c.name, func(b *testing.B) {
			rig := c.rig(b, n)
			b.ReportAllocs()
			for b.Loop() {
				require.NoError(b, rig.full())
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/lane")
		})
	}
}

func BenchmarkAggregateUpdate(b *testing.B) {
	for _, c := range aggregateBenches() {
		b.Run(c.name, func(b *testing.B) {
			rig := c.rig(b, 1<<18)
			rnd := rand.New(rand.NewPCG(3, 4))
			b.ReportAllocs()
			for b.Loop() {
				rig.stir(rnd)
				_ = rig.update()
			}
		})
	}
}

// BenchmarkAggregateBind takes 2¹⁶ new series into groups.
func BenchmarkAggregateBind(b *testing.B) {
	const n = 1 << 16
	for _, c := range aggregateBenches() {
		if c.name != "sumby (g)" && c.name != "sumby (k)" && !c.histogram {
			continue
		}
		rig := c.rig(b, n)
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				newAggregateRig(b, c.text, rig.in).ops[0].bind()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/lane")
		})
	}
}
