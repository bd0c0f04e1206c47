package remotewrite

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// weightFactor times DecompressedSize is how much memory a request may take once decoded. Requests of real senders
// stay below six times.
const weightFactor = 8

func sizeOf[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) }

// shapeV1 lists the repeated messages of prometheus.WriteRequest.
func shapeV1() body.Shape {
	return body.Shape{
		1: {Bytes: sizeOf[prompb.TimeSeries](), Message: body.Shape{
			1: {Bytes: sizeOf[prompb.Label]()},
			2: {Bytes: sizeOf[prompb.Sample]()},
			3: {Bytes: sizeOf[prompb.Exemplar](), Message: body.Shape{1: {Bytes: sizeOf[prompb.Label]()}}},
			4: {Bytes: sizeOf[prompb.Histogram](), Message: body.Shape{
				8: {Bytes: sizeOf[prompb.BucketSpan]()}, 11: {Bytes: sizeOf[prompb.BucketSpan]()},
			}},
		}},
		3: {Bytes: sizeOf[prompb.MetricMetadata]()},
	}
}

// weigh refuses a message that would take too much memory once decoded.
func (h *Handler) weigh(raw []byte, shape body.Shape) error {
	limit := weightFactor * h.options.DecompressedSize
	sum, err := body.Weigh(raw, shape, limit)
	if err != nil {
		return err
	}
	if sum > limit {
		return body.TooLarge("the request would take more than %d bytes of memory once decoded; send smaller batches", limit)
	}
	return nil
}

func (h *Handler) writeV1(ctx context.Context, raw []byte) (counts, body.Refusals, error) {
	if err := h.weigh(raw, shapeV1()); err != nil {
		return counts{}, body.Refusals{}, err
	}
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		return counts{}, body.Refusals{}, body.Malformed(fmt.Errorf("decoding prometheus.WriteRequest: %w", err))
	}
	written, refused, err := h.within(ctx, false, func(b *batch) error {
		builder := labels.NewScratchBuilder(0)
		for i := range req.Timeseries {
			if err := b.seriesV1(&req.Timeseries[i], &builder); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return written, refused, err
	}
	for _, m := range req.Metadata {
		h.options.Describe(m.MetricFamilyName, metadata.Metadata{
			Type: model.MetricType(strings.ToLower(m.Type.String())), Unit: m.Unit, Help: m.Help,
		})
	}
	return written, refused, nil
}

func (b *batch) seriesV1(ts *prompb.TimeSeries, builder *labels.ScratchBuilder) error {
	if !b.begin(ts.ToLabels(builder, nil), len(ts.Samples)+len(ts.Histograms)) {
		return nil
	}
	for i := range ts.Exemplars {
		b.carry(ts.Exemplars[i].ToExemplar(builder, nil))
	}
	for _, s := range ts.Samples {
		if err := b.append(0, s.Timestamp, s.Value, nil, nil); err != nil {
			return err
		}
	}
	for i := range ts.Histograms {
		hp := &ts.Histograms[i]
		var err error
		if hp.IsFloatHistogram() {
			err = b.append(0, hp.Timestamp, 0, nil, hp.ToFloatHistogram())
		} else {
			err = b.append(0, hp.Timestamp, 0, hp.ToIntHistogram(), nil)
		}
		if err != nil {
			return err
		}
	}
	b.end()
	return nil
}
