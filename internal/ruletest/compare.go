package ruletest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/tocsin/tocsin/internal/plan"
)

// firing is an alert as the format compares it: by labels and annotations.
type firing struct{ labels, annotations labels.Labels }

// alerts returns what a test expects, alertname added as the evaluation adds it.
func (t *alertTest) alerts() []firing {
	all := make([]firing, 0, len(t.Expected))
	for _, e := range t.Expected {
		ls := make(map[string]string, len(e.Labels)+1)
		for k, v := range e.Labels {
			ls[k] = v
		}
		ls[labels.AlertName] = t.Alertname
		all = append(all, firing{labels.FromMap(ls), labels.FromMap(e.Annotations)})
	}
	return all
}

// compareFiring orders alerts by labels, then annotations.
func compareFiring(a, b firing) int {
	return cmp.Or(labels.Compare(a.labels, b.labels), labels.Compare(a.annotations, b.annotations))
}

// sameFiring reports whether a and b are equal as multisets. It sorts both.
func sameFiring(a, b []firing) bool {
	slices.SortStableFunc(a, compareFiring)
	slices.SortStableFunc(b, compareFiring)
	return slices.EqualFunc(a, b, func(x, y firing) bool {
		return labels.Equal(x.labels, y.labels) && labels.Equal(x.annotations, y.annotations)
	})
}

// describeFiring returns a few lines for each alert: one for its labels, one for each annotation.
func describeFiring(alerts []firing) []string {
	out := make([]string, len(alerts))
	for i, a := range alerts {
		out[i] = "labels " + a.labels.String() + "\n"
		a.annotations.Range(func(l labels.Label) {
			out[i] += fmt.Sprintf("  annotation %s: %q\n", l.Name, l.Value)
		})
	}
	return out
}

// sample is one element of a result as the format compares it. A histogram stands in the series notation.
type sample struct {
	labels    labels.Labels
	value     float64
	histogram string
}

// String returns the sample as the format's users write it.
func (s sample) String() string {
	if s.histogram != "" {
		return s.labels.String() + " " + s.histogram
	}
	return s.labels.String() + " " + strconv.FormatFloat(s.value, 'g', -1, 64)
}

// samples returns what a test expects, parsed.
func (t *exprTest) samples(c *plan.Compiler) ([]sample, error) {
	all := make([]sample, 0, len(t.Expected))
	for i, e := range t.Expected {
		ls, err := c.Parser().ParseMetric(e.Labels)
		if err != nil {
			return nil, fmt.Errorf("exp_samples[%d]: labels %q: %w", i, e.Labels, err)
		}
		h, err := parseHistogram(c, e.Histogram)
		if err != nil {
			return nil, fmt.Errorf("exp_samples[%d]: histogram %q: %w", i, e.Histogram, err)
		}
		all = append(all, sample{ls, e.Value, h})
	}
	return all, nil
}

// parseHistogram returns the canonical text of the histogram that s, in the series notation, describes.
func parseHistogram(c *plan.Compiler, s string) (string, error) {
	if s == "" {
		return "", nil
	}
	_, values, err := c.Parser().ParseSeriesDesc("{} " + s)
	switch {
	case err != nil:
		return "", err
	case len(values) != 1:
		return "", fmt.Errorf("describes %d values; one is expected", len(values))
	case values[0].Histogram == nil:
		return "", fmt.Errorf("describes the number %v; write it as value", values[0].Value)
	}
	return histogramText(values[0].Histogram), nil
}

// histogramText is the form in which histograms are compared and shown.
func histogramText(h *histogram.FloatHistogram) string { return promqltest.HistogramTestExpression(h) }

// fromVector returns the samples of v.
func fromVector(v promql.Vector) []sample {
	all := make([]sample, 0, len(v))
	for _, s := range v {
		all = append(all, sample{s.Metric, s.F, histogramText(s.H)})
	}
	return all
}

// sameSamples reports whether two results are equal regardless of order. It sorts both. As in promtool, NaN equals
// nothing, not even NaN; with fuzzy, two neighbouring floats are equal.
func sameSamples(a, b []sample, fuzzy bool) bool {
	for _, s := range [][]sample{a, b} {
		slices.SortStableFunc(s, func(x, y sample) int { return labels.Compare(x.labels, y.labels) })
	}
	return slices.EqualFunc(a, b, func(x, y sample) bool {
		return labels.Equal(x.labels, y.labels) && x.histogram == y.histogram && sameValue(x.value, y.value, fuzzy)
	})
}

func sameValue(x, y float64, fuzzy bool) bool {
	return x == y || fuzzy && (math.Nextafter(x, math.Inf(-1)) == y || math.Nextafter(x, math.Inf(1)) == y)
}

// describeSamples returns one line a sample.
func describeSamples(samples []sample) []string {
	out := make([]string, len(samples))
	for i, s := range samples {
		out[i] = s.String()
	}
	return out
}

// hasNaN reports whether one of the samples can equal nothing.
func hasNaN(samples []sample) bool {
	return slices.ContainsFunc(samples, func(s sample) bool { return math.IsNaN(s.value) })
}
