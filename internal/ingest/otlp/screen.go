package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// labelFactor times DecompressedSize is how many bytes a request's labels may take once written out. The attributes of
// one resource can become labels of each of its data points, those of one data point labels of each of its buckets.
const labelFactor = 32

// refuseDelta removes metrics of delta temporality from md and returns how many data points they had.
func refuseDelta(md pmetric.Metrics, refused *body.Refusals) int {
	n := 0
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			sm.Metrics().RemoveIf(func(m pmetric.Metric) bool {
				if temporality(m) != pmetric.AggregationTemporalityDelta {
					return false
				}
				points := pointsOf(m)
				refused.Add("delta", points, "metric %q has delta temporality, which is not accepted; set the exporter to cumulative"+
					" (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative)", body.Clip(m.Name(), 200))
				n += points
				return true
			})
		}
	}
	return n
}

func temporality(m pmetric.Metric) pmetric.AggregationTemporality {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		return m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().AggregationTemporality()
	}
	return pmetric.AggregationTemporalityUnspecified
}

func pointsOf(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// measure returns how many data points md has, and an upper bound of the bytes that their labels take written out.
func measure(md pmetric.Metrics) (points int, bytes int64) {
	for _, rm := range md.ResourceMetrics().All() {
		shared := attributeBytes(rm.Resource().Attributes())
		for _, sm := range rm.ScopeMetrics().All() {
			scope := shared + attributeBytes(sm.Scope().Attributes()) + int64(len(sm.Scope().Name())+len(sm.Scope().Version())+len(sm.SchemaUrl()))
			for _, m := range sm.Metrics().All() {
				own := scope + int64(len(m.Name())+len(m.Unit()))
				points += pointsOf(m)
				bytes += metricBytes(m, own)
			}
		}
	}
	return points, bytes
}

// metricBytes sums over m's series; each costs own bytes beside its data point's attributes.
func metricBytes(m pmetric.Metric, own int64) (sum int64) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			sum += own + attributeBytes(p.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			sum += own + attributeBytes(p.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			sum += (own + attributeBytes(p.Attributes())) * int64(p.ExplicitBounds().Len()+3)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			sum += own + attributeBytes(p.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			sum += (own + attributeBytes(p.Attributes())) * int64(p.QuantileValues().Len()+2)
		}
	}
	return sum
}

// attributeBytes is the length of all keys and values of m, nested ones included; numbers count as 20 bytes.
func attributeBytes(m pcommon.Map) (sum int64) {
	for k, v := range m.All() {
		sum += int64(len(k)) + valueBytes(v)
	}
	return sum
}

func valueBytes(v pcommon.Value) (sum int64) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return int64(len(v.Str()))
	case pcommon.ValueTypeBytes:
		return 2 * int64(v.Bytes().Len())
	case pcommon.ValueTypeMap:
		return attributeBytes(v.Map())
	case pcommon.ValueTypeSlice:
		for _, e := range v.Slice().All() {
			sum += valueBytes(e)
		}
		return sum
	}
	return 20
}
