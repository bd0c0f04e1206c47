package remotewrite

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// shapeV2 lists the repeated messages and strings of io.prometheus.write.v2.Request.
func shapeV2() body.Shape {
	return body.Shape{
		4: {Bytes: sizeOf[string]()},
		5: {Bytes: sizeOf[writev2.TimeSeries](), Message: body.Shape{
			2: {Bytes: sizeOf[writev2.Sample]()},
			3: {Bytes: sizeOf[writev2.Histogram](), Message: body.Shape{
				8: {Bytes: sizeOf[writev2.BucketSpan]()}, 11: {Bytes: sizeOf[writev2.BucketSpan]()},
			}},
			4: {Bytes: sizeOf[writev2.Exemplar]()},
		}},
	}
}

// labelFactor times DecompressedSize is how many bytes a request's labels may take once written out. Few bytes of
// references can stand for megabytes of the same symbol, again and again.
const labelFactor = 32

func labelBytes(req *writev2.Request) int64 {
	var sum int64
	for i := range req.Timeseries {
		for _, ref := range req.Timeseries[i].LabelsRefs {
			if int(ref) < len(req.Symbols) {
				sum += int64(len(req.Symbols[ref]))
			}
		}
		for j := range req.Timeseries[i].Exemplars {
			for _, ref := range req.Timeseries[i].Exemplars[j].LabelsRefs {
				if int(ref) < len(req.Symbols) {
					sum += int64(len(req.Symbols[ref]))
				}
			}
		}
	}
	return sum
}

func (h *Handler) writeV2(ctx context.Context, raw []byte) (counts, body.Refusals, error) {
	if err := h.weigh(raw, shapeV2()); err != nil {
		return counts{}, body.Refusals{}, err
	}
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		return counts{}, body.Refusals{}, body.Malformed(fmt.Errorf("decoding io.prometheus.write.v2.Request: %w", err))
	}
	if limit := labelFactor * h.options.DecompressedSize; labelBytes(&req) > limit {
		return counts{}, body.Refusals{}, body.TooLarge("the series' labels take more than %d bytes once written out; send smaller batches", limit)
	}
	return h.within(ctx, true, func(b *batch) error {
		builder := labels.NewScratchBuilder(0)
		for i := range req.Timeseries {
			if err := b.seriesV2(&req.Timeseries[i], req.Symbols, &builder); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *batch) seriesV2(ts *writev2.TimeSeries, symbols []string, builder *labels.ScratchBuilder) error {
	n := len(ts.Samples) + len(ts.Histograms)
	ls, err := ts.ToLabels(builder, symbols)
	if err != nil {
		b.refused.Add(body.InvalidLabels, n, "parsing labels for series %v: %s", ts.LabelsRefs, err)
		return nil
	}
	meta, err := ts.ToMetadata(symbols)
	if err != nil {
		b.refused.Add("invalid_metadata", n, "parsing metadata for series %s: %s", ls, err)
		return nil
	}
	if !b.begin(ls, n) {
		return nil
	}
	b.meta = meta
	// The specification wants a sample or a histogram in each series. Prometheus itself sends exemplars alone, though.
	if n == 0 && len(ts.Exemplars) == 0 {
		b.refused.Add("no_samples", 1, "TimeSeries must contain at least one sample or histogram for series %s", ls)
		return nil
	}
	for i := range ts.Exemplars {
		e, err := ts.Exemplars[i].ToExemplar(builder, symbols)
		if err != nil {
			b.refused.Add("exemplar_other", 1, "parsing exemplar for series %s: %s", ls, err)
			continue
		}
		b.carry(e)
	}
	for _, s := range ts.Samples {
		if err := b.append(s.StartTimestamp, s.Timestamp, s.Value, nil, nil); err != nil {
			return err
		}
	}
	for i := range ts.Histograms {
		hp := &ts.Histograms[i]
		if hp.IsFloatHistogram() {
			err = b.append(hp.StartTimestamp, hp.Timestamp, 0, nil, hp.ToFloatHistogram())
		} else {
			err = b.append(hp.StartTimestamp, hp.Timestamp, 0, hp.ToIntHistogram(), nil)
		}
		if err != nil {
			return err
		}
	}
	b.end()
	return nil
}
