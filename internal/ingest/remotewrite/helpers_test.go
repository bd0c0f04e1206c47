package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

const (
	typeV1 = "application/x-protobuf"
	typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// post sends raw, compressed, to h.
func post(h http.Handler, contentType string, raw []byte) *httptest.ResponseRecorder {
	return postEncoded(h, contentType, "snappy", snappy.Encode(nil, raw))
}

func postEncoded(h http.Handler, contentType, encoding string, payload []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(payload))
	r.Header.Set("Content-Type", contentType)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func rawV1(t testing.TB, series ...prompb.TimeSeries) []byte {
	req := &prompb.WriteRequest{Timeseries: series}
	b, err := req.Marshal()
	require.NoError(t, err)
	return b
}

func seriesV1(samples []prompb.Sample, kv ...string) prompb.TimeSeries {
	ts := prompb.TimeSeries{Samples: samples}
	for i := 0; i < len(kv); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: kv[i], Value: kv[i+1]})
	}
	return ts
}

// v2 builds 2.0 requests.
type v2 struct {
	symbols writev2.SymbolsTable
	series  []writev2.TimeSeries
}

func newV2() *v2 { return &v2{symbols: writev2.NewSymbolTable()} }

func (b *v2) add(ts writev2.TimeSeries, kv ...string) *v2 {
	for _, s := range kv {
		ts.LabelsRefs = append(ts.LabelsRefs, b.symbols.Symbolize(s))
	}
	b.series = append(b.series, ts)
	return b
}

func (b *v2) raw(t testing.TB) []byte {
	req := &writev2.Request{Symbols: b.symbols.Symbols(), Timeseries: b.series}
	out, err := req.Marshal()
	require.NoError(t, err)
	return out
}

// dump prints all that db holds, one line a sample, then its exemplars.
func dump(t testing.TB, db *tsdb.DB) string {
	t.Helper()
	var out strings.Builder
	q, err := db.Querier(0, 1<<62)
	require.NoError(t, err)
	defer q.Close()
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*"))
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			switch typ {
			case chunkenc.ValFloat:
				ts, v := it.At()
				fmt.Fprintf(&out, "%s %d %g\n", set.At().Labels(), ts, v)
			case chunkenc.ValHistogram:
				ts, h := it.AtHistogram(nil)
				fmt.Fprintf(&out, "%s %d int %s %v\n", set.At().Labels(), ts, h, h.CustomValues)
			case chunkenc.ValFloatHistogram:
				ts, h := it.AtFloatHistogram(nil)
				fmt.Fprintf(&out, "%s %d float %s %v\n", set.At().Labels(), ts, h, h.CustomValues)
			}
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	for _, e := range exemplars(t, db) {
		fmt.Fprintln(&out, "exemplar", e.Labels, e.Ts, e.Value)
	}
	return out.String()
}

func exemplars(t testing.TB, db *tsdb.DB) []exemplar.Exemplar {
	eq, err := db.ExemplarQuerier(context.Background())
	require.NoError(t, err)
	res, err := eq.Select(0, 1<<62, []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".*")})
	require.NoError(t, err)
	var out []exemplar.Exemplar
	for _, r := range res {
		out = append(out, r.Exemplars...)
	}
	return out
}

func newDB(t testing.TB, opts ...teststorage.Option) *tsdb.DB { return teststorage.New(t, opts...).DB }

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

// broken is a history that cannot append or commit.
type broken struct {
	*tsdb.DB
	appendErr, commitErr error
	rolledBack           *int
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

func (a brokenAppender) Rollback() error {
	*a.b.rolledBack++
	return a.AppenderV2.Rollback()
}

// withExemplar adds a series with one exemplar at ts.
func withExemplar(b *v2, series writev2.TimeSeries, ts int64, kv ...string) *v2 {
	series.Exemplars = []writev2.Exemplar{{
		LabelsRefs: []uint32{b.symbols.Symbolize("trace_id"), b.symbols.Symbolize("abc")}, Value: 7, Timestamp: ts,
	}}
	return b.add(series, kv...)
}

func dumpLine(name string, ts int64, v float64) string {
	return fmt.Sprintf("{__name__=%q} %d %g\n", name, ts, v)
}

func exemplarLine(ts int64) string { return fmt.Sprintf("exemplar {trace_id=\"abc\"} %d 7\n", ts) }

// spy remembers the metadata that reaches history.
type spy struct {
	broken
	got *[]metadata.Metadata
}

func (s spy) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return spyAppender{s.DB.AppenderV2(ctx), s.got}
}

type spyAppender struct {
	storage.AppenderV2
	got *[]metadata.Metadata
}

func (a spyAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	*a.got = append(*a.got, o.Metadata)
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

// panicking is a history with a bug.
type panicking struct{ broken }

func (p panicking) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return panickingAppender{p.broken.AppenderV2(ctx)}
}

type panickingAppender struct{ storage.AppenderV2 }

func (panickingAppender) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram, storage.AOptions) (storage.SeriesRef, error) {
	panic("BUG: for the test")
}
