package web

import (
	"math"
	"net/http"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"
)

// TestFederate reads the answer as a scraping Prometheus would, in text and in protobuf.
func TestFederate(t *testing.T) {
	now := fixtureNow()
	s := newServer(t, func(_ *Options, m *Tenant) {
		m.Config = func() promconfig.Config {
			return promconfig.Config{GlobalConfig: promconfig.GlobalConfig{ExternalLabels: labels.FromStrings("site", "fra", "job", "outer")}}
		}
		app := m.History.DB().Appender(t.Context())
		add := func(at time.Time, v float64, name string) {
			_, err := app.Append(0, labels.FromStrings("__name__", name), at.UnixMilli(), v)
			require.NoError(t, err)
		}
		add(now.Add(-time.Minute), 7, "stale")
		add(now.Add(-time.Second), math.Float64frombits(value.StaleNaN), "stale")
		add(now.Add(-6*time.Minute), 7, "old")
		add(now.Add(-2*time.Minute), 6, "plain")
		add(now.Add(-time.Minute), 8, "plain")
		h := &histogram.Histogram{Count: 3, Sum: 6, Schema: 1, PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, 1}}
		_, err := app.AppendHistogram(0, labels.FromStrings("__name__", "native"), now.UnixMilli(), h, nil)
		require.NoError(t, err)
		custom := &histogram.Histogram{Count: 3, Sum: 6, Schema: histogram.CustomBucketsSchema, CustomValues: []float64{1, 2, 5},
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 1}, {Offset: 1, Length: 2}}, PositiveBuckets: []int64{1, 0, 0}}
		_, err = app.AppendHistogram(0, labels.FromStrings("__name__", "classic"), now.UnixMilli(), custom, nil)
		require.NoError(t, err)
		require.NoError(t, app.Commit())
	})
	code, body := get(t, s, `/federate?match[]=plain&match[]={__name__=~"stale|old|native|classic"}&match[]=up{instance="db-1:9100"}`)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, `# TYPE classic histogram
classic_bucket{job="outer",site="fra",instance="",le="1"} 1 1773480413000
classic_bucket{job="outer",site="fra",instance="",le="2"} 1 1773480413000
classic_bucket{job="outer",site="fra",instance="",le="5"} 2 1773480413000
classic_bucket{job="outer",site="fra",instance="",le="+Inf"} 3 1773480413000
classic_sum{job="outer",site="fra",instance=""} 6 1773480413000
classic_count{job="outer",site="fra",instance=""} 3 1773480413000
# TYPE plain untyped
plain{job="outer",site="fra",instance=""} 8 1773480353000
# TYPE up untyped
up{instance="db-1:9100",job="node",site="fra"} 1 1773480413000
`, body)

	r := ask(t, s, http.MethodGet, "/federate?match[]=native", "", "Accept: "+string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	decoder := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header))
	var family dto.MetricFamily
	require.NoError(t, decoder.Decode(&family))
	h := family.Metric[0].Histogram
	require.Equal(t, 3.0, h.GetSampleCountFloat())
	require.Equal(t, []float64{1, 2}, h.PositiveCount)
	require.EqualValues(t, 1, h.GetSchema())

	code, body = get(t, s, "/federate")
	require.Equal(t, http.StatusOK, code)
	require.Empty(t, body)
	code, _ = get(t, s, "/federate?match[]={")
	require.Equal(t, http.StatusBadRequest, code)
}
