package chart

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
)

// latencyTicks marks seconds on an axis of their logarithms, with the unit in each label.
type latencyTicks struct{}

// Ticks implements plot.Ticker.
func (latencyTicks) Ticks(low, high float64) (ticks []plot.Tick) {
	const slack = 1e-9 // of rounding
	decades := high - low
	for k := int(math.Floor(low)); k <= int(math.Ceil(high)); k++ {
		for m := 1; m < 10; m++ {
			t := plot.Tick{Value: float64(k) + math.Log10(float64(m))}
			if t.Value < low-slack || t.Value > high+slack {
				continue
			}
			if m == 1 || decades < 2.5 && (m == 2 || m == 5) || decades < 0.5 {
				t.Label = latencyLabel(float64(m) * math.Pow(10, float64(k)))
			}
			ticks = append(ticks, t)
		}
	}
	return ticks
}

// shareTicks marks percents: quarters, and the 95th percentile.
func shareTicks() plot.ConstantTicks {
	return plot.ConstantTicks{
		{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"},
		{Value: 95, Label: "95"}, {Value: 100, Label: "100"},
	}
}

// countTicks marks whole numbers from 0 on, about six of them.
type countTicks struct{}

// Ticks implements plot.Ticker.
func (countTicks) Ticks(_, high float64) (ticks []plot.Tick) {
	step := math.Max(1, roundUp(high/8))
	for v := 0.0; v <= high; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', 0, 64)})
	}
	return ticks
}

// latencyLabel writes v seconds in the unit that suits.
func latencyLabel(v float64) string {
	unit := "s"
	switch {
	case v < 0.9995e-6:
		v, unit = v*1e9, "ns"
	case v < 0.9995e-3:
		v, unit = v*1e6, "µs"
	case v < 0.9995:
		v, unit = v*1e3, "ms"
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64) + " " + unit
}

// bounds returns the ends of an axis of logarithms that has room for all of them: at those of 1, 2 or 5 times a power of
// ten.
func bounds(logs []float64) (low, high float64) {
	if len(logs) == 0 {
		return -3, 0
	}
	low, high = slices.Min(logs), slices.Max(logs)
	return math.Log10(roundDown(math.Pow(10, low))), math.Log10(roundUp(math.Pow(10, high)))
}

func roundDown(v float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{5, 2} {
		if m*scale <= v {
			return m * scale
		}
	}
	return scale
}

func roundUp(v float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{2, 5} {
		if m*scale > v {
			return m * scale
		}
	}
	return 10 * scale
}
