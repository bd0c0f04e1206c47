package push

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
)

// TestDocumentedExamples is the command line section of the Pushgateway's documentation.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/some_job", "some_metric 3.14\n").Code)
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/other_job/instance/some_instance",
		"# TYPE another_metric gauge\n# HELP another_metric Just an example.\nanother_metric 2398.283\n# TYPE counted counter\ncounted{label=\"val1\"} 42\n").Code)
	require.Equal(t, map[string]string{
		`{__name__="some_metric", job="some_job"}`:                                      "3.14",
		`{__name__="another_metric", instance="some_instance", job="other_job"}`:        "2398.283",
		`{__name__="counted", instance="some_instance", job="other_job", label="val1"}`: "42",
	}, latest(t, db))
	require.Equal(t, "0", own(t, db, pushFailureTime, `job="some_job"`))

	// Deleting a group leaves alone those that have more labels.
	put(t, g, "/metrics/job/some_job/instance/a", "x 1\n")
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/some_job", "").Code)
	require.NotContains(t, latest(t, db), `{__name__="some_metric", job="some_job"}`)
	require.Contains(t, latest(t, db), `{__name__="x", instance="a", job="some_job"}`)
	require.Equal(t, "stale", own(t, db, pushTime, `job="some_job"`))
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/never_pushed", "").Code)
}

func TestPutReplacesTheGroupAndPostTheFamilies(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	put(t, g, "/metrics/job/j", "a 1\na{x=\"1\"} 2\nb 3\n")
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/j", "a{x=\"2\"} 4\nc 5\n").Code)
	require.Equal(t, map[string]string{
		`{__name__="a", job="j", x="2"}`: "4", `{__name__="b", job="j"}`: "3", `{__name__="c", job="j"}`: "5",
	}, latest(t, db))
	put(t, g, "/metrics/job/j", "b 6\n")
	require.Equal(t, map[string]string{`{__name__="b", job="j"}`: "6"}, latest(t, db))

	before := own(t, db, pushTime, `job="j"`)
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/j", "").Code)
	require.Equal(t, map[string]string{`{__name__="b", job="j"}`: "6"}, latest(t, db), "an empty POST changes nothing but the time")
	require.NotEqual(t, before, own(t, db, pushTime, `job="j"`))
	put(t, g, "/metrics/job/j", "")
	require.Empty(t, latest(t, db), "an empty PUT empties the group")
	require.Len(t, g.Groups(), 1)
}

func TestLabelsOfTheBody(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	put(t, g, "/metrics/job/j/zone/eu/empty@base64/=", "m{job=\"other\",zone=\"us\",instance=\"i\",empty=\"full\",gone=\"\"} 1\n")
	require.Equal(t, []string{`{__name__="m", instance="i", job="j", zone="eu"}`}, names(latest(t, db)))
	// A group with an empty label is another group than one without the label, but has the same series.
	refused(t, do(g, http.MethodPut, "/metrics/job/j/zone/eu", "n 1\n"), http.StatusBadRequest, "labels without a value do not count")
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/j/zone/eu", "").Code)
	require.NotEmpty(t, latest(t, db))
}

func TestOwnMetricsCannotBeOverridden(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	begun := time.Now()
	put(t, g, "/metrics/job/j", "push_time_seconds 5\npush_failure_time_seconds{x=\"y\"} 6\nm 1\n")
	require.Equal(t, []string{`{__name__="m", job="j"}`}, names(latest(t, db)))
	status := g.Groups()[0]
	require.Equal(t, seconds(*status.LastPush), own(t, db, pushTime, `job="j"`))
	require.WithinRange(t, *status.LastPush, begun, time.Now())
	require.True(t, status.LastPushSuccessful)
	require.Nil(t, status.LastFailure)
}

