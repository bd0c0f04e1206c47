package remotewrite

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

func now() int64 { return time.Now().UnixMilli() }

func TestOverLimitIsNamedAndTheRestKept(t *testing.T) {
	t.Parallel()
	for _, version := range []string{typeV1, typeV2} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			reg := prometheus.NewRegistry()
			h := NewHandler(Options{Appendable: limited{db, series.DefaultLimits()}, Registerer: reg})
			ts, long := now(), strings.Repeat("y", 9000)
			raw := rawV1(t, seriesV1([]prompb.Sample{{Timestamp: ts, Value: 1}}, "__name__", "m", "long_label", long),
				seriesV1([]prompb.Sample{{Timestamp: ts, Value: 1}}, "__name__", "ok"))
			if version == typeV2 {
				one := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: ts, Value: 1}}}
				raw = newV2().add(one, "__name__", "m", "long_label", long).add(one, "__name__", "ok").raw(t)
			}
			w := post(h, version, raw)
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Equal(t, "series \"m\", label \"long_label\": 9000 label value bytes, at most 8192 are allowed\n", w.Body.String())
			require.Equal(t, dumpLine("ok", ts, 1), dump(t, db))
			require.EqualValues(t, 1, h.Samples())
			require.EqualValues(t, 1, testutil.ToFloat64(h.metrics.rejected.WithLabelValues("over_limit")))
			require.EqualValues(t, 1, testutil.ToFloat64(h.metrics.written.WithLabelValues("sample")))
			if version == typeV2 {
				require.Equal(t, "1", w.Header().Get(samplesWritten))
				require.Equal(t, "0", w.Header().Get(histogramsWritten))
				require.Equal(t, "0", w.Header().Get(exemplarsWritten))
			}
		})
	}
}

func TestManyRefusalsAreSummedUp(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t)})
	var all []prompb.TimeSeries
	for i := range 1000 {
		all = append(all, seriesV1([]prompb.Sample{{Timestamp: now(), Value: 1}}, "n", fmt.Sprint(i)))
	}
	w := post(h, typeV1, rawV1(t, all...))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "and 990 more")
	require.Less(t, w.Body.Len(), 10_000)
}

func TestTroubleOfHistoryAsksForARetryAndKeepsNothing(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	ok := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: now(), Value: 1}}}
	raw := newV2().add(ok, "__name__", "ok").add(ok, "__name__", "broken").raw(t)
	for name, b := range map[string]broken{"append": {appendErr: full}, "commit": {commitErr: full}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rolledBack := 0
			b.DB, b.rolledBack = newDB(t), &rolledBack
			h := NewHandler(Options{Appendable: b})
			w := post(h, typeV2, raw)
			require.Equal(t, http.StatusInternalServerError, w.Code)
			require.Contains(t, w.Body.String(), "no space left on device")
			require.Equal(t, "0", w.Header().Get(samplesWritten))
			require.Empty(t, dump(t, b.DB))
			require.Zero(t, h.Samples())
			if name == "append" {
				require.Equal(t, 1, rolledBack)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t), BodySize: 1000, DecompressedSize: 5000})
	large := rawV1(t, seriesV1([]prompb.Sample{{Timestamp: now(), Value: 1}}, "__name__", "a", "b", strings.Repeat("x", 6000)))
	w := post(h, typeV1, large)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), "over the limit of 5000 bytes")

	w = postEncoded(h, typeV2, "snappy", bytes.Repeat([]byte{0}, 1001))
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Contains(t, w.Body.String(), "over the limit of 1000 bytes")
	require.Equal(t, "0", w.Header().Get(samplesWritten))
}

// TestBombs sends what is small on the wire, within all limits on bytes, and huge in memory.
func TestBombs(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t), DecompressedSize: 1 << 20})
	histograms := prompb.TimeSeries{Labels: []prompb.Label{{Name: "__name__", Value: "a"}}, Histograms: make([]prompb.Histogram, 200_000)}
	empty := bytes.Repeat([]byte{0x0a, 0x00}, 500_000)
	b := newV2()
	long := strings.Repeat("x", 500_000)
	for range 1000 {
		b.add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: 1}}}, "__name__", long)
	}
	for name, c := range map[string]struct {
		contentType string
		raw         []byte
	}{
		"histograms":       {typeV1, rawV1(t, histograms)},
		"empty series":     {typeV1, empty},
		"repeated symbols": {typeV2, b.raw(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Less(t, len(c.raw), 1<<20)
			w := post(h, c.contentType, c.raw)
			require.Equal(t, http.StatusRequestEntityTooLarge, w.Code, w.Body.String())
		})
	}
}

