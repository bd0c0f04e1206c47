package exec

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
)

// histogramSeries makes up a bucket: its bound may be written in several ways, be missing, or be no number.
func histogramSeries(r *rand.Rand, i int, names ...string) labels.Labels {
	bounds := []string{"0", "0.1", "1", "1.0", "5", "10", "1e2", "+Inf", "+Inf", "Inf", "-1", "-Inf", "x", ""}
	b := labels.NewBuilder(labels.EmptyLabels())
	b.Set(model.MetricNameLabel, names[r.IntN(len(names))])
	b.Set(labels.BucketLabel, bounds[r.IntN(len(bounds))])
	b.Set("g", string(rune('a'+r.IntN(6))))
	if r.IntN(2) > 0 {
		b.Set("h", fmt.Sprint(i%4)) // Now and then this series is not there twice.
	}
	return b.Labels()
}

func TestHistogramQuantileAgreesWithUpstream(t *testing.T) {
	e := aggregateEngine(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	values := aggregateValues()
	values["rising"] = func(r *rand.Rand) float64 { return float64(r.IntN(4)) }
	values["nearly equal"] = func(r *rand.Rand) float64 { return 1e6 * (1 + float64(r.IntN(5)-2)*0.4e-12) }
	failed, compared := 0, 0
	for kind, value := range values {
		for range 40 {
			names := []string{"m", "n"}[:1+r.IntN(2)]
			in := newAggregateInput(len(names) == 1)
			fillHistograms(r, in, value, names)
			for _, phi := range []string{"0", "0.5", "0.99", "1", "-0.1", "1.1", "NaN"} {
				rig := newAggregateRig(t, fmt.Sprintf(`histogram_quantile(%s, {__name__=~"m|n"})`, phi), in)
				want, wantErr := rig.upstream(t, e)
				err := rig.full()
				if err == nil && !rig.top().unique {
					err = newUniqueness().check(rig.top())
				}
				if wantErr != nil {
					failed++
					require.Equal(t, ReasonDuplicate, AsBail(err).Reason, "%v", wantErr)
					continue
				}
				require.NoError(t, err)
				compared++
				require.Empty(t, aggregateDiffer(want, aggregateElements(t, rig.top())), "%s of %s", rig.text, kind)
			}
		}
	}
	t.Logf("%d compared, %d with duplicates", compared, failed)
	require.NotZero(t, failed)
	require.NotZero(t, compared)
}

// fillHistograms adds buckets; most histograms have cumulative counts.
func fillHistograms(r *rand.Rand, in *aggregateInput, value func(*rand.Rand) float64, names []string) {
	seen := map[string]bool{}
	for i := range r.IntN(150) {
		ls := histogramSeries(r, i, names...)
		if seen[ls.String()] {
			continue
		}
		seen[ls.String()] = true
		if lane := in.add(ls); r.IntN(8) > 0 {
			v := value(r)
			if bound, ok := upperBound(ls); ok && r.IntN(3) > 0 {
				v = math.Abs(v) * max(0, min(bound, 1000))
			}
			in.set(lane, v)
		}
	}
}

// TestHistogramQuantileOfAnAggregation is the usual use.
func TestHistogramQuantileOfAnAggregation(t *testing.T) {
	e := aggregateEngine(t)
	r := rand.New(rand.NewPCG(8, 9))
	in := newAggregateInput(true)
	for i := range 300 {
		sum := 0.0
		for _, le := range []string{"0.1", "0.5", "1", "+Inf"} {
			sum += float64(r.IntN(100))
			ls := labels.FromStrings(model.MetricNameLabel, "m", "i", fmt.Sprint(i), "g", fmt.Sprint(i%7), "le", le)
			in.set(in.add(ls), sum)
		}
	}
	rig := newAggregateRig(t, "histogram_quantile(0.9, sum by (g, le) (m))", in)
	want, err := rig.upstream(t, e)
	require.NoError(t, err)
	require.NoError(t, rig.full())
	require.Len(t, want, 7)
	require.Empty(t, aggregateDiffer(want, aggregateElements(t, rig.top())))
}

// TestHistogramQuantileUpdates lets buckets come, go and change.
func TestHistogramQuantileUpdates(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	texts := []string{
		"histogram_quantile(0.5, m)", "histogram_quantile(0.99, sum without (h) (m))", "histogram_quantile(NaN, m)",
		"max(histogram_quantile(0.2, max by (g, le) (m)))",
	}
	w := newAggregateWorld(t, r, func(r *rand.Rand) float64 { return float64(r.IntN(50)) }, texts, func(i int) labels.Labels {
		b := labels.NewBuilder(histogramSeries(r, i, "m"))
		return b.Set("i", fmt.Sprint(i/40)).Labels()
	})
	for step := range 400 {
		w.step(step)
	}
}

func TestHistogramBoundThatIsNoNumber(t *testing.T) {
	in := newAggregateInput(true)
	for _, le := range []string{"1", "NaN", "+Inf"} {
		in.set(in.add(labels.FromStrings(model.MetricNameLabel, "m", "le", le)), 1)
	}
	rig := newAggregateRig(t, "histogram_quantile(0.5, m)", in)
	require.Equal(t, ReasonParameter, AsBail(rig.full()).Reason)
	in.unset(1)
	require.NoError(t, rig.full())
}

// TestBucketIndexKeepsOrder enters and strikes off buckets at random, against a plain map.
func TestBucketIndexKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var x bucketIndex
	const groups = 20
	x.grow(groups)
	known := map[uint32]float64{} // by lane, of which the group is a part
	for lane := range uint32(5000) {
		if r.IntN(3) > 0 || len(known) == 0 {
			known[lane] = float64(r.IntN(30))
			x.insert(lane%groups, lane, known[lane])
		} else {
			gone := slices.Sorted(maps.Keys(known))[r.IntN(len(known))]
			delete(known, gone)
			x.remove(gone%groups, gone)
		}
		if r.IntN(100) == 0 {
			group := uint32(r.IntN(groups))
			lanes, _ := x.of(group)
			for _, l := range append([]uint32(nil), lanes...) {
				delete(known, l)
				x.remove(group, l)
			}
			x.drop(group)
		}
	}
	total := 0
	for group := range uint32(groups) {
		lanes, bounds := x.of(group)
		total += len(lanes)
		for i, lane := range lanes {
			require.Equal(t, group, lane%groups)
			require.Equal(t, known[lane], bounds[i])
			require.True(t, i == 0 || bounds[i-1] <= bounds[i])
		}
	}
	require.Equal(t, len(known), total)
	require.Less(t, len(x.lane), 5*total+256)
}

// FuzzHistogramQuantile compares the estimate with upstream's, bucket by bucket.
func FuzzHistogramQuantile(f *testing.F) {
	f.Add(0.5, []byte{1, 2, 3, 255})
	f.Fuzz(func(t *testing.T, phi float64, counts []byte) {
		if !(phi >= 0 && phi <= 1) || len(counts) == 0 {
			return
		}
		var mine buckets
		var theirs promql.Buckets
		for i, n := range counts {
			bound := float64(i/2) - 3
			if i == len(counts)-1 {
				bound = math.Inf(1)
			}
			count := float64(n) * (1 + float64(n%3)*1e-13)
			mine.add(bound, count)
			theirs = append(theirs, promql.Bucket{UpperBound: bound, Count: count})
		}
		want, _, _, _, _, _ := promql.BucketQuantile(phi, theirs)
		got := mine.quantile(phi)
		require.True(t, aggregateClose(want, got), "want %v, got %v", want, got)
	})
}
