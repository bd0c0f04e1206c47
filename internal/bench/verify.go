package bench

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
)

// tolerance is by how much values may differ, relative to the larger one.
const tolerance = 1e-9

// sameVector says how got differs from want: other labels, other elements, other values. Their
// order does not matter.
func sameVector(want, got promql.Vector) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d elements, upstream has %d", len(got), len(want))
	}
	byLabels := make(map[uint64][]promql.Sample, len(want))
	for _, s := range want {
		h := s.Metric.Hash()
		byLabels[h] = append(byLabels[h], s)
	}
	for _, s := range got {
		h := s.Metric.Hash()
		at := slices.IndexFunc(byLabels[h], func(w promql.Sample) bool { return labels.Equal(w.Metric, s.Metric) })
		if at < 0 {
			return fmt.Errorf("%s is not among upstream's elements, or is there twice", s.Metric)
		}
		if w := byLabels[h][at]; !sameValue(w.F, s.F) {
			return fmt.Errorf("%s is %v, upstream has %v", s.Metric, s.F, w.F)
		}
		byLabels[h] = slices.Delete(byLabels[h], at, at+1)
	}
	return nil
}

func sameValue(a, b float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	largest := max(math.Abs(a), math.Abs(b))
	return !math.IsInf(largest, 1) && math.Abs(a-b) <= tolerance*largest
}
