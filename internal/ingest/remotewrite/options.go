// Package remotewrite receives Prometheus remote write, versions 1.0 and 2.0, over HTTP and writes it to one tenant's
// history.
//
// It must not know how history keeps samples, what rules want of them, or which tenant this is: whoever mounts the
// handler has settled that.
//
// Why a receiver of our own, over upstream's message types and content negotiation, instead of upstream's handler:
// upstream rolls a whole 1.0 request back for one late sample and skips series with invalid labels in silence, it has
// no limits on labels, and its limit on the body is a constant. The specifications (prometheus.io/docs/specs/prw/) want
// valid samples kept and a 400 for the others. Where the two agree, a differential test holds this receiver to
// upstream's answers and to upstream's stored samples.
package remotewrite

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Options says how a Handler works. Only Appendable is required.
type Options struct {
	// Appendable takes the samples. An appender may refuse a sample with a *series.LimitError or with one of package
	// storage's errors about time; the request's other samples are kept then. Where it is also a storage.Appendable,
	// exemplars that come without a sample (Prometheus sends them like that) are written through it; where it is not,
	// they are dropped and counted.
	Appendable storage.AppendableV2
	// Describe is told the metadata that 1.0 senders send apart from samples. Nil: it is dropped.
	Describe func(family string, m metadata.Metadata)
	// Logger is told of what the sender cannot know. Nil: nothing is logged.
	Logger *slog.Logger
	// Registerer gets this handler's metrics. Nil: they are not exposed.
	Registerer prometheus.Registerer
	// BodySize is how many bytes a request may have as sent, DecompressedSize how many once decompressed. Zero or less:
	// body.Limits' defaults (16 and 32 MiB). A request may take eight times DecompressedSize once decoded.
	BodySize, DecompressedSize int64
	// MaxAhead is how far in the future a sample may lie. Zero: 10 minutes, as in Prometheus.
	MaxAhead time.Duration
	// Now is the clock that MaxAhead is measured with. Nil: time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	limits := body.Limits{Encoded: o.BodySize, Decoded: o.DecompressedSize}.WithDefaults()
	o.BodySize, o.DecompressedSize = limits.Encoded, limits.Decoded
	if o.Describe == nil {
		o.Describe = func(string, metadata.Metadata) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxAhead <= 0 {
		o.MaxAhead = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
