// Package rangefunc holds PromQL's functions of a range of samples: rate, avg_over_time and their kin.
//
// A range is two parallel slices, times in Unix milliseconds, strictly ascending, and values, without staleness markers;
// native histograms are unknown here. The functions compute what upstream's engine computes in the same order of
// operations, so that results agree to the last bit where the compiler does not fuse multiplication and addition. They
// keep nothing and allocate nothing but for Window.Scratch. Where upstream gives a value with a warning, they give the
// value.
package rangefunc

import (
	"math"
	"time"
)

// Window is what a function knows beside the samples.
type Window struct {
	// Start and End bound the range: samples are in (Start, End]. Unix milliseconds.
	Start, End int64
	// At is the time of the evaluation, in Unix milliseconds: End plus the selector's offset.
	At int64
	// Args are the scalar arguments in their order.
	Args [2]float64
	// Scratch is memory for functions that need some; it is kept and grown by them.
	Scratch []float64
}

// Seconds returns the length of the range.
func (w *Window) Seconds() float64 { return Seconds(w.End - w.Start) }

// Seconds converts a length in milliseconds as upstream does.
func Seconds(ms int64) float64 { return (time.Duration(ms) * time.Millisecond).Seconds() }

// Func is a function of a range. It returns false where the result has no element. t and v have the same length, which
// may be 0, and are not written to.
type Func func(t []int64, v []float64, w *Window) (float64, bool)

// Info describes a function.
type Info struct {
	Func Func
	// KeepsName says that the result keeps the metric name.
	KeepsName bool
	// Scalars is the number of scalar arguments, Matrix the place of the range among all arguments.
	Scalars, Matrix int
	// Min is the smallest number of samples that give a result.
	Min int
	// Newest is how many of the newest samples of the range decide the result; 0 means all.
	Newest int
}

// Lookup returns the function with upstream's name.
func Lookup(name string) (Info, bool) {
	f, ok := functions[name]
	return f, ok
}

var functions = map[string]Info{
	"rate":     {Func: Rate, Min: 2},
	"increase": {Func: Increase, Min: 2},
	"delta":    {Func: Delta, Min: 2},
	"irate":    {Func: Irate, Min: 2, Newest: 2},
	"idelta":   {Func: Idelta, Min: 2, Newest: 2},

	"deriv":                        {Func: Deriv, Min: 2},
	"predict_linear":               {Func: PredictLinear, Scalars: 1, Min: 2},
	"double_exponential_smoothing": {Func: DoubleExponentialSmoothing, Scalars: 2, Min: 2},

	"changes":           {Func: Changes, Min: 1},
	"resets":            {Func: Resets, Min: 1},
	"count_over_time":   {Func: Count, Min: 1},
	"present_over_time": {Func: Present, Min: 1, Newest: 1},
	"first_over_time":   {Func: First, KeepsName: true, Min: 1},
	"last_over_time":    {Func: Last, KeepsName: true, Min: 1, Newest: 1},

	"sum_over_time":    {Func: Sum, Min: 1},
	"avg_over_time":    {Func: Avg, Min: 1},
	"stddev_over_time": {Func: Stddev, Min: 1},
	"stdvar_over_time": {Func: Stdvar, Min: 1},

	"min_over_time":      {Func: Min, Min: 1},
	"max_over_time":      {Func: Max, Min: 1},
	"quantile_over_time": {Func: Quantile, Scalars: 1, Matrix: 1, Min: 1},
	"mad_over_time":      {Func: Mad, Min: 1},

	"ts_of_first_over_time": {Func: TimeOfFirst, Min: 1},
	"ts_of_last_over_time":  {Func: TimeOfLast, Min: 1, Newest: 1},
	"ts_of_min_over_time":   {Func: TimeOfMin, Min: 1},
	"ts_of_max_over_time":   {Func: TimeOfMax, Min: 1},
}

// ValidArgs reports whether upstream takes the arguments; where it does not, it fails.
func ValidArgs(name string, args [2]float64) bool {
	if name != "double_exponential_smoothing" {
		return true
	}
	return !(args[0] <= 0 || args[0] >= 1 || args[1] <= 0 || args[1] >= 1)
}

// finite reports whether x is a number.
func finite(x float64) bool { return math.Abs(x) <= math.MaxFloat64 }
