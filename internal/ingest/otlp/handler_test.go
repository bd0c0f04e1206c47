package otlp

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/promslog"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin/tocsin/internal/series"
)

const (
	cumulative = pmetric.AggregationTemporalityCumulative
	delta      = pmetric.AggregationTemporalityDelta
)

var encodings = []encoding{protobuf, jsonText}

// everything has a metric of each kind.
func everything(at time.Time) request {
	return newRequest("service.name", "shop", "service.instance.id", "i1", "host.name", "h1").
		gauge("queue.length", at, 3, "queue", "a b").
		sum("requests", cumulative, at, 5).
		histogram("latency", cumulative, at, "route", "/").
		exponential("size", at).
		summary("old", at)
}

// TestAgainstUpstream wants the same samples stored as upstream's receiver stores, under several otlp sections.
func TestAgainstUpstream(t *testing.T) {
	t.Parallel()
	for name, section := range map[string]string{
		"defaults":     `{}`,
		"promote":      `{promote_resource_attributes: [host.name], keep_identifying_resource_attributes: true}`,
		"promote all":  `{promote_all_resource_attributes: true, ignore_resource_attributes: [service.name]}`,
		"utf8":         `{translation_strategy: NoUTF8EscapingWithSuffixes}`,
		"untranslated": `{translation_strategy: NoTranslation}`,
		"nhcb":         `{convert_histograms_to_nhcb: true, promote_scope_metadata: true}`,
	} {
		for _, e := range encodings {
			t.Run(name+" "+string(e), func(t *testing.T) {
				t.Parallel()
				cfg, err := promconfig.Load("global: {}\notlp: "+section, promslog.NewNopLogger())
				require.NoError(t, err)
				config := func() promconfig.Config { return *cfg }
				ours, theirs := newDB(t), newDB(t)
				raw := everything(start()).encode(t, e)
				w := post(NewHandler(Options{Appendable: ours, Config: config}), string(e), "", raw)
				require.Equal(t, answer{code: http.StatusOK}, read(t, e, w))
				up := remote.NewOTLPWriteHandler(promslog.NewNopLogger(), nil, theirs, config, remote.OTLPOptions{})
				require.Equal(t, http.StatusOK, post(up, string(e), "", raw).Code)
				require.NotEmpty(t, dump(t, ours))
				require.Equal(t, dump(t, theirs), dump(t, ours))
			})
		}
	}
}

func TestGzipAndContentTypeParameters(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	h := NewHandler(Options{Appendable: db})
	at := start()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	_, err := zw.Write(newRequest().gauge("g", at, 1).encode(t, jsonText))
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	require.Equal(t, answer{code: http.StatusOK}, read(t, jsonText, post(h, "application/json; charset=utf-8", "gzip", buf.Bytes())))
	require.Equal(t, fmt.Sprintf("{__name__=\"g\"} %d 1\n", at.UnixMilli()), dump(t, db))
	require.Equal(t, answer{code: http.StatusOK}, read(t, protobuf, post(h, string(protobuf), "identity", nil)), "nothing is a valid request")
}

func TestRefusedBodies(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t), BodySize: 10_000, DecompressedSize: 20_000})
	var bomb bytes.Buffer
	zw := gzip.NewWriter(&bomb)
	_, err := zw.Write(make([]byte, 1<<20))
	require.NoError(t, err)
	require.NoError(t, zw.Close())
	for name, c := range map[string]struct {
		contentType, contentEncoding string
		payload                      []byte
		code                         int
		answers                      encoding
	}{
		"content type":     {"text/plain", "", nil, http.StatusUnsupportedMediaType, protobuf},
		"content encoding": {string(jsonText), "zstd", nil, http.StatusUnsupportedMediaType, jsonText},
		"not gzip":         {string(protobuf), "gzip", []byte("x"), http.StatusBadRequest, protobuf},
		"not protobuf":     {string(protobuf), "", []byte("nonsense"), http.StatusBadRequest, protobuf},
		"not JSON":         {string(jsonText), "", []byte(`{"resourceMetrics": [`), http.StatusBadRequest, jsonText},
		"empty JSON":       {string(jsonText), "", nil, http.StatusBadRequest, jsonText},
		"too large":        {string(jsonText), "", bytes.Repeat([]byte(" "), 10_001), http.StatusRequestEntityTooLarge, jsonText},
		"gzip bomb":        {string(protobuf), "gzip", bomb.Bytes(), http.StatusRequestEntityTooLarge, protobuf},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := read(t, c.answers, post(h, c.contentType, c.contentEncoding, c.payload))
			require.Equal(t, c.code, a.code)
			require.NotEmpty(t, a.message)
		})
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