func TestRefusedPushes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		payload string
		texts   []string
		noted   bool // as push_failure_time_seconds
	}{
		"malformed":                {"m{ 1\n", []string{"cannot parse"}, false},
		"no final line feed":       {"m 1", []string{"cannot parse"}, false},
		"a panic upstream":         {"# TYPE a histogram\n{}\n", []string{"cannot parse"}, false},
		"timestamp":                {"ok 1\nm 1 1234\n", []string{"must not have timestamps"}, true},
		"duplicate":                {"m{a=\"1\"} 1\nm{a=\"1\"} 2\n", []string{"was collected before"}, true},
		"duplicate by group label": {"m{job=\"1\"} 1\nm{job=\"2\"} 2\n", []string{"was collected before"}, true},
		"suffix collision":         {"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n# TYPE h_count2 gauge\nh_count2 1\n# TYPE x_count gauge\nx_count 1\n# TYPE x summary\nx_sum 1\n", []string{"collide"}, true},
		"type of another group":    {"# TYPE shared counter\nshared 1\n", []string{`"shared"`, "has type COUNTER but has type GAUGE in another group"}, true},
		"series of another group":  {"stolen{instance=\"i\"} 1\n", []string{`{__name__="stolen", instance="i", job="j"} is in another group already`}, true},
		"label over the limit":     {"ok 1\nm{long_label=\"" + strings.Repeat("x", 9000) + "\"} 1\n", []string{`series "m", label "long_label": 9000 label value bytes, at most 8192`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			g := newGateway(t, Options{Appendable: limited{DB: db, limits: series.DefaultLimits()}})
			put(t, g, "/metrics/job/other", "# TYPE shared gauge\nshared 1\n")
			put(t, g, "/metrics/job/j/instance/i", "# TYPE stolen untyped\nstolen 1\n")
			put(t, g, "/metrics/job/j", "before 1\n")
			was := latest(t, db)
			for _, method := range []string{http.MethodPut, http.MethodPost} {
				refused(t, do(g, method, "/metrics/job/j", c.payload), http.StatusBadRequest, c.texts...)
			}
			require.Equal(t, was, latest(t, db), "nothing of it is kept")
			status := statusOf(t, g, grouping{"job": "j"})
			if !c.noted {
				require.Nil(t, status.LastFailure)
				require.Equal(t, "0", own(t, db, pushFailureTime, `job="j"`))
				return
			}
			require.False(t, status.LastPushSuccessful)
			require.Equal(t, seconds(*status.LastFailure), own(t, db, pushFailureTime, `job="j"`))
			for _, text := range c.texts {
				require.Contains(t, status.Error, text)
			}
		})
	}
}

func TestFirstPushIsRefused(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	refused(t, do(g, http.MethodPut, "/metrics/job/malformed", "m{ 1\n"), http.StatusBadRequest)
	require.Empty(t, g.Groups(), "what cannot be parsed never reaches a group")
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "m 1 1\n"), http.StatusBadRequest)
	status := statusOf(t, g, grouping{"job": "j"})
	require.Nil(t, status.LastPush)
	require.Equal(t, "0", own(t, db, pushTime, `job="j"`))
	require.Equal(t, seconds(*status.LastFailure), own(t, db, pushFailureTime, `job="j"`))
	put(t, g, "/metrics/job/j", "m 1\n")
	require.True(t, statusOf(t, g, grouping{"job": "j"}).LastPushSuccessful)
}

func TestTypeMayChangeWithinItsOnlyGroup(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{})
	put(t, g, "/metrics/job/j", "# TYPE m gauge\nm 1\n")
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/j", "# TYPE m counter\nm 1\n").Code)
	put(t, g, "/metrics/job/k", "# TYPE m counter\nm 1\n")
	refused(t, do(g, http.MethodPost, "/metrics/job/j", "# TYPE m gauge\nm 1\n"), http.StatusBadRequest)
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/k", "").Code)
	put(t, g, "/metrics/job/j", "# TYPE m gauge\nm 1\n")
}

