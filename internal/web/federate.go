package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// serveFederate is GET /federate: the newest sample of every series that a match[] selects, no older than the lookback,
// as an exposition in the format the client prefers. External labels are added where a series has none of that name.
// Format and rules: https://prometheus.io/docs/prometheus/latest/federation/.
func (s *Server) serveFederate(t *Tenant) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, fmt.Sprintf("error parsing form values: %v", err), http.StatusBadRequest)
			return
		}
		matchers, err := s.options.Compiler.Parser().ParseMetricSelectors(r.Form["match[]"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		samples, warnings, err := newest(r.Context(), t.History, matchers, s.options.Clock(), s.options.LookbackDelta)
		s.metrics.federationWarnings.Add(float64(warnings))
		if err != nil {
			s.metrics.federationErrors.Inc()
			code := http.StatusInternalServerError
			if errors.Is(err, tsdb.ErrNotReady) {
				code = http.StatusServiceUnavailable
			}
			http.Error(w, err.Error(), code)
			return
		}
		format := negotiated(r.Header)
		w.Header().Set("Content-Type", string(format))
		external := t.config().GlobalConfig.ExternalLabels
		if err := expose(expfmt.NewEncoder(w, format), samples, external, carriesHistograms(format)); err != nil {
			s.metrics.federationErrors.Inc()
			s.options.Logger.Warn("a federation answer was cut short", "err", err)
		}
	}
}

// negotiated is the format that the client prefers among those that Prometheus federates in; text where it says nothing.
func negotiated(h http.Header) expfmt.Format {
	return expfmt.NegotiateAccept(h, expfmt.NewFormat(expfmt.TypeProtoDelim), expfmt.NewFormat(expfmt.TypeProtoText),
		expfmt.NewFormat(expfmt.TypeProtoCompact), expfmt.NewFormat(expfmt.TypeTextPlain))
}

// carriesHistograms reports whether the format has native histograms: of all that are negotiated only protobuf has.
func carriesHistograms(f expfmt.Format) bool {
	switch f.FormatType() {
	case expfmt.TypeProtoDelim, expfmt.TypeProtoText, expfmt.TypeProtoCompact:
		return true
	}
	return false
}

// newest returns the last sample in (at-lookback, at] of each selected series that is not stale then, by metric name,
// and how many warnings storage gave.
func newest(ctx context.Context, q storage.Queryable, sets [][]*labels.Matcher, at time.Time, lookback time.Duration,
) (promql.Vector, int, error) {
	mint, maxt := timestamp.FromTime(at.Add(-lookback)), timestamp.FromTime(at)
	querier, err := q.Querier(mint, maxt)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = querier.Close() }() // everything was read by then
	var selected []storage.SeriesSet
	for _, matchers := range sets {
		selected = append(selected, querier.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, matchers...))
	}
	if len(selected) == 0 {
		return nil, 0, nil
	}
	var out promql.Vector
	var it chunkenc.Iterator
	merged := storage.NewMergeSeriesSet(selected, 0, storage.ChainedSeriesMerge)
	for merged.Next() {
		series := merged.At()
		it = series.Iterator(it)
		sample, ok := lastOf(it, mint, maxt)
		if err := it.Err(); err != nil {
			return nil, 0, err
		}
		if ok {
			sample.Metric = series.Labels()
			out = append(out, sample)
		}
	}
	slices.SortStableFunc(out, func(a, b promql.Sample) int {
		return cmp.Compare(a.Metric.Get(model.MetricNameLabel), b.Metric.Get(model.MetricNameLabel))
	})
	return out, len(merged.Warnings()), merged.Err()
}

// lastOf reads it to its last sample within [mint, maxt]; false when there is none or it marks staleness.
func lastOf(it chunkenc.Iterator, mint, maxt int64) (promql.Sample, bool) {
	var last promql.Sample
	found := false
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		t := it.AtT()
		if t > maxt {
			break
		}
		if t < mint {
			continue
		}
		found = true
		if kind == chunkenc.ValFloat {
			_, f := it.At()
			last = promql.Sample{T: t, F: f}
			continue
		}
		_, h := it.AtFloatHistogram(nil)
		last = promql.Sample{T: t, H: h}
	}
	stale := value.IsStaleNaN(last.F) || last.H != nil && value.IsStaleNaN(last.H.Sum)
	return last, found && !stale
}

