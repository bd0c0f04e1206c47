package otlp

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// TestSDK lets OpenTelemetry's own SDK export over a socket, compressed, and read the answers.
func TestSDK(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	server := httptest.NewServer(NewHandler(Options{Appendable: db}))
	defer server.Close()
	ctx := context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(server.URL+"/v1/metrics"),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression))
	require.NoError(t, err)
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)),
		sdkmetric.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.String("host.name", "h1"))),
	)
	meter := provider.Meter("test")
	counter, err := meter.Int64Counter("orders", metric.WithUnit("1"))
	require.NoError(t, err)
	counter.Add(ctx, 3, metric.WithAttributes(attribute.String("kind", "book")))
	latency, err := meter.Float64Histogram("latency", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	require.NoError(t, err)
	latency.Record(ctx, 0.5)
	require.NoError(t, provider.ForceFlush(ctx))
	counter.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", "book")))
	require.NoError(t, provider.Shutdown(ctx))

	got := dump(t, db)
	require.Contains(t, got, `{__name__="latency_seconds_bucket", job="shop", le="1"}`)
	require.Regexp(t, `\{__name__="orders_total", job="shop", kind="book"\} \d+ 3\n\{__name__="orders_total", job="shop", kind="book"\} \d+ 4\n`, got)
	require.Contains(t, got, `{__name__="target_info", host_name="h1", job="shop"}`)
}