func TestPostThatCollidesWithAnotherFamilyOfItsGroup(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{})
	put(t, g, "/metrics/job/j", "# TYPE h summary\nh_sum 1\nh_count 1\n")
	refused(t, do(g, http.MethodPost, "/metrics/job/j", "# TYPE h_count gauge\nh_count 1\n"), http.StatusBadRequest, "in this group already")
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db, BodySize: 1000, DecompressedSize: 10_000})
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(s))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}
	var framed bytes.Buffer
	w := snappy.NewBufferedWriter(&framed)
	_, err := w.Write([]byte("b 2\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	put(t, g, "/metrics/job/gzip", zip("a 1\n"), "Content-Encoding", "gzip")
	put(t, g, "/metrics/job/snappy", framed.String(), "Content-Encoding", "snappy")
	require.Equal(t, []string{`{__name__="a", job="gzip"}`, `{__name__="b", job="snappy"}`}, names(latest(t, db)))

	refused(t, do(g, http.MethodPut, "/metrics/job/j", "x", "Content-Encoding", "gzip"), http.StatusBadRequest)
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "x", "Content-Encoding", "br"), http.StatusUnsupportedMediaType, "gzip")
	refused(t, do(g, http.MethodPut, "/metrics/job/j", zip(strings.Repeat("x", 10_001)), "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge, "10000 bytes")
	refused(t, do(g, http.MethodPut, "/metrics/job/j", strings.Repeat("x", 1001)), http.StatusRequestEntityTooLarge, "1000 bytes")
	refused(t, do(g, http.MethodPut, "/metrics/job/j", zip(strings.Repeat("a\n", 4000)), "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge, "memory")
}

func TestOtherAnswers(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{})
	refused(t, do(g, http.MethodGet, "/metrics/job/j", ""), http.StatusMethodNotAllowed)
	require.Equal(t, "PUT, POST, DELETE", do(g, http.MethodGet, "/metrics/job/j", "").Header().Get("Allow"))
	refused(t, do(g, http.MethodPut, "/metrics/nonsense", ""), http.StatusNotFound)
	refused(t, do(g, http.MethodPut, "/metrics/job/j/x", ""), http.StatusBadRequest, "odd number")
	refused(t, do(g, http.MethodDelete, "/metrics/job/", ""), http.StatusBadRequest, "job name is required")
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "m 1\n", ttlHeader, "soon"), http.StatusBadRequest, "X-Tocsin-TTL", "90s")
	refused(t, do(g, http.MethodPut, "/metrics/job/j?ttl=-5s", "m 1\n"), http.StatusBadRequest, "parameter ttl")
	g.Stop()
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "m 1\n"), http.StatusServiceUnavailable, "stopping")
}

func TestMaximums(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{MaxGroups: 2, MaxSeriesPerPush: 4, MaxSeries: 8})
	put(t, g, "/metrics/job/a", "a 1\nb 1\nc 1\n")
	refused(t, do(g, http.MethodPut, "/metrics/job/a", "a 1\nb 1\nc 1\nd 1\ne 1\n"), http.StatusRequestEntityTooLarge, "at most 4")
	refused(t, do(g, http.MethodPut, "/metrics/job/b", "a 1\nb 1\n"), http.StatusTooManyRequests, "at most 8")
	put(t, g, "/metrics/job/b", "a 1\n")
	refused(t, do(g, http.MethodPut, "/metrics/job/c", ""), http.StatusTooManyRequests, "at most 2")
	refused(t, do(g, http.MethodPut, "/metrics/job/c", "m 1 1\n"), http.StatusBadRequest, "timestamps")
	require.Len(t, g.Groups(), 2, "a refused push makes no group where there is no room")
	require.Equal(t, http.StatusAccepted, do(g, http.MethodDelete, "/metrics/job/a", "").Code)
	put(t, g, "/metrics/job/c", "a 1\nb 1\n")
}

func TestLongGroupLabelsAreMeasuredInAllSeries(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{DecompressedSize: 10_000})
	refused(t, do(g, http.MethodPut, "/metrics/job/"+strings.Repeat("x", 40_000), strings.Repeat("a 1\n", 10)), http.StatusRequestEntityTooLarge)
}

