package push

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/storage"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// The names of the two metrics that each group has of its own.
const (
	pushTime        = "push_time_seconds"
	pushFailureTime = "push_failure_time_seconds"
)

// family is a metric family of one group, ready to be stated. It is not changed once made, but for its entries' refs.
type family struct {
	name string
	typ  dto.MetricType
	help string
	// blob is the family as length-delimited protobuf, grouping labels included: what is kept on disk.
	blob    []byte
	entries []*entry
}

// entry is one series of a group and its last value: a histogram where h or fh is not nil, v otherwise.
type entry struct {
	ls   labels.Labels
	hash uint64
	ref  storage.SeriesRef // a hint for history, 0 where unknown
	st   int64             // Unix milliseconds, 0 where unknown
	v    float64
	h    *histogram.Histogram
	fh   *histogram.FloatHistogram
	// exemplars go with the push only, not with restatements.
	exemplars []exemplar.Exemplar
	meta      metadata.Metadata
}

// build makes a family of mf, which must have the grouping labels already. It uses upstream's protobuf parser, so that
// a family becomes the same series as if Prometheus scraped it.
func build(mf *dto.MetricFamily) (*family, error) {
	var blob bytes.Buffer
	if _, err := protodelim.MarshalTo(&blob, mf); err != nil {
		return nil, fmt.Errorf("metric family %q: %w", mf.GetName(), err)
	}
	f := &family{name: mf.GetName(), typ: mf.GetType(), help: mf.GetHelp(), blob: blob.Bytes()}
	p := textparse.NewProtobufParser(f.blob, false, true, false, false, labels.NewSymbolTable())
	meta := metadata.Metadata{Help: f.help, Unit: mf.GetUnit()}
	for {
		kind, err := p.Next()
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("metric family %q: %w", f.name, err)
		}
		switch kind {
		case textparse.EntryType:
			_, meta.Type = p.Type()
		case textparse.EntrySeries, textparse.EntryHistogram:
			e, err := newEntry(p, kind)
			if err != nil {
				return nil, err
			}
			e.meta = meta
			f.entries = append(f.entries, e)
		}
	}
}

func newEntry(p textparse.Parser, kind textparse.Entry) (*entry, error) {
	e := &entry{st: p.StartTimestamp()}
	p.Labels(&e.ls)
	e.ls = e.ls.WithoutEmpty().Copy() // the parser's strings are the blob's
	e.hash = e.ls.Hash()
	if name, dup := e.ls.HasDuplicateLabelNames(); dup {
		return nil, fmt.Errorf("series %s: label %q stands there twice", body.Clip(e.ls.String(), 300), name)
	}
	if !e.ls.IsValid(model.UTF8Validation) {
		return nil, fmt.Errorf("series %s: invalid metric name or labels", body.Clip(e.ls.String(), 300))
	}
	var err error
	if kind == textparse.EntryHistogram {
		_, _, h, fh := p.Histogram()
		switch {
		case fh != nil:
			e.fh, err = fh.Copy(), fh.Validate()
		case h != nil:
			e.h, err = h.Copy(), h.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", body.Clip(e.ls.String(), 300), err)
		}
	} else {
		_, _, e.v = p.Series()
	}
	for {
		var ex exemplar.Exemplar
		if !p.Exemplar(&ex) {
			break
		}
		ex.Labels = ex.Labels.Copy()
		e.exemplars = append(e.exemplars, ex)
	}
	slices.SortStableFunc(e.exemplars, func(x, y exemplar.Exemplar) int { return cmp.Compare(x.Ts, y.Ts) })
	return e, nil
}

