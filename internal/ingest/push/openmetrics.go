package push

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// parseOpenMetrics reads OpenMetrics text 1.0 with upstream's parser and folds its series into metric families.
// Families are named as in the older text format, where a counter's has the suffix _total, so that it does not matter in
// which format a group is pushed. OpenMetrics' types that families do not have become their closest kin: info and
// stateset gauges. _created series are left out.
func parseOpenMetrics(raw []byte) (families, error) {
	f := folder{families: families{}, described: map[string]*description{}, metrics: map[string]map[uint64]*dto.Metric{}}
	p := textparse.NewOpenMetricsParser(raw, labels.NewSymbolTable(), textparse.WithOMParserSTSeriesSkipped())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return f.families, nil
		}
		if err != nil {
			return nil, err
		}
		switch entry {
		case textparse.EntryType:
			name, typ := p.Type()
			f.describe(name).typ = typ
		case textparse.EntryHelp:
			name, help := p.Help()
			f.describe(name).help = string(help)
		case textparse.EntryUnit:
			name, unit := p.Unit()
			f.describe(name).unit = string(unit)
		case textparse.EntrySeries:
			if err := f.series(p); err != nil {
				return nil, err
			}
		}
	}
}

type description struct {
	typ        model.MetricType
	help, unit string
}

// folder gathers series into families.
type folder struct {
	families  families
	described map[string]*description
	// metrics finds the metric of a family, by the hash of its labels without name, le and quantile.
	metrics map[string]map[uint64]*dto.Metric
}

func (f *folder) describe(name []byte) *description {
	d, ok := f.described[string(name)]
	if !ok {
		d = &description{typ: model.MetricTypeUnknown}
		f.described[string(name)] = d
	}
	return d
}

// omSuffixes are the suffixes that series of a type may have after their family's name.
func omSuffixes(t model.MetricType) []string {
	switch t {
	case model.MetricTypeCounter:
		return []string{"_total"}
	case model.MetricTypeInfo:
		return []string{"_info"}
	case model.MetricTypeSummary:
		return []string{"_count", "_sum", ""}
	case model.MetricTypeHistogram:
		return []string{"_bucket", "_count", "_sum"}
	case model.MetricTypeGaugeHistogram:
		return []string{"_bucket", "_gcount", "_gsum"}
	}
	return []string{""}
}

// resolve finds the family that a series belongs to, and the suffix that its name has beyond the family's.
func (f *folder) resolve(name string) (family, suffix string, d *description) {
	for _, s := range []string{"", "_total", "_info", "_bucket", "_count", "_sum", "_gcount", "_gsum"} {
		base, ok := strings.CutSuffix(name, s)
		if !ok {
			continue
		}
		d, ok := f.described[base]
		if !ok {
			continue
		}
		for _, allowed := range omSuffixes(d.typ) {
			if s == allowed {
				return base, s, d
			}
		}
	}
	return name, "", &description{typ: model.MetricTypeUnknown}
}

func (f *folder) series(p textparse.Parser) error {
	var ls labels.Labels
	p.Labels(&ls)
	_, ts, v := p.Series()
	family, suffix, d := f.resolve(ls.Get(model.MetricNameLabel))
	if d.typ == model.MetricTypeCounter || d.typ == model.MetricTypeInfo {
		family += suffix
	}
	m := f.metric(family, d, ls)
	if ts != nil {
		m.TimestampMs = proto.Int64(*ts)
	}
	var ex *dto.Exemplar
	var e exemplar.Exemplar
	if p.Exemplar(&e) {
		ex = exemplarProto(e)
	}
	switch d.typ {
	case model.MetricTypeCounter:
		m.Counter = &dto.Counter{Value: proto.Float64(v), Exemplar: ex}
	case model.MetricTypeGauge, model.MetricTypeInfo, model.MetricTypeStateset:
		m.Gauge = &dto.Gauge{Value: proto.Float64(v)}
	case model.MetricTypeSummary:
		return setSummary(m, suffix, v, ls.Get(model.QuantileLabel))
	case model.MetricTypeHistogram, model.MetricTypeGaugeHistogram:
		return setHistogram(m, suffix, v, ls.Get(model.BucketLabel), ex)
	default:
		m.Untyped = &dto.Untyped{Value: proto.Float64(v)}
	}
	return nil
}