func TestOnlyPost(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t)})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/write", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := NewHandler(Options{Appendable: newDB(t), Registerer: reg})
	post(h, typeV1, nil)
	post(h, typeV2, []byte("nonsense"))
	post(h, "text/plain", nil)
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tocsin_remote_write_requests_total Remote write requests received, by protocol version and HTTP status.
# TYPE tocsin_remote_write_requests_total counter
tocsin_remote_write_requests_total{code="204",version="1.0"} 1
tocsin_remote_write_requests_total{code="400",version="2.0"} 1
tocsin_remote_write_requests_total{code="415",version="unknown"} 1
`), "tocsin_remote_write_requests_total"))
}

func TestMetadataAndStartTimestampsReachHistory(t *testing.T) {
	t.Parallel()
	db := newDB(t, func(o *tsdb.Options) { o.EnableSTAsZeroSample = true })
	ts := now()
	described := map[string]metadata.Metadata{}
	h := NewHandler(Options{Appendable: db, Describe: func(family string, m metadata.Metadata) { described[family] = m }})
	w := post(h, typeV2, newV2().add(writev2.TimeSeries{
		Samples: []writev2.Sample{{Timestamp: ts, StartTimestamp: ts - 1000, Value: 5}},
	}, "__name__", "c_total").raw(t))
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, dumpLine("c_total", ts-1000, 0)+dumpLine("c_total", ts, 5), dump(t, db))

	raw, err := (&prompb.WriteRequest{Metadata: []prompb.MetricMetadata{
		{Type: prompb.MetricMetadata_GAUGEHISTOGRAM, MetricFamilyName: "g", Help: "Some help.", Unit: "seconds"},
	}}).Marshal()
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, post(h, typeV1, raw).Code)
	require.Equal(t, map[string]metadata.Metadata{
		"g": {Type: model.MetricTypeGaugeHistogram, Help: "Some help.", Unit: "seconds"},
	}, described)
}

func TestV2MetadataReachesHistory(t *testing.T) {
	t.Parallel()
	var got []metadata.Metadata
	h := NewHandler(Options{Appendable: spy{broken{DB: newDB(t)}, &got}})
	b := newV2()
	ts := writev2.TimeSeries{
		Samples:  []writev2.Sample{{Timestamp: now(), Value: 5}},
		Metadata: writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_COUNTER, HelpRef: b.symbols.Symbolize("Help."), UnitRef: b.symbols.Symbolize("bytes")},
	}
	require.Equal(t, http.StatusNoContent, post(h, typeV2, b.add(ts, "__name__", "c_total").raw(t)).Code)
	require.Equal(t, []metadata.Metadata{{Type: model.MetricTypeCounter, Help: "Help.", Unit: "bytes"}}, got)
}

func TestPanicInHistoryIsRolledBack(t *testing.T) {
	t.Parallel()
	rolledBack := 0
	h := NewHandler(Options{Appendable: panicking{broken{DB: newDB(t), rolledBack: &rolledBack}}})
	raw := rawV1(t, seriesV1([]prompb.Sample{{Timestamp: now(), Value: 1}}, "__name__", "a"))
	require.Panics(t, func() { post(h, typeV1, raw) })
	require.Equal(t, 1, rolledBack)
}

func FuzzV1(f *testing.F) {
	f.Add(rawV1(f, seriesV1([]prompb.Sample{{Timestamp: 1000, Value: 1}}, "__name__", "a")))
	f.Add(rawV1(f, prompb.TimeSeries{Histograms: []prompb.Histogram{prompb.FromIntHistogram(1000, &histogram.Histogram{Schema: 20, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}})}}))
	fuzz(f, typeV1)
}

func FuzzV2(f *testing.F) {
	f.Add(newV2().add(writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: 1000, Value: 1}}}, "__name__", "a").raw(f))
	f.Add(withExemplar(newV2(), writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: 1000}}}, 1000, "__name__", "a").raw(f))
	f.Add(newV2().add(writev2.TimeSeries{Histograms: []writev2.Histogram{writev2.FromIntHistogram(1, 1000, &histogram.Histogram{Schema: 9, PositiveSpans: []histogram.Span{{Offset: 1, Length: 2}}, PositiveBuckets: []int64{1}})}}, "__name__", "a").raw(f))
	fuzz(f, typeV2)
}

// fuzz wants an answer to everything, and never "send again" for what will not get better.
func fuzz(f *testing.F, contentType string) {
	db := newDB(f)
	h := NewHandler(Options{Appendable: limited{db, series.DefaultLimits()}, DecompressedSize: 1 << 16})
	f.Fuzz(func(t *testing.T, raw []byte) {
		w := postEncoded(h, contentType, "snappy", snappy.Encode(nil, raw))
		switch w.Code {
		case http.StatusNoContent, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
		postEncoded(h, contentType, "snappy", raw)
		if q, err := db.Querier(0, 1); err == nil { // the database still answers
			_, _, err = q.LabelNames(t.Context(), nil, labels.MustNewMatcher(labels.MatchEqual, "__name__", "a"))
			require.NoError(t, err)
			require.NoError(t, q.Close())
		}
	})
}