// prepare turns a body into a group's families: with the grouping labels, and without the two that are the gateway's. An
// error is an *invalidPush, or a *body.Error where the push is over a limit on size. It changes fs.
func (o *Options) prepare(fs families, grouping map[string]string) (map[string]*family, error) {
	delete(fs, pushTime)
	delete(fs, pushFailureTime)
	sorted := slices.SortedFunc(maps.Values(fs), func(x, y *dto.MetricFamily) int { return cmp.Compare(x.GetName(), y.GetName()) })
	if err := o.measure(sorted, grouping); err != nil {
		return nil, err
	}
	for _, mf := range sorted {
		for _, m := range mf.GetMetric() {
			if m.TimestampMs != nil {
				return nil, &invalidPush{errors.New("pushed metrics must not have timestamps")}
			}
			group(m, grouping)
		}
		if mf.GetType() == dto.MetricType_GAUGE_HISTOGRAM && slices.ContainsFunc(mf.GetMetric(), func(m *dto.Metric) bool { return m.Histogram == nil }) {
			return nil, &invalidPush{fmt.Errorf("a metric of family %q is no histogram", mf.GetName())}
		}
	}
	// Gathering checks a set of families for consistency.
	gatherer := prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return sorted, nil })}
	if _, err := gatherer.Gather(); err != nil {
		return nil, &invalidPush{err}
	}
	out := make(map[string]*family, len(sorted))
	seen := map[uint64]struct{}{}
	for _, mf := range sorted {
		f, err := build(mf)
		if err != nil {
			return nil, &invalidPush{err}
		}
		for _, e := range f.entries {
			if _, dup := seen[e.hash]; dup {
				return nil, &invalidPush{fmt.Errorf("series %s is pushed twice", body.Clip(e.ls.String(), 300))}
			}
			seen[e.hash] = struct{}{}
		}
		out[f.name] = f
	}
	return out, nil
}

// labelFactor times DecompressedSize is how many bytes a push's labels may take once written out: the grouping labels
// are repeated in each series, a histogram's labels in each bucket.
const labelFactor = 32

// measure refuses a push of too many series, or of too long labels in sum, before they are made.
func (o *Options) measure(sorted []*dto.MetricFamily, grouping map[string]string) error {
	shared := int64(0)
	for name, value := range grouping {
		shared += int64(len(name) + len(value))
	}
	var series, size int64
	for _, mf := range sorted {
		for _, m := range mf.GetMetric() {
			own := shared + int64(len(mf.GetName()))
			for _, l := range m.GetLabel() {
				own += int64(len(l.GetName()) + len(l.GetValue()))
			}
			n := int64(1)
			if h := m.GetHistogram(); h != nil {
				n += int64(len(h.GetBucket())) + 3
			}
			if s := m.GetSummary(); s != nil {
				n += int64(len(s.GetQuantile())) + 1
			}
			series += n
			size += own * n
		}
	}
	if series > int64(o.MaxSeriesPerPush) {
		return body.TooLarge("the push has about %d series, at most %d are allowed", series, o.MaxSeriesPerPush)
	}
	if limit := labelFactor * o.DecompressedSize; size > limit {
		return body.TooLarge("the pushed series' labels take more than %d bytes once written out; push less at a time", limit)
	}
	return nil
}

// group gives m the grouping labels, in place of labels of the same names, and sorts its labels.
func group(m *dto.Metric, grouping map[string]string) {
	m.Label = slices.DeleteFunc(m.Label, func(l *dto.LabelPair) bool {
		_, ok := grouping[l.GetName()]
		return ok
	})
	for name, value := range grouping {
		m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(name), Value: proto.String(value)})
	}
	slices.SortFunc(m.Label, func(x, y *dto.LabelPair) int { return strings.Compare(x.GetName(), y.GetName()) })
}

// timestampFamily makes one of a group's own two families. The zero time is stated as 0: it never happened.
func timestampFamily(name, help string, grouping map[string]string, t time.Time) *family {
	v := 0.0
	if !t.IsZero() {
		v = float64(t.UnixNano()) / 1e9
	}
	m := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(v)}}
	group(m, grouping)
	f, err := build(&dto.MetricFamily{
		Name: proto.String(name), Help: proto.String(help), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{m},
	})
	if err != nil {
		panic("BUG: a group's labels were not checked: " + err.Error())
	}
	return f
}
