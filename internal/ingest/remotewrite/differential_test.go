package remotewrite

import (
	"maps"
	"math"
	"net/http"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"
)

// step is one request of a scenario.
type step struct {
	contentType string
	raw         []byte
	// encoded replaces raw's snappy block and its Content-Encoding, to send what is no valid block.
	encoded  []byte
	encoding string
	// differs says why our answer or what we store may differ from upstream's; ours is then code and stored.
	differs string
	code    int
	stored  string
}

// TestAgainstUpstream sends the same requests to this receiver and to upstream's, and wants the same status codes, the
// same headers and the same samples in the two databases, but for the differences that a step declares.
func TestAgainstUpstream(t *testing.T) {
	t.Parallel()
	now := time.Now().UnixMilli()
	for name, steps := range scenarios(t, now) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := newDB(t), newDB(t)
			h := NewHandler(Options{Appendable: ours})
			up := remote.NewWriteHandler(promslog.NewNopLogger(), nil, theirs,
				remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false, false)
			for i, s := range steps {
				send := func(h http.Handler) (int, http.Header) {
					if s.encoded != nil {
						w := postEncoded(h, s.contentType, s.encoding, s.encoded)
						return w.Code, w.Header()
					}
					w := post(h, s.contentType, s.raw)
					return w.Code, w.Header()
				}
				gotCode, got := send(h)
				wantCode, want := send(up)
				if s.differs != "" {
					require.Equal(t, s.code, gotCode, "step %d", i)
					require.Equal(t, s.stored, dump(t, ours), "step %d", i)
					require.True(t, gotCode != wantCode || dump(t, ours) != dump(t, theirs), "step %d does not differ any more: %s", i, s.differs)
					return
				}
				require.Equal(t, wantCode, gotCode, "step %d", i)
				for _, header := range []string{samplesWritten, histogramsWritten, exemplarsWritten} {
					require.Equal(t, want.Get(header), got.Get(header), "step %d, %s", i, header)
				}
				require.Equal(t, dump(t, theirs), dump(t, ours), "step %d", i)
			}
		})
	}
}

func scenarios(t *testing.T, now int64) map[string][]step {
	s := scenariosV1(t, now)
	maps.Copy(s, scenariosV2(t, now))
	divergences(t, now, s)
	return s
}

// histograms returns one of each kind: integers, floats, custom buckets, too fine a schema, inconsistent.
func histograms() (ih *histogram.Histogram, fh *histogram.FloatHistogram, custom, fine, bad *histogram.Histogram) {
	ih, fh, custom = tsdbutil.GenerateTestHistogram(3), tsdbutil.GenerateTestFloatHistogram(3), tsdbutil.GenerateTestCustomBucketsHistogram(3)
	fine = tsdbutil.GenerateTestHistogram(2)
	fine.Schema = 9
	bad = tsdbutil.GenerateTestHistogram(3)
	bad.Count = 1
	return ih, fh, custom, fine, bad
}

