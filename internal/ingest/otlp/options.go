// Package otlp receives OTLP/HTTP metrics, in protobuf and in JSON, and writes them to one tenant's history, translated
// as Prometheus translates them.
//
// It must not know how history keeps samples, what rules want of them, or which tenant this is: whoever mounts the
// handler has settled that.
//
// The translation is upstream's (storage/remote/otlptranslator/prometheusremotewrite) and follows the `otlp` section of
// the configuration. The receiver around it is our own: upstream's answers 400 and keeps nothing as soon as one data
// point is refused, where OTLP has partial success; it never answers in the request's encoding; and it has no limits
// that hold against a hostile sender. See https://opentelemetry.io/docs/specs/otlp/#otlphttp for the protocol.
package otlp

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Options says how a Handler works. Only Appendable is required.
type Options struct {
	// Appendable takes the samples. An appender may refuse a sample with a *series.LimitError or with one of package
	// storage's errors about time; the request's other data points are kept then.
	Appendable storage.AppendableV2
	// Config returns the running configuration, of which the otlp section is used. Nil: Prometheus's defaults.
	Config func() promconfig.Config
	// Logger is told of what the sender cannot know. Nil: nothing is logged.
	Logger *slog.Logger
	// Registerer gets this handler's metrics. Nil: they are not exposed.
	Registerer prometheus.Registerer
	// BodySize is how many bytes a request may have as sent, DecompressedSize how many once decompressed. Zero or less:
	// body.Limits' defaults (16 and 32 MiB). A request may take eight times DecompressedSize once decoded.
	BodySize, DecompressedSize int64
	// LookbackDelta is the query engine's; target_info gets a sample each half of it. Zero: 5 minutes.
	LookbackDelta time.Duration
	// KeepDelta stores sums and histograms of delta temporality as they are, with an unknown type, instead of refusing
	// them, as Prometheus does with its feature otlp-native-delta-ingestion.
	KeepDelta bool
	// MaxAhead is how far in the future a data point may lie. Zero: 10 minutes, as in Prometheus.
	MaxAhead time.Duration
	// RetryAfter is how long a sender is asked to wait when history is in trouble. Zero: 5 seconds.
	RetryAfter time.Duration
	// Now is the clock that MaxAhead is measured with. Nil: time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	limits := body.Limits{Encoded: o.BodySize, Decoded: o.DecompressedSize}.WithDefaults()
	o.BodySize, o.DecompressedSize = limits.Encoded, limits.Decoded
	if o.Config == nil {
		o.Config = func() promconfig.Config { return promconfig.DefaultConfig }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LookbackDelta <= 0 {
		o.LookbackDelta = 5 * time.Minute
	}
	if o.MaxAhead <= 0 {
		o.MaxAhead = 10 * time.Minute
	}
	if o.RetryAfter <= 0 {
		o.RetryAfter = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
