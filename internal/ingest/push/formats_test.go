package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

const (
	typeText        = "text/plain; version=0.0.4"
	typeOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	typeProtobuf    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

// TestGoClient lets Prometheus's own client push over a socket, in each of its formats.
func TestGoClient(t *testing.T) {
	t.Parallel()
	for _, format := range []expfmt.FormatType{expfmt.TypeProtoDelim, expfmt.TypeTextPlain} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			server := httptest.NewServer(newGateway(t, Options{Appendable: db}).Handler())
			defer server.Close()
			reg := prometheus.NewRegistry()
			gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "done", Help: "Done."})
			gauge.Set(7)
			classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Buckets: []float64{1, 2}})
			classic.Observe(1.5)
			native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", NativeHistogramBucketFactor: 1.1})
			native.Observe(1.5)
			reg.MustRegister(gauge, classic, native)
			pusher := push.New(server.URL, "a/b").Gatherer(reg).Grouping("empty", "").Grouping("path", "/var/tmp").Grouping("zone", "eu").
				Format(expfmt.NewFormat(format))
			require.NoError(t, pusher.Push())

			const group = `job="a/b", path="/var/tmp", zone="eu"`
			want := []string{
				`{__name__="classic_bucket", job="a/b", le="+Inf", path="/var/tmp", zone="eu"}`,
				`{__name__="classic_bucket", job="a/b", le="1.0", path="/var/tmp", zone="eu"}`,
				`{__name__="classic_bucket", job="a/b", le="2.0", path="/var/tmp", zone="eu"}`,
				`{__name__="classic_count", ` + group + `}`,
				`{__name__="classic_sum", ` + group + `}`,
				`{__name__="done", ` + group + `}`,
			}
			if format == expfmt.TypeProtoDelim {
				want = append(want, `{__name__="native", `+group+`}`)
				require.Contains(t, latest(t, db)[want[6]], "count:1, sum:1.5")
			} else { // text knows no native histograms
				want = append(want, `{__name__="native_bucket", job="a/b", le="+Inf", path="/var/tmp", zone="eu"}`,
					`{__name__="native_count", `+group+`}`, `{__name__="native_sum", `+group+`}`)
			}
			require.Equal(t, want, names(latest(t, db)))

			require.NoError(t, push.New(server.URL, "a/b").Grouping("empty", "").Grouping("path", "/var/tmp").Grouping("zone", "eu").
				Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "more"}, func() float64 { return 1 })).Add())
			require.Len(t, latest(t, db), len(want)+1)
			require.NoError(t, pusher.Delete())
			require.Empty(t, latest(t, db), "native histograms go stale too")
			require.ErrorContains(t, push.New(server.URL, "j").Collector(timestamped{}).Push(), "must not have timestamps")
		})
	}
}

type timestamped struct{}

func (timestamped) Describe(chan<- *prometheus.Desc) {}

func (timestamped) Collect(ch chan<- prometheus.Metric) {
	m := prometheus.MustNewConstMetric(prometheus.NewDesc("m", "", nil, nil), prometheus.GaugeValue, 1)
	ch <- prometheus.NewMetricWithTimestamp(model.Time(1000).Time(), m)
}

func delimited(t testing.TB, mfs ...*dto.MetricFamily) string {
	var b bytes.Buffer
	for _, mf := range mfs {
		_, err := protodelim.MarshalTo(&b, mf)
		require.NoError(t, err)
	}
	return b.String()
}

func TestNativeHistogramWithClassicBuckets(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "both", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(0.5, prometheus.Labels{"trace_id": "abc"})
	m := &dto.Metric{}
	require.NoError(t, h.Write(m))
	put(t, g, "/metrics/job/j", delimited(t, &dto.MetricFamily{Name: proto.String("both"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{m}}),
		"Content-Type", typeProtobuf)
	require.Equal(t, []string{
		`{__name__="both", job="j"}`, `{__name__="both_bucket", job="j", le="+Inf"}`, `{__name__="both_bucket", job="j", le="1.0"}`,
		`{__name__="both_count", job="j"}`, `{__name__="both_sum", job="j"}`,
	}, names(latest(t, db)))
	eq, err := db.ExemplarQuerier(context.Background())
	require.NoError(t, err)
	exemplars, err := eq.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "job", "j")})
	require.NoError(t, err)
	require.NotEmpty(t, exemplars)
}

