package push

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

func newDB(t testing.TB, opts ...teststorage.Option) *tsdb.DB { return teststorage.New(t, opts...).DB }

func newGateway(t testing.TB, o Options) *Gateway {
	t.Helper()
	if o.Appendable == nil {
		o.Appendable = newDB(t)
	}
	g, err := New(o)
	require.NoError(t, err)
	t.Cleanup(g.Stop)
	return g
}

// do sends a request; headers are pairs.
func do(g *Gateway, method, path, payload string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if payload != "" {
		reader = strings.NewReader(payload)
	}
	r := httptest.NewRequest(method, "http://gateway"+path, reader)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.Handler().ServeHTTP(w, r)
	return w
}

func put(t testing.TB, g *Gateway, path, payload string, headers ...string) {
	t.Helper()
	w := do(g, http.MethodPut, path, payload, headers...)
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Empty(t, w.Body.String())
}

// refused wants a push to be answered with code and a text that contains all of texts.
func refused(t testing.TB, w *httptest.ResponseRecorder, code int, texts ...string) {
	t.Helper()
	require.Equal(t, code, w.Code, w.Body.String())
	for _, text := range texts {
		require.Contains(t, w.Body.String(), text)
	}
}

type point struct {
	t int64
	v string
}

// stored returns the samples of all series but those that each group has of its own, by series.
func stored(t testing.TB, db *tsdb.DB) map[string][]point {
	t.Helper()
	out := map[string][]point{}
	for s, points := range storedAll(t, db) {
		if !strings.Contains(s, pushTime) && !strings.Contains(s, pushFailureTime) {
			out[s] = points
		}
	}
	return out
}

func storedAll(t testing.TB, db *tsdb.DB) map[string][]point {
	t.Helper()
	q, err := db.Querier(0, 1<<62)
	require.NoError(t, err)
	defer q.Close()
	out := map[string][]point{}
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, "__name__", ".+"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for typ := it.Next(); typ != chunkenc.ValNone; typ = it.Next() {
			var p point
			if typ == chunkenc.ValFloat {
				var v float64
				p.t, v = it.At()
				if p.v = fmt.Sprint(v); value.IsStaleNaN(v) {
					p.v = "stale"
				}
			} else {
				var fh *histogram.FloatHistogram
				p.t, fh = it.AtFloatHistogram(nil)
				if p.v = fh.String(); value.IsStaleNaN(fh.Sum) {
					p.v = "stale"
				}
			}
			out[set.At().Labels().String()] = append(out[set.At().Labels().String()], p)
		}
		require.NoError(t, it.Err())
	}
	require.NoError(t, set.Err())
	return out
}

// latest returns the last value of each series that is not stale, but for the gateway's own.
func latest(t testing.TB, db *tsdb.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	for s, points := range stored(t, db) {
		if last := points[len(points)-1]; last.v != "stale" {
			out[s] = last.v
		}
	}
	return out
}

// names returns the series of latest, sorted.
func names(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for s := range m {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// own returns the last value of a group's own metric.
func own(t testing.TB, db *tsdb.DB, name, grouping string) string {
	t.Helper()
	points := storedAll(t, db)[fmt.Sprintf("{__name__=%q, %s}", name, grouping)]
	if len(points) == 0 {
		return "none"
	}
	return points[len(points)-1].v
}

func statusOf(t testing.TB, g *Gateway, labels grouping) GroupStatus {
	t.Helper()
	for _, s := range g.Groups() {
		if keyOf(s.Labels) == keyOf(labels) {
			return s
		}
	}
	require.Fail(t, "no such group", "%v", labels)
	return GroupStatus{}
}

func seconds(t time.Time) string { return fmt.Sprint(float64(t.UnixNano()) / 1e9) }

// limited refuses series over limits, as history does, and fails on command.
type limited struct {
	*tsdb.DB
	limits    series.Limits
	commitErr *error
}

func (l limited) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return limitedAppender{l.DB.AppenderV2(ctx), l}
}

type limitedAppender struct {
	storage.AppenderV2
	l limited
}

func (a limitedAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AOptions) (storage.SeriesRef, error) {
	if err := a.l.limits.Check(ls); err != nil {
		return 0, err
	}
	return a.AppenderV2.Append(ref, ls, st, t, v, h, fh, o)
}

func (a limitedAppender) Commit() error {
	if a.l.commitErr != nil && *a.l.commitErr != nil {
		_ = a.AppenderV2.Rollback()
		return *a.l.commitErr
	}
	return a.AppenderV2.Commit()
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

// sealed makes a group's file of what lies between the first line and the checksum.
func sealed(content []byte) []byte {
	b := append([]byte(fileMagic), content...)
	return binary.BigEndian.AppendUint32(b, castagnoli(b))
}