// metric returns the metric of family that ls belongs to, a new one where there is none or where, as for simple types,
// each series is a metric of its own: a duplicate must stay one, to be found by the check for consistency.
func (f *folder) metric(family string, d *description, ls labels.Labels) *dto.Metric {
	mf, ok := f.families[family]
	if !ok {
		mf = &dto.MetricFamily{Name: proto.String(family), Type: familyType(d.typ).Enum()}
		if d.help != "" {
			mf.Help = proto.String(d.help)
		}
		if d.unit != "" {
			mf.Unit = proto.String(d.unit)
		}
		f.families[family], f.metrics[family] = mf, map[uint64]*dto.Metric{}
	}
	without := []string{model.MetricNameLabel}
	compound := true
	switch mf.GetType() {
	case dto.MetricType_SUMMARY:
		without = append(without, model.QuantileLabel)
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		without = append(without, model.BucketLabel)
	default:
		compound = false
	}
	own := labels.NewBuilder(ls).Del(without...).Labels()
	if m, ok := f.metrics[family][own.Hash()]; ok && compound {
		return m
	}
	m := &dto.Metric{}
	own.Range(func(l labels.Label) {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(strings.Clone(l.Name)), Value: proto.String(strings.Clone(l.Value))})
	})
	f.metrics[family][own.Hash()] = m
	mf.Metric = append(mf.Metric, m)
	return m
}

func familyType(t model.MetricType) dto.MetricType {
	switch t {
	case model.MetricTypeCounter:
		return dto.MetricType_COUNTER
	case model.MetricTypeGauge, model.MetricTypeInfo, model.MetricTypeStateset:
		return dto.MetricType_GAUGE
	case model.MetricTypeSummary:
		return dto.MetricType_SUMMARY
	case model.MetricTypeHistogram:
		return dto.MetricType_HISTOGRAM
	case model.MetricTypeGaugeHistogram:
		return dto.MetricType_GAUGE_HISTOGRAM
	}
	return dto.MetricType_UNTYPED
}

func setSummary(m *dto.Metric, suffix string, v float64, quantile string) error {
	if m.Summary == nil {
		m.Summary = &dto.Summary{}
	}
	switch suffix {
	case "_count":
		n, err := whole(v)
		m.Summary.SampleCount = proto.Uint64(n)
		return err
	case "_sum":
		m.Summary.SampleSum = proto.Float64(v)
		return nil
	}
	q, err := strconv.ParseFloat(quantile, 64)
	if err != nil {
		return fmt.Errorf("quantile %q of a summary: %w", quantile, err)
	}
	m.Summary.Quantile = append(m.Summary.Quantile, &dto.Quantile{Quantile: proto.Float64(q), Value: proto.Float64(v)})
	return nil
}

func setHistogram(m *dto.Metric, suffix string, v float64, le string, ex *dto.Exemplar) error {
	if m.Histogram == nil {
		m.Histogram = &dto.Histogram{}
	}
	var err error
	switch suffix {
	case "_count", "_gcount":
		var n uint64
		n, err = whole(v)
		m.Histogram.SampleCount = proto.Uint64(n)
	case "_sum", "_gsum":
		m.Histogram.SampleSum = proto.Float64(v)
	default:
		var bound float64
		if bound, err = strconv.ParseFloat(le, 64); err != nil {
			return fmt.Errorf("bucket %q of a histogram: %w", le, err)
		}
		var n uint64
		n, err = whole(v)
		m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{
			UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(n), Exemplar: ex,
		})
	}
	return err
}

// whole converts a count.
func whole(v float64) (uint64, error) {
	if v < 0 || v != math.Trunc(v) || v >= 1<<63 {
		return 0, fmt.Errorf("%v is not a count", v)
	}
	return uint64(v), nil
}

func exemplarProto(e exemplar.Exemplar) *dto.Exemplar {
	out := &dto.Exemplar{Value: proto.Float64(e.Value)}
	e.Labels.Range(func(l labels.Label) {
		out.Label = append(out.Label, &dto.LabelPair{Name: proto.String(strings.Clone(l.Name)), Value: proto.String(strings.Clone(l.Value))})
	})
	if e.HasTs {
		out.Timestamp = timestamppb.New(model.Time(e.Ts).Time())
	}
	return out
}
