package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
)

// The chart's size in SVG user units, and the frame's margins within.
const (
	chartWidth, chartHeight = 1000, 300
	chartLeft, chartRight   = 66, 990
	chartTop, chartBottom   = 12, 272
	chartColours            = 8
	maxChartLines           = 24
	wantedTicks             = 5
)

// chart is a line chart as the page draws it.
type chart struct {
	Width, Height            int
	Left, Right, Top, Bottom int
	Lines                    []chartLine
	X, Y                     []chartTick
	// Total is how many series there were, of which Lines are the first.
	Total int
	// Label says in words what the chart shows.
	Label string
}

type chartLine struct {
	// Path is the SVG path's data; Class the classes of its colour and dashes.
	Path, Class string
	Name        string
	Last        string
}

type chartTick struct {
	At   float64
	Text string
}

// newChart draws m between start and end; samples further apart than step are not joined. Nil when there is nothing
// finite to draw.
func newChart(m promql.Matrix, start, end time.Time, step time.Duration) *chart {
	low, high := bounds(m)
	if low > high {
		return nil
	}
	c := &chart{
		Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartRight, Top: chartTop, Bottom: chartBottom,
		Total: len(m),
	}
	ticks, low, high := niceTicks(low, high)
	y := func(v float64) float64 {
		return chartBottom - share(v, low, high)*(chartBottom-chartTop)
	}
	span := float64(end.Sub(start).Milliseconds())
	x := func(ms int64) float64 {
		return chartLeft + float64(ms-start.UnixMilli())/span*(chartRight-chartLeft)
	}
	for _, v := range ticks {
		c.Y = append(c.Y, chartTick{At: y(v), Text: tickText(v)})
	}
	c.X = timeTicks(start, end, x)
	for i, s := range m {
		if i == maxChartLines {
			break
		}
		line := chartLine{
			Path: linePath(s.Floats, step, x, y), Class: lineClass(i), Name: seriesName(s.Metric),
		}
		if n := len(s.Floats); n > 0 {
			line.Last = figure(s.Floats[n-1].F)
		}
		c.Lines = append(c.Lines, line)
	}
	c.Label = fmt.Sprintf("%s from %s to %s UTC, between %s and %s", plural(len(m), "series", "series"),
		start.UTC().Format("2006-01-02 15:04"), end.UTC().Format("15:04"), figure(low), figure(high))
	return c
}

// lineClass names line i's colour and, when the colours begin anew, the round.
func lineClass(i int) string {
	class := "c" + strconv.Itoa(i%chartColours)
	if round := i / chartColours; round > 0 {
		class += " r" + strconv.Itoa(round)
	}
	return class
}

// bounds returns the least and the greatest finite value; low > high when there is none.
func bounds(m promql.Matrix) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range m {
		for _, p := range s.Floats {
			if !math.IsNaN(p.F) && !math.IsInf(p.F, 0) {
				low, high = math.Min(low, p.F), math.Max(high, p.F)
			}
		}
	}
	return low, high
}

// niceTicks returns round values that cover [low, high], and the first and last of them.
func niceTicks(low, high float64) (ticks []float64, from, to float64) {
	if low == high {
		pad := math.Max(math.Abs(low)/10, 1)
		if low >= 0 && low-pad < 0 {
			low = 0
		} else {
			low = math.Max(low-pad, -math.MaxFloat64)
		}
		high = math.Min(high+pad, math.MaxFloat64)
	}
	step := niceStep((high - low) / (wantedTicks - 1))
	from, to = math.Floor(low/step)*step, math.Ceil(high/step)*step
	if !(step > 0) || math.IsInf(from, 0) || math.IsInf(to, 0) || !(to > from) {
		return []float64{low, high}, low, high // too wide or too narrow for arithmetic
	}
	for i := 0; i <= 2*wantedTicks; i++ {
		v := from + float64(i)*step
		if v > to+step/2 {
			break
		}
		ticks = append(ticks, v)
	}
	return ticks, from, to
}

// share returns where v lies between low (0) and high (1), for any finite values.
func share(v, low, high float64) float64 {
	if math.IsInf(high-low, 0) {
		v, low, high = v/2, low/2, high/2 // the span is more than a float64 holds; half of it is not
	}
	if high <= low {
		return 0.5 // the least of steps was lost to rounding
	}
	return (v - low) / (high - low)
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if v <= f*power {
			return f * power
		}
	}
	return 10 * power
}

// tickText is short enough for the margin: 1200000 is 1.2M.
func tickText(v float64) string {
	abs := math.Abs(v)
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e4, ""}} {
		if abs < unit.size {
			continue
		}
		if unit.name == "" {
			return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
		}
		return strconv.FormatFloat(v/unit.size, 'g', 4, 64) + unit.name
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// timeTicks returns round times of day within the range.
func timeTicks(start, end time.Time, x func(ms int64) float64) []chartTick {
	every := end.Sub(start)
	for _, d := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
		15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour,
	} {
		if end.Sub(start)/d <= 8 {
			every = d
			break
		}
	}
	layout := "15:04"
	switch {
	case every < time.Minute:
		layout = "15:04:05"
	case every >= 12*time.Hour:
		layout = "2 Jan"
	}
	var out []chartTick
	for t := start.UTC().Truncate(every).Add(every); !t.After(end); t = t.Add(every) {
		out = append(out, chartTick{At: x(t.UnixMilli()), Text: t.Format(layout)})
	}
	return out
}

// linePath joins points that are one step apart; a lone point becomes a dot.
func linePath(points []promql.FPoint, step time.Duration, x func(int64) float64, y func(float64) float64) string {
	var b strings.Builder
	gap := step.Milliseconds() * 3 / 2
	var last int64
	pen := false
	for i, p := range points {
		if math.IsNaN(p.F) || math.IsInf(p.F, 0) {
			pen = false
			continue
		}
		if pen && p.T-last <= gap {
			fmt.Fprintf(&b, "L%.1f %.1f", x(p.T), y(p.F))
		} else {
			fmt.Fprintf(&b, "M%.1f %.1f", x(p.T), y(p.F))
			if i+1 == len(points) || points[i+1].T-p.T > gap {
				b.WriteString("h0.1")
			}
		}
		pen, last = true, p.T
	}
	return b.String()
}
