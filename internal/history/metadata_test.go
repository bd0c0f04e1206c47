package history

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/stretchr/testify/require"
)

func TestMetadataOfPushedMetrics(t *testing.T) {
	s := open(t, Options{MaxMetadata: 4})
	requests := metadata.Metadata{Type: model.MetricTypeCounter, Help: "Requests."}
	latency := metadata.Metadata{Type: model.MetricTypeHistogram, Unit: "seconds", Help: "Latency."}
	now := time.Now().UnixMilli()

	// The family's name is valid during the call only.
	family := []byte("requests_total")
	app := s.AppenderV2(t.Context())
	add := func(name, family string, m metadata.Metadata) {
		_, err := app.Append(0, metric(name), 0, now, 1, nil, nil, storage.AOptions{MetricFamilyName: family, Metadata: m})
		require.NoError(t, err)
	}
	add("requests_total", string(family), requests)
	add("latency_bucket", "", latency)
	add("latency_count", "", latency)
	add("up", "up\xff", metadata.Metadata{Type: model.MetricTypeGauge, Help: "Upstream spells its report samples like this."})
	add("plain", "plain", metadata.Metadata{})
	require.NoError(t, app.Commit())
	copy(family, "overwritten")

	v1 := s.Appender(t.Context())
	ref, err := v1.Append(0, metric("old"), now, 1)
	require.NoError(t, err)
	_, err = v1.UpdateMetadata(ref, metric("old"), requests)
	require.NoError(t, err)
	require.NoError(t, v1.Commit())
	s.Describe("described", latency)
	s.Describe("described", latency)
	s.Describe("described", requests)

	want := map[string][]metadata.Metadata{
		"requests_total": {requests}, "latency": {latency}, "old": {requests}, "described": {latency, requests},
	}
	require.Equal(t, want, s.Metadata())

	// Over the limits: dropped and counted, what is known stays.
	s.Describe("one_too_many", requests)
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.metadataDropped))
	for i := range maxVariants {
		s.Describe("old", metadata.Metadata{Type: model.MetricTypeGauge, Help: strconv.Itoa(i)})
	}
	require.Len(t, s.Metadata()["old"], maxVariants)
	require.Len(t, s.Metadata(), 4)
	require.EqualValues(t, 2, testutil.ToFloat64(s.metrics.metadataDropped))
}

func TestFamilyOf(t *testing.T) {
	for _, c := range []struct {
		name string
		kind model.MetricType
		want string
	}{
		{"a_bucket", model.MetricTypeHistogram, "a"},
		{"a_count", model.MetricTypeSummary, "a"},
		{"a_sum", model.MetricTypeGaugeHistogram, "a"},
		{"a_bucket", model.MetricTypeSummary, "a_bucket"},
		{"a_count", model.MetricTypeGauge, "a_count"},
		{"a_total", model.MetricTypeCounter, "a_total"},
		{"_sum", model.MetricTypeSummary, "_sum"},
	} {
		require.Equal(t, c.want, familyOf(c.name, c.kind), "%s %s", c.name, c.kind)
	}
}