func TestBadProtobuf(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{DecompressedSize: 1 << 16})
	gauge := &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(1)}}
	native := &dto.Metric{Histogram: &dto.Histogram{Schema: proto.Int32(3), ZeroThreshold: proto.Float64(0), SampleCount: proto.Uint64(1),
		PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(2)}}, PositiveDelta: []int64{1}}}
	for name, c := range map[string]struct {
		payload string
		code    int
	}{
		"not protobuf":      {"nonsense", http.StatusBadRequest},
		"cut":               {delimited(t, &dto.MetricFamily{Name: proto.String("m"), Metric: []*dto.Metric{gauge}})[:5], http.StatusBadRequest},
		"no name":           {delimited(t, &dto.MetricFamily{Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{gauge}}), http.StatusBadRequest},
		"bad name":          {delimited(t, &dto.MetricFamily{Name: proto.String("a\x00"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{gauge}}), http.StatusBadRequest},
		"wrong kind":        {delimited(t, &dto.MetricFamily{Name: proto.String("m"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{gauge}}), http.StatusBadRequest},
		"no gaugehistogram": {delimited(t, &dto.MetricFamily{Name: proto.String("m"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum(), Metric: []*dto.Metric{gauge}}), http.StatusBadRequest},
		"bad histogram":     {delimited(t, &dto.MetricFamily{Name: proto.String("m"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{native}}), http.StatusBadRequest},
		"reserved label": {delimited(t, &dto.MetricFamily{Name: proto.String("m"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{
			{Gauge: gauge.Gauge, Label: []*dto.LabelPair{{Name: proto.String("__name__"), Value: proto.String("x")}}}}}), http.StatusBadRequest},
		"bomb":           {strings.Repeat("\x02\x22\x00", 20_000), http.StatusRequestEntityTooLarge},
		"empty families": {strings.Repeat("\x00", 1<<16), http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, do(g, http.MethodPut, "/metrics/job/j", c.payload, "Content-Type", typeProtobuf), c.code)
		})
	}
	refused(t, do(g, http.MethodPut, "/metrics/job/j", "", "Content-Type", "application/vnd.google.protobuf"), http.StatusUnsupportedMediaType, "delimited")
}

// TestOpenMetrics is an example of each of OpenMetrics' types.
func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db})
	put(t, g, "/metrics/job/j", `# HELP orders Orders so far.
# TYPE orders counter
orders_total{kind="a"} 5 # {trace_id="x"} 1 1.5
orders_created{kind="a"} 1
orders_total{kind="b"} 6
# TYPE temperature_celsius gauge
# UNIT temperature_celsius celsius
temperature_celsius 21.5
# TYPE latency histogram
latency_bucket{route="/",le="0.5"} 1
latency_bucket{route="/",le="+Inf"} 3 # {trace_id="y"} 7
latency_count{route="/"} 3
latency_sum{route="/"} 9
# TYPE sizes summary
sizes{quantile="0.5"} 10
sizes_count 2
sizes_sum 30
# TYPE queue gaugehistogram
queue_bucket{le="+Inf"} 4
queue_gcount 4
queue_gsum 8
# TYPE build info
build_info{version="1"} 1
# TYPE feature stateset
feature{feature="on"} 1
# TYPE something unknown
something 3
untyped_count 4
# EOF
`, "Content-Type", typeOpenMetrics)
	require.Equal(t, map[string]string{
		`{__name__="orders_total", job="j", kind="a"}`:               "5",
		`{__name__="orders_total", job="j", kind="b"}`:               "6",
		`{__name__="temperature_celsius", job="j"}`:                  "21.5",
		`{__name__="latency_bucket", job="j", le="0.5", route="/"}`:  "1",
		`{__name__="latency_bucket", job="j", le="+Inf", route="/"}`: "3",
		`{__name__="latency_count", job="j", route="/"}`:             "3",
		`{__name__="latency_sum", job="j", route="/"}`:               "9",
		`{__name__="sizes", job="j", quantile="0.5"}`:                "10",
		`{__name__="sizes_count", job="j"}`:                          "2",
		`{__name__="sizes_sum", job="j"}`:                            "30",
		`{__name__="queue_bucket", job="j", le="+Inf"}`:              "4",
		`{__name__="queue_count", job="j"}`:                          "4",
		`{__name__="queue_sum", job="j"}`:                            "8",
		`{__name__="build_info", job="j", version="1"}`:              "1",
		`{__name__="feature", feature="on", job="j"}`:                "1",
		`{__name__="something", job="j"}`:                            "3",
		`{__name__="untyped_count", job="j"}`:                        "4",
	}, latest(t, db))
	// The same counter pushed as text is the same family.
	require.Equal(t, http.StatusOK, do(g, http.MethodPost, "/metrics/job/j", "# TYPE orders_total counter\norders_total{kind=\"c\"} 7\n").Code)
	require.NotContains(t, latest(t, db), `{__name__="orders_total", job="j", kind="a"}`)

	for _, bad := range []string{"a 1\n", "a 1 5\n# EOF\n", "a{x=\"1\"} 1\na{x=\"1\"} 1\n# EOF\n", "# TYPE h histogram\nh_count 1.5\n# EOF\n", "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n# EOF\n"} {
		refused(t, do(g, http.MethodPut, "/metrics/job/j", bad, "Content-Type", typeOpenMetrics), http.StatusBadRequest)
	}
}