func scenariosV1(t *testing.T, now int64) map[string][]step {
	at := func(ts int64, v float64) []prompb.Sample { return []prompb.Sample{{Timestamp: ts, Value: v}} }
	v1 := func(series ...prompb.TimeSeries) step { return step{contentType: typeV1, raw: rawV1(t, series...)} }
	ih, fh, custom, fine, bad := histograms()
	a := []string{"__name__", "a", "job", "x"}

	return map[string][]step{
		"v1 samples": {
			v1(seriesV1(at(now, 1), a...), seriesV1([]prompb.Sample{{Timestamp: now, Value: 2}, {Timestamp: now + 1, Value: math.Inf(1)}}, "__name__", "b")),
			v1(seriesV1(at(now, 1), a...)), // the very same again
			v1(seriesV1(at(now+5, 3), a...)),
		},
		"v1 unsorted labels are sorted": {v1(seriesV1(at(now, 1), "z", "1", "__name__", "a"))},
		"v1 utf8 names":                 {v1(seriesV1(at(now, 1), "__name__", "höhe.m", "ort.name", "Köln"))},
		"v1 empty label value":          {v1(seriesV1(at(now, 1), "__name__", "a", "empty", ""))},
		"v1 empty request":              {v1(), {contentType: typeV1, raw: nil}},
		"v1 out of order":               {v1(seriesV1(at(now, 1), a...)), v1(seriesV1(at(now-1, 1), a...))},
		"v1 duplicate":                  {v1(seriesV1(at(now, 1), a...)), v1(seriesV1(at(now, 2), a...))},
		"v1 far future":                 {v1(seriesV1(at(now+3_600_000, 1), a...))},
		"v1 histograms": {v1(
			prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "h"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, ih)}},
			prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "fh"}}, Histograms: []prompb.Histogram{prompb.FromFloatHistogram(now, fh)}},
			prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "nhcb"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, custom)}},
			prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "fine"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, fine)}},
		)},
		"v1 bad histogram": {v1(prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "h"}}, Histograms: []prompb.Histogram{prompb.FromIntHistogram(now, bad)}})},
		"v1 exemplar with its sample": {v1(prompb.TimeSeries{
			Labels: []prompb.Label{{Name: "__name__", Value: "a"}}, Samples: at(now, 1),
			Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "1"}}, Value: 2, Timestamp: now}},
		})},
		"v1 exemplars apart, as Prometheus sends them": {
			v1(seriesV1(at(now, 1), a...), seriesV1(at(now, 1), "__name__", "b"), prompb.TimeSeries{
				Labels:    []prompb.Label{{Name: "__name__", Value: "a"}, {Name: "job", Value: "x"}},
				Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "1"}}, Value: 2, Timestamp: now}},
			}),
			v1(prompb.TimeSeries{ // late, which 1.0 does not report
				Labels:    []prompb.Label{{Name: "__name__", Value: "a"}, {Name: "job", Value: "x"}},
				Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "2"}}, Value: 2, Timestamp: now - 1000}},
			}),
			v1(prompb.TimeSeries{ // of an unknown series
				Labels:    []prompb.Label{{Name: "__name__", Value: "unknown"}},
				Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace_id", Value: "2"}}, Value: 2, Timestamp: now}},
			}),
		},
		"v1 metadata": {{contentType: typeV1, raw: func() []byte {
			b, err := (&prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "a", Help: "h"}}}).Marshal()
			require.NoError(t, err)
			return b
		}()}},
		"content types": {
			{contentType: "text/plain", raw: nil}, {contentType: "application/json", raw: nil}, {contentType: "", raw: nil},
			{contentType: "application/x-protobuf;proto=prometheus.WriteRequest", raw: nil},
			{contentType: "application/x-protobuf;proto=io.prometheus.write.v3.Request", raw: nil},
			{contentType: "application/x-protobuf; proto=io.prometheus.write.v2.Request", raw: nil},
			{contentType: "application/x-protobuf;proto", raw: nil},
		},
		"encodings": {
			{contentType: typeV1, encoding: "gzip", encoded: []byte{}}, {contentType: typeV2, encoding: "zstd", encoded: []byte{}},
		},
		"not snappy":   {{contentType: typeV1, encoding: "snappy", encoded: []byte("\xff\xff\xff\xff\xff\xff")}},
		"not protobuf": {{contentType: typeV1, raw: []byte("nonsense")}, {contentType: typeV2, raw: []byte("nonsense")}},
	}
}