// family is what two samples must have in common to stand in one metric family.
type family struct {
	name string
	kind dto.MetricType
}

// expose encodes samples, which are sorted by metric name. Native histograms are left out where the format has none.
func expose(enc expfmt.Encoder, samples promql.Vector, external labels.Labels, native bool) error {
	var current *dto.MetricFamily
	var currentKey family
	flush := func() error {
		if current == nil {
			return nil
		}
		return enc.Encode(current)
	}
	for _, s := range samples {
		name := s.Metric.Get(model.MetricNameLabel)
		if name == "" || s.H != nil && !s.H.UsesCustomBuckets() && !native {
			continue
		}
		key := family{name: name, kind: kindOf(s)}
		if current == nil || key != currentKey {
			if err := flush(); err != nil {
				return err
			}
			currentKey = key
			current = &dto.MetricFamily{Name: &key.name, Type: &key.kind}
		}
		current.Metric = append(current.Metric, metricOf(s, external))
	}
	return flush()
}

func kindOf(s promql.Sample) dto.MetricType {
	switch {
	case s.H == nil:
		return dto.MetricType_UNTYPED
	case s.H.CounterResetHint == histogram.GaugeType:
		return dto.MetricType_GAUGE_HISTOGRAM
	}
	return dto.MetricType_HISTOGRAM
}

func metricOf(s promql.Sample, external labels.Labels) *dto.Metric {
	m := &dto.Metric{TimestampMs: &s.T}
	add := func(name, v string) { m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: &v}) }
	s.Metric.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && l.Value != "" {
			add(l.Name, l.Value)
		}
	})
	external.Range(func(l labels.Label) {
		if !s.Metric.Has(l.Name) {
			add(l.Name, l.Value)
		}
	})
	// Without an instance label of its own, a series must not get the federating server's.
	if !s.Metric.Has(model.InstanceLabel) && !external.Has(model.InstanceLabel) {
		add(model.InstanceLabel, "")
	}
	switch {
	case s.H == nil:
		m.Untyped = &dto.Untyped{Value: &s.F}
	case s.H.UsesCustomBuckets():
		m.Histogram = classicHistogram(s.H)
	default:
		m.Histogram = nativeHistogram(s.H)
	}
	return m
}

func nativeHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: &h.Count, SampleSum: &h.Sum, Schema: &h.Schema,
		ZeroThreshold: &h.ZeroThreshold, ZeroCountFloat: &h.ZeroCount,
		PositiveSpan: spans(h.PositiveSpans), PositiveCount: h.PositiveBuckets,
		NegativeSpan: spans(h.NegativeSpans), NegativeCount: h.NegativeBuckets,
	}
}

func spans(in []histogram.Span) []*dto.BucketSpan {
	out := make([]*dto.BucketSpan, 0, len(in))
	for i := range in {
		out = append(out, &dto.BucketSpan{Offset: &in[i].Offset, Length: &in[i].Length})
	}
	return out
}

// classicHistogram writes a histogram with custom buckets as cumulative buckets; +Inf is the encoder's to add.
func classicHistogram(h *histogram.FloatHistogram) *dto.Histogram {
	counts := make([]float64, len(h.CustomValues)+1)
	for it := h.PositiveBucketIterator(); it.Next(); {
		if b := it.At(); int(b.Index) < len(counts) {
			counts[b.Index] = b.Count
		}
	}
	out := &dto.Histogram{SampleCountFloat: &h.Count, SampleSum: &h.Sum}
	sum := 0.0
	for i := range h.CustomValues {
		sum += counts[i]
		cumulative := sum
		out.Bucket = append(out.Bucket, &dto.Bucket{UpperBound: &h.CustomValues[i], CumulativeCountFloat: &cumulative})
	}
	return out
}
