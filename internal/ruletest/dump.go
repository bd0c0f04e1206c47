package ruletest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// dump returns every series of the storage with its samples, a line each.
func (r *caseRun) dump(ctx context.Context) []string {
	start := r.test.start()
	q, err := r.loader.Storage().Querier(start.UnixMilli(), start.Add(r.test.length()+time.Second).UnixMilli())
	if err != nil {
		return []string{fmt.Sprintf("reading the storage: %v", err)}
	}
	defer q.Close()
	out := []string{}
	set := q.Select(ctx, true, nil, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+"))
	for set.Next() {
		out = append(out, dumpSeries(set.At(), start))
	}
	if err := set.Err(); err != nil {
		out = append(out, fmt.Sprintf("reading the storage: %v", err))
	}
	return out
}

// dumpSeries returns a series and its samples, times counted from start.
func dumpSeries(s storage.Series, start time.Time) string {
	samples, err := storage.ExpandSamples(s.Iterator(nil), nil)
	var b strings.Builder
	b.WriteString(s.Labels().String())
	for _, p := range samples {
		var text string
		switch p.Type() {
		case chunkenc.ValFloat:
			text = floatText(p.F())
		case chunkenc.ValFloatHistogram:
			text = histogramText(p.FH())
		case chunkenc.ValHistogram:
			text = histogramText(p.H().ToFloat(nil))
		}
		fmt.Fprintf(&b, " %s@%s", text, model.Duration(time.UnixMilli(p.T()).Sub(start)))
	}
	if err != nil {
		fmt.Fprintf(&b, " (%v)", err)
	}
	return b.String()
}

// floatText is a float as the series notation has it, staleness markers included.
func floatText(f float64) string {
	if value.IsStaleNaN(f) {
		return "stale"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
