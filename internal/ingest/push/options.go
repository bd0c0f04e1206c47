// Package push is a Pushgateway: batch jobs and others who cannot be scraped push groups of metrics to it, it keeps the
// groups on disk and states their last values in one tenant's history again and again, as a Prometheus that scrapes a
// Pushgateway would have it. Beyond the Pushgateway's protocol a group can have a time to live.
//
// It must not know how history keeps samples, what rules want of them, or which tenant this is: whoever mounts the
// handler has settled that.
//
// # Protocol
//
// PUT, POST and DELETE on /metrics/job/<job>{/<label>/<value>}, as documented by the Pushgateway
// (https://github.com/prometheus/pushgateway#api). PUT replaces a group, POST replaces the metric families of the same
// names in it, DELETE removes it. A name with the suffix @base64 says that its value is in URL-safe base64, which is
// the only way to write a value that is empty ("=") or that contains a slash. Bodies are text, delimited protobuf or
// OpenMetrics, plain or compressed with gzip or snappy (framed).
//
// A push is taken whole or not at all. It is on disk, synced, before the answer. It is refused with 400 when it cannot
// be parsed, when it has timestamps, when it is inconsistent with itself or with other groups (a metric name of another
// type, the same series in two groups) or when history refuses one of its series for good (labels over the limits); all
// but the first of these set push_failure_time_seconds of the group. Other answers: 200 (pushed), 202 (deleted, or
// nothing there to delete), 404, 405, 413 (over a limit on size), 415, 429 (too many groups or series), 503 (disk or
// history in trouble: push again).
//
// # Series
//
// Series have the labels of the body, overridden by the group's; labels with an empty value are left out, so there is no
// `instance` unless somebody gave one, and two groups that differ only in empty labels cannot both exist. Each group also has push_time_seconds and push_failure_time_seconds, which no body
// can override. Samples bear the time of arrival, and then the time of each restatement. A series that is dropped by a
// PUT or POST, by DELETE or by the end of the time to live gets a staleness marker. Native histograms are taken; where a
// histogram has classic buckets too, both are.
//
// # Time to live
//
// The header `X-Tocsin-TTL: 90s` or the parameter `?ttl=90s` (the header wins) on PUT and POST says how long after this
// push the group goes stale and is forgotten; 0s means never. Without either, Options.TTL holds. It survives restarts.
package push

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Options says how a Gateway works. Only Appendable is required.
type Options struct {
	// Dir is where groups are kept, one file each; it is made if it is not there. Empty: groups live in memory only.
	Dir string
	// Appendable takes the samples. An appender may refuse a sample with a *series.LimitError.
	Appendable storage.AppendableV2
	// Logger is told of what no client can know. Nil: nothing is logged.
	Logger *slog.Logger
	// Registerer gets this gateway's metrics. Nil: they are not exposed.
	Registerer prometheus.Registerer
	// Interval is how often groups are restated. It should be well below the query engine's lookback. Zero: 15 seconds.
	Interval time.Duration
	// TTL is how long after its last push a group goes stale when the push did not say. Zero: never.
	TTL time.Duration
	// BodySize is how many bytes a push may have as sent, DecompressedSize how many once decompressed. Zero or less:
	// body.Limits' defaults (16 and 32 MiB).
	BodySize, DecompressedSize int64
	// MaxGroups is how many groups there may be. Zero: 10,000.
	MaxGroups int
	// MaxSeriesPerPush and MaxSeries are how many series one push, and all groups together, may have. Zero: 100,000 and
	// 1,000,000.
	MaxSeriesPerPush, MaxSeries int
}

func (o Options) withDefaults() Options {
	limits := body.Limits{Encoded: o.BodySize, Decoded: o.DecompressedSize}.WithDefaults()
	o.BodySize, o.DecompressedSize = limits.Encoded, limits.Decoded
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Interval == 0 {
		o.Interval = 15 * time.Second
	}
	if o.MaxGroups == 0 {
		o.MaxGroups = 10_000
	}
	if o.MaxSeriesPerPush == 0 {
		o.MaxSeriesPerPush = 100_000
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = 1_000_000
	}
	return o
}

// Validate returns what is wrong with o, defaults filled in.
func (o Options) Validate() error {
	o = o.withDefaults()
	switch {
	case o.Appendable == nil:
		return errors.New("push: Options.Appendable is required")
	case o.Interval < 0:
		return errors.New("push: Options.Interval is negative")
	case o.TTL < 0:
		return errors.New("push: Options.TTL is negative")
	case o.MaxGroups < 0 || o.MaxSeries < 0 || o.MaxSeriesPerPush < 0:
		return errors.New("push: a maximum in Options is negative")
	}
	return nil
}
