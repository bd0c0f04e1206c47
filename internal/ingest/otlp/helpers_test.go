package otlp

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin/tocsin/internal/series"
)

// start is in the past by more than any test's spread of timestamps.
func start() time.Time { return time.Now().Add(-time.Minute).Truncate(time.Millisecond) }

// request builds messages: one resource, one scope.
type request struct {
	md      pmetric.Metrics
	metrics pmetric.MetricSlice
}

func newRequest(resource ...string) request {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	setAttributes(rm.Resource().Attributes(), resource)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("scope")
	return request{md, sm.Metrics()}
}

func setAttributes(m pcommon.Map, kv []string) {
	for i := 0; i < len(kv); i += 2 {
		m.PutStr(kv[i], kv[i+1])
	}
}

func (r request) metric(name string) pmetric.Metric {
	m := r.metrics.AppendEmpty()
	m.SetName(name)
	m.SetDescription("Help of " + name + ".")
	return m
}

func (r request) gauge(name string, at time.Time, v float64, kv ...string) request {
	p := r.metric(name).SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetDoubleValue(v)
	setAttributes(p.Attributes(), kv)
	return r
}

func (r request) sum(name string, temporality pmetric.AggregationTemporality, at time.Time, v float64) request {
	s := r.metric(name).SetEmptySum()
	s.SetAggregationTemporality(temporality)
	s.SetIsMonotonic(true)
	p := s.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetStartTimestamp(pcommon.NewTimestampFromTime(at.Add(-time.Second)))
	p.SetDoubleValue(v)
	return r
}

func (r request) histogram(name string, temporality pmetric.AggregationTemporality, at time.Time, kv ...string) request {
	h := r.metric(name).SetEmptyHistogram()
	h.SetAggregationTemporality(temporality)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.ExplicitBounds().FromRaw([]float64{1, 2})
	p.BucketCounts().FromRaw([]uint64{1, 2, 3})
	p.SetCount(6)
	p.SetSum(9)
	setAttributes(p.Attributes(), kv)
	e := p.Exemplars().AppendEmpty()
	e.SetTimestamp(pcommon.NewTimestampFromTime(at))
	e.SetDoubleValue(1.5)
	e.SetTraceID([16]byte{1})
	return r
}

func (r request) exponential(name string, at time.Time) request {
	h := r.metric(name).SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetScale(3)
	p.Positive().BucketCounts().FromRaw([]uint64{1, 0, 2})
	p.SetCount(3)
	p.SetSum(4)
	return r
}

func (r request) summary(name string, at time.Time) request {
	p := r.metric(name).SetEmptySummary().DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.NewTimestampFromTime(at))
	p.SetCount(2)
	p.SetSum(3)
	q := p.QuantileValues().AppendEmpty()
	q.SetQuantile(0.5)
	q.SetValue(1)
	return r
}

func (r request) encode(t testing.TB, e encoding) []byte {
	t.Helper()
	req := pmetricotlp.NewExportRequestFromMetrics(r.md)
	marshal := req.MarshalProto
	if e == jsonText {
		marshal = req.MarshalJSON
	}
	b, err := marshal()
	require.NoError(t, err)
	return b
}

func post(h http.Handler, contentType, contentEncoding string, payload []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/otlp/v1/metrics", bytes.NewReader(payload))
	r.Header.Set("Content-Type", contentType)
	if contentEncoding != "" {
		r.Header.Set("Content-Encoding", contentEncoding)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answer is a decoded response of either kind.
type answer struct {
	code     int
	rejected int64
	message  string
}

func send(t testing.TB, h http.Handler, e encoding, r request) answer {
	t.Helper()
	return read(t, e, post(h, string(e), "", r.encode(t, e)))
}

func read(t testing.TB, e encoding, w *httptest.ResponseRecorder) answer {
	t.Helper()
	require.Equal(t, string(e), w.Header().Get("Content-Type"))
	if w.Code != http.StatusOK {
		var s spb.Status
		unmarshal := proto.Unmarshal
		if e == jsonText {
			unmarshal = protojson.Unmarshal
		}
		require.NoError(t, unmarshal(w.Body.Bytes(), &s), w.Body.String())
		require.NotZero(t, s.GetCode())
		return answer{code: w.Code, message: s.GetMessage()}
	}
	resp := pmetricotlp.NewExportResponse()
	unmarshal := resp.UnmarshalProto
	if e == jsonText {
		unmarshal = resp.UnmarshalJSON
	}
	require.NoError(t, unmarshal(w.Body.Bytes()))
	return answer{w.Code, resp.PartialSuccess().RejectedDataPoints(), resp.PartialSuccess().ErrorMessage()}
}

func newDB(t testing.TB, opts ...teststorage.Option) *tsdb.DB { return teststorage.New(t, opts...).DB }

// dump prints all that db holds, one line a sample, then its exemplars.
func dump(t testing.TB, db *tsdb.DB) string {
	t.Helper()
	var out strings.Builder
	q, err := db.Querier(0, 1<<62)
	require.NoError(t, err)
	defer q.Close()
	all := labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*")
	set := q.Select(context.Background(), true, nil, all)
	for set.Next() {
		it := set.At().Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			if typ == chunkenc.ValFloat {
				ts, v := it.At()
				fmt.Fprintf(&out, "%s %d %g\n", set.At().Labels(), ts, v)
				continue
			}
			ts, h := it.AtFloatHistogram(nil)
			fmt.Fprintf(&out, "%s %d %s %v\n", set.At().Labels(), ts, h, h.CustomValues)
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	eq, err := db.ExemplarQuerier(context.Background())
	require.NoError(t, err)
	res, err := eq.Select(0, 1<<62, []*labels.Matcher{all})
	require.NoError(t, err)
	for _, r := range res {
		fmt.Fprintln(&out, "exemplars", r.SeriesLabels, r.Exemplars)
	}
	return out.String()
}

// limited refuses series over limits, as history does.
type limited struct {
	*tsdb.DB
	limits series.Limits
}

func (l limited) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return limitedAppender{l.DB.AppenderV2(ctx), l.limits}
}

type limitedAppender struct {
	storage.AppenderV2
	limits series.Limits
}

func (l limitedAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if err := l.limits.Check(ls); err != nil {
		return 0, err
	}
	return l.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

// broken is a history that cannot append the metric "broken", or cannot commit.
type broken struct {
	*tsdb.DB
	appendErr, commitErr error
}

func (b broken) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return brokenAppender{b.DB.AppenderV2(ctx), b}
}

type brokenAppender struct {
	storage.AppenderV2
	b broken
}

func (a brokenAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if a.b.appendErr != nil && ls.Get("__name__") == "broken" {
		return 0, a.b.appendErr
	}
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

func (a brokenAppender) Commit() error {
	if a.b.commitErr != nil {
		_ = a.AppenderV2.Rollback()
		return a.b.commitErr
	}
	return a.AppenderV2.Commit()
}