func TestGroupLabelsOverTheLimitMakeNoGroup(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{Appendable: limited{DB: newDB(t), limits: series.DefaultLimits()}})
	refused(t, do(g, http.MethodPut, "/metrics/job/"+strings.Repeat("x", 9000), "a 1\n"), http.StatusBadRequest, "at most 8192")
	require.Empty(t, g.Groups())
}

func TestTroubleOfHistoryAtAPush(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	var trouble error
	dir := t.TempDir()
	g := newGateway(t, Options{Appendable: limited{DB: db, commitErr: &trouble}, Dir: dir})
	trouble = errors.New("no space left on device")
	w := do(g, http.MethodPut, "/metrics/job/j", "a 1\n")
	refused(t, w, http.StatusServiceUnavailable, "no space left on device", "kept on disk")
	require.Equal(t, "5", w.Header().Get("Retry-After"))
	require.Empty(t, latest(t, db))
	// It is kept, and pushing it again does no harm.
	trouble = nil
	put(t, g, "/metrics/job/j", "a 1\n")
	require.Equal(t, map[string]string{`{__name__="a", job="j"}`: "1"}, latest(t, db))
	require.EqualValues(t, 1, testutil.ToFloat64(g.metrics.commitFailures))
}

func TestSeriesThatSomebodyElseWritesToo(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	put(t, g, "/metrics/job/j", "a 1\n")
	app := db.AppenderV2(t.Context())
	_, err := app.Append(0, g.groups[keyOf(grouping{"job": "j"})].families["a"].entries[0].ls, 0, time.Now().Add(time.Minute).UnixMilli(), 7, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	require.NoError(t, app.Commit())
	put(t, g, "/metrics/job/j", "a 2\nb 1\n")
	require.Equal(t, "1", latest(t, db)[`{__name__="b", job="j"}`])
	require.EqualValues(t, 1, testutil.ToFloat64(g.metrics.refused.WithLabelValues("out_of_order")))
}

func TestManyPushesWithinAMillisecond(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	for i := range 200 {
		put(t, g, "/metrics/job/j", "a "+strings.Repeat("1", 1+i%5)+"\n")
	}
	require.Len(t, stored(t, db)[`{__name__="a", job="j"}`], 200)
}

func TestStartTimestampsAndMetadataReachHistory(t *testing.T) {
	t.Parallel()
	db := newDB(t, func(o *tsdb.Options) { o.EnableMetadataWALRecords = true })
	g := newGateway(t, Options{Appendable: db})
	put(t, g, "/metrics/job/j", "# HELP a Help of a.\n# TYPE a counter\na 1\n")
	e := g.groups[keyOf(grouping{"job": "j"})].families["a"].entries[0]
	require.Equal(t, "Help of a.", e.meta.Help)
	require.EqualValues(t, "counter", e.meta.Type)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	g := newGateway(t, Options{Registerer: reg})
	put(t, g, "/metrics/job/j", "a 1\n")
	do(g, "BREW", "/metrics/job/j", "")
	do(g, http.MethodDelete, "/metrics/job/k", "")
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP tocsin_push_groups Pushed groups.
# TYPE tocsin_push_groups gauge
tocsin_push_groups 1
# HELP tocsin_push_requests_total Requests to the push gateway, by method and HTTP status.
# TYPE tocsin_push_requests_total counter
tocsin_push_requests_total{code="200",method="PUT"} 1
tocsin_push_requests_total{code="202",method="DELETE"} 1
tocsin_push_requests_total{code="405",method="other"} 1
# HELP tocsin_push_series Series of all pushed groups.
# TYPE tocsin_push_series gauge
tocsin_push_series 3
`), "tocsin_push_groups", "tocsin_push_requests_total", "tocsin_push_series"))
	require.EqualValues(t, 3, g.Samples())
}