// TestBombs sends what is small on the wire and would take all memory, all stack or all time.
func TestBombs(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	h := NewHandler(Options{Appendable: newDB(t), DecompressedSize: size})
	tag := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	points := tag(1, tag(2, tag(2, tag(5, bytes.Repeat(tag(1, nil), size/4)))))
	deep := []byte{}
	for range 3000 { // each level copies those inside it, so that more would cost the test more than the receiver
		deep = tag(5, tag(1, deep))
	}
	deep = tag(1, tag(1, tag(1, tag(2, deep))))
	wide := newRequest("service.name", strings.Repeat("x", size/2))
	m := wide.metric("g").SetEmptyGauge()
	for range 2000 {
		m.DataPoints().AppendEmpty().SetTimestamp(pcommon.NewTimestampFromTime(start()))
	}
	for name, c := range map[string]struct {
		e    encoding
		raw  []byte
		code int
	}{
		"data points":           {protobuf, points, http.StatusRequestEntityTooLarge},
		"JSON data points":      {jsonText, []byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[` + strings.Repeat("{},", size/4) + `{}]}}]}]}]}`), http.StatusRequestEntityTooLarge},
		"nested":                {protobuf, deep, http.StatusBadRequest},
		"nested JSON":           {jsonText, []byte(strings.Repeat(`{"arrayValue":{"values":[`, 20_000)), http.StatusBadRequest},
		"one long service.name": {protobuf, wide.encode(t, protobuf), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.LessOrEqual(t, len(c.raw), size)
			require.Equal(t, c.code, read(t, c.e, post(h, string(c.e), "", c.raw)).code)
		})
	}
}

// TestCenturiesOfTargetInfo has two data points so far apart that upstream's translation would make a hundred million
// target_info samples between them.
func TestCenturiesOfTargetInfo(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	h := NewHandler(Options{Appendable: db})
	r := newRequest("service.name", "shop", "host.name", "h1").gauge("a", time.UnixMilli(1), 1).gauge("b", start(), 1)
	begun := time.Now()
	a := send(t, h, protobuf, r)
	require.Equal(t, http.StatusOK, a.code)
	require.Less(t, time.Since(begun), 20*time.Second)
	require.LessOrEqual(t, strings.Count(dump(t, db), "target_info"), maxInfos)
}

func TestPartialSuccess(t *testing.T) {
	t.Parallel()
	for _, e := range encodings {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			reg := prometheus.NewRegistry()
			h := NewHandler(Options{Appendable: limited{db, series.DefaultLimits()}, Registerer: reg})
			at := start()
			require.Equal(t, answer{code: http.StatusOK}, send(t, h, e, newRequest().gauge("late", at.Add(time.Second), 1)))

			a := send(t, h, e, newRequest().
				gauge("good", at, 1).
				gauge("late", at, 1).
				histogram("long", cumulative, at, "attribute", strings.Repeat("y", 9000)).
				sum("delta", delta, at, 1).
				gauge("future", at.Add(time.Hour), 1))
			require.Equal(t, http.StatusOK, a.code)
			require.EqualValues(t, 4, a.rejected, a.message)
			require.Contains(t, a.message, `series "long_sum", label "attribute": 9000 label value bytes, at most 8192 are allowed`)
			require.Contains(t, a.message, `out of order sample for series {__name__="late"}`)
			require.Contains(t, a.message, `metric "delta" has delta temporality`)
			require.Contains(t, a.message, `too far in the future`)
			require.Contains(t, dump(t, db), fmt.Sprintf(`{__name__="good"} %d 1`, at.UnixMilli()))
			require.EqualValues(t, 2, h.Samples())
			for reason, n := range map[string]float64{"over_limit": 1, "out_of_order": 1, "delta": 1, "out_of_bounds": 1} {
				require.Equal(t, n, testutil.ToFloat64(h.metrics.rejected.WithLabelValues(reason)), reason)
			}
		})
	}
}

func TestAllRejected(t *testing.T) {
	t.Parallel()
	for _, e := range encodings {
		h := NewHandler(Options{Appendable: newDB(t)})
		a := send(t, h, e, newRequest("service.name", "shop", "host.name", "h").sum("delta", delta, start(), 1).histogram("d2", delta, start()))
		require.Equal(t, http.StatusBadRequest, a.code)
		require.Contains(t, a.message, "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative")
	}
}

func TestUntranslatableIsCountedByDataPoint(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t)})
	at := start()
	r := newRequest().gauge("good", at, 1).sum("unspecified", pmetric.AggregationTemporalityUnspecified, at, 1)
	coarse := r.exponential("coarse", at).metrics.At(2).ExponentialHistogram()
	coarse.DataPoints().At(0).SetScale(-10)
	coarse.DataPoints().At(0).CopyTo(coarse.DataPoints().AppendEmpty())
	a := send(t, h, protobuf, r)
	require.Equal(t, http.StatusOK, a.code)
	require.EqualValues(t, 3, a.rejected, a.message)
	require.Contains(t, a.message, "Scale must be >=")
	require.Contains(t, a.message, `"unspecified"`)
}

func TestKeepDelta(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	h := NewHandler(Options{Appendable: db, KeepDelta: true})
	at := start()
	r := newRequest().sum("d", delta, at, 5).histogram("dh", delta, at)
	require.Equal(t, answer{code: http.StatusOK}, send(t, h, protobuf, r))
	require.Contains(t, dump(t, db), `{__name__="d_total"}`)
	require.Contains(t, dump(t, db), `{__name__="dh_bucket", le="+Inf"}`)
	// And a late one is still one data point, of however many series.
	r = newRequest().gauge("ok", at, 1).histogram("dh", delta, at.Add(-time.Second))
	require.EqualValues(t, 1, send(t, h, protobuf, r).rejected)
}

func TestInvalidUTF8IsRejected(t *testing.T) {
	t.Parallel()
	h := NewHandler(Options{Appendable: newDB(t)})
	a := send(t, h, protobuf, newRequest().gauge("good", start(), 1).gauge("bad", start(), 1, "a", "\xff"))
	require.Equal(t, http.StatusOK, a.code)
	require.EqualValues(t, 1, a.rejected)
}

func TestTroubleOfHistoryAsksForARetryAndKeepsNothing(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for name, b := range map[string]broken{"append": {appendErr: full}, "commit": {commitErr: full}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b.DB = newDB(t)
			h := NewHandler(Options{Appendable: b})
			w := post(h, string(jsonText), "", newRequest().gauge("ok", start(), 1).gauge("broken", start(), 1).encode(t, jsonText))
			a := read(t, jsonText, w)
			require.Equal(t, http.StatusServiceUnavailable, a.code)
			require.Contains(t, a.message, "no space left on device")
			require.Equal(t, "5", w.Header().Get("Retry-After"))
			require.Empty(t, dump(t, b.DB))
			require.Zero(t, h.Samples())
		})
	}
}

func FuzzProtobuf(f *testing.F) {
	f.Add(everything(start()).encode(f, protobuf))
	f.Add([]byte{})
	fuzz(f, protobuf)
}

func FuzzJSON(f *testing.F) {
	f.Add(everything(start()).encode(f, jsonText))
	f.Add([]byte(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","gauge":{"dataPoints":[{"asInt":"1"}]}}]}]}]}`))
	fuzz(f, jsonText)
}

// fuzz wants a well-formed answer to everything, and never "send again" for what will not get better.
func fuzz(f *testing.F, e encoding) {
	h := NewHandler(Options{Appendable: limited{newDB(f), series.DefaultLimits()}, DecompressedSize: 1 << 16})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := read(t, e, post(h, string(e), "", raw))
		switch a.code {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("%d: %s", a.code, a.message)
		}
		if a.rejected < 0 {
			t.Fatal("negative count of rejected data points")
		}
	})
}