// TestExpositionsBecomeTheSameSeries pushes real expositions and wants the series that upstream's scraper would see.
func TestExpositionsBecomeTheSameSeries(t *testing.T) {
	t.Parallel()
	const root = "../../../../shared/corpora/expositions"
	if _, err := os.Stat(root); err != nil {
		t.Skipf("NOT RUN: the corpus of expositions is not at %s", root)
	}
	pushed := 0
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) == ".tsv" || strings.HasSuffix(path, ".om.txt") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		want, ok := scraped(raw)
		if !ok {
			return nil // with timestamps, or not the older text format
		}
		pushed++
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			fs, err := parseBody(typeText, raw, math.MaxInt64)
			require.NoError(t, err)
			o := Options{}.withDefaults()
			o.MaxSeriesPerPush = math.MaxInt
			families, err := o.prepare(fs, grouping{"job": "pushed"})
			require.NoError(t, err)
			got := map[string]float64{}
			for _, f := range families {
				for _, e := range f.entries {
					got[e.ls.String()] = e.v
				}
			}
			for s, v := range want {
				g, ok := got[s]
				if !ok || g != v && !(math.IsNaN(v) && math.IsNaN(g)) {
					t.Fatalf("%s is %v (%v), want %v", s, g, ok, v)
				}
			}
			for s := range got {
				// Text may leave a histogram's +Inf bucket, count or sum out; they are made then.
				if _, ok := want[s]; !ok {
					require.Regexp(t, `le="\+Inf"|_(sum|count)"`, s)
				}
			}
		})
		return nil
	})
	require.NoError(t, err)
	require.NotZero(t, pushed)
}

// scraped returns the series of a text exposition as upstream's parser sees them, with the job that pushing sets. It
// reports false where the exposition has timestamps or is not text, or where a push has to be refused.
func scraped(raw []byte) (map[string]float64, bool) {
	out := map[string]float64{}
	p := textparse.NewPromParser(raw, labels.NewSymbolTable(), false)
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return out, len(out) > 0
		}
		if err != nil {
			return nil, false
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, ts, v := p.Series()
		var ls labels.Labels
		p.Labels(&ls)
		s := labels.NewBuilder(ls).Set("job", "pushed").Labels().WithoutEmpty().String()
		if _, twice := out[s]; twice || ts != nil {
			return nil, false
		}
		out[s] = v
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("# TYPE m histogram\nm_bucket{le=\"1\"} 1\nm_sum 3\nm_count 2\na{b=\"c\"} NaN\n"))
	f.Add([]byte("# TYPE a histogram\n{}"))
	fuzzBody(f, typeText)
}

func FuzzOpenMetrics(f *testing.F) {
	f.Add([]byte("# TYPE m histogram\nm_bucket{le=\"1\"} 1\nm_sum 3\nm_count 2\n# TYPE c counter\nc_total 1 # {a=\"b\"} 1 1\n# TYPE i info\ni_info 1\n# EOF\n"))
	fuzzBody(f, typeOpenMetrics)
}

func FuzzProtobuf(f *testing.F) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{1}, NativeHistogramBucketFactor: 1.1})
	h.Observe(1)
	m := &dto.Metric{}
	require.NoError(f, h.Write(m))
	f.Add([]byte(delimited(f, &dto.MetricFamily{Name: proto.String("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{m}})))
	fuzzBody(f, typeProtobuf)
}

// fuzzBody wants that what is accepted can be kept and read again, and that nothing else leaves a trace.
func fuzzBody(f *testing.F, contentType string) {
	o := Options{}.withDefaults()
	labels := grouping{"job": "j", "zone": "eu"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		fs, err := parseBody(contentType, raw, 1<<20)
		if err != nil {
			return
		}
		families, err := o.prepare(fs, labels)
		if err != nil {
			return
		}
		p := &pushedGroup{key: keyOf(labels), labels: labels, families: families, lastPush: fromNanos(1)}
		b, err := marshalGroup(p.seal())
		require.NoError(t, err)
		again, err := unmarshalGroup(b)
		require.NoError(t, err)
		require.Equal(t, p.status(), again.seal().status())
		for _, e := range again.all() {
			require.Equal(t, "j", e.ls.Get("job"))
			require.NotEmpty(t, e.ls.Get("__name__"))
		}
	})
}

// TestHintsForText: the two mistakes that people make most when they push by hand.
func TestHintsForText(t *testing.T) {
	t.Parallel()
	g := newGateway(t, Options{Appendable: newDB(t)})
	refused(t, do(g, http.MethodPut, "/metrics/job/a", "m 1"), http.StatusBadRequest, "the last line has to end in a line feed")
	refused(t, do(g, http.MethodPut, "/metrics/job/a", "m 1\r\n"), http.StatusBadRequest, "lines end in CR LF")
	put(t, g, "/metrics/job/a", "m 1\n")
}