func scenariosV2(t *testing.T, now int64) map[string][]step {
	at2 := func(ts int64, v float64) []writev2.Sample { return []writev2.Sample{{Timestamp: ts, Value: v}} }
	two := func(b *v2) step { return step{contentType: typeV2, raw: b.raw(t)} }
	ih, fh, custom, _, bad := histograms()
	a := []string{"__name__", "a", "job", "x"}
	return map[string][]step{
		"v2 samples": {
			two(newV2().add(writev2.TimeSeries{Samples: at2(now, 1)}, a...).add(writev2.TimeSeries{Samples: at2(now, 2)}, "__name__", "b")),
			two(newV2().add(writev2.TimeSeries{Samples: at2(now, 1)}, a...)),
		},
		"v2 histograms": {two(newV2().
			add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, now, ih)}}, "__name__", "h").
			add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromFloatHistogram(0, now, fh)}}, "__name__", "fh").
			add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, now, custom)}}, "__name__", "nhcb").
			add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(0, now, bad)}}, "__name__", "bad"))},
		"v2 keeps the good": {
			two(newV2().add(writev2.TimeSeries{Samples: at2(now, 1)}, a...)),
			two(newV2().add(writev2.TimeSeries{Samples: at2(now-1, 1)}, a...). // late
												add(writev2.TimeSeries{Samples: at2(now, 5)}, a...).                                // another value
												add(writev2.TimeSeries{Samples: at2(now, 1)}, "__name__", "ok").                    // good
												add(writev2.TimeSeries{Samples: at2(now, 1)}, "no", "name").                        // nameless
												add(writev2.TimeSeries{Samples: at2(now, 1)}, "__name__", "").                      // empty name
												add(writev2.TimeSeries{Samples: at2(now, 1)}, "__name__", "d", "x", "1", "x", "2"). // twice
												add(writev2.TimeSeries{}, "__name__", "nothing").
												add(writev2.TimeSeries{Samples: at2(now, 1)}, "__name__", "odd", "x").
												add(writev2.TimeSeries{Samples: at2(now+3_600_000, 1)}, "__name__", "future")),
		},
		"v2 bad references": {
			two(newV2().add(writev2.TimeSeries{Samples: at2(now, 1), LabelsRefs: []uint32{1000, 1001}})),
			two(newV2().add(writev2.TimeSeries{Samples: at2(now, 1), Metadata: writev2.Metadata{HelpRef: 77}}, a...)),
		},
		"v2 exemplars": {
			two(withExemplar(newV2(), writev2.TimeSeries{Samples: at2(now, 1)}, now, a...)),
			two(withExemplar(newV2(), writev2.TimeSeries{Samples: at2(now+1, 1)}, now-1000, a...)), // late: 400
			two(withExemplar(newV2(), writev2.TimeSeries{Samples: at2(now+2, 1)}, now+2, a...)),
			two(newV2().add(writev2.TimeSeries{Samples: at2(now+3, 1), Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{99, 100}}}}, a...)),
			two(withExemplar(newV2(), writev2.TimeSeries{Samples: at2(now-50, 1)}, now+4, a...)), // its sample is late
		},
		"v2 start timestamps": {two(newV2().add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: now, StartTimestamp: now - 1000, Value: 1}}}, a...))},
	}
}

// divergences adds the scenarios where this receiver differs from upstream's on purpose.
func divergences(t *testing.T, now int64, s map[string][]step) {
	at := func(ts int64, v float64) []prompb.Sample { return []prompb.Sample{{Timestamp: ts, Value: v}} }
	stored := dumpLine("ok", now, 1)
	late := []prompb.TimeSeries{seriesV1(at(now+10_000_000, 1), "__name__", "future"), seriesV1(at(now, 1), "__name__", "ok")}
	invalid := []prompb.TimeSeries{seriesV1(at(now, 1), "no", "name"), seriesV1(at(now, 1), "__name__", "ok")}
	s["differs: v1 keeps the good"] = []step{{
		contentType: typeV1, raw: rawV1(t, late...), code: http.StatusBadRequest, stored: stored,
		differs: "upstream rolls the whole request back; the specification lets a receiver keep the valid samples, and we do",
	}}
	s["differs: v1 reports invalid labels"] = []step{{
		contentType: typeV1, raw: rawV1(t, invalid...), code: http.StatusBadRequest, stored: stored,
		differs: "upstream skips them and answers 204; the specification wants 400",
	}}
	alone := withExemplar(newV2().add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: now, Value: 1}}}, "__name__", "ok"),
		writev2.TimeSeries{}, now, "__name__", "ok")
	s["differs: v2 exemplars apart, as Prometheus sends them"] = []step{{
		contentType: typeV2, raw: alone.raw(t), code: http.StatusNoContent,
		stored:  stored + exemplarLine(now),
		differs: "upstream refuses what its own sender sends",
	}}
}
