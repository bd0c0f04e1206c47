package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/tocsin/tocsin/internal/ingest/body"
	"github.com/tocsin/tocsin/internal/series"
)

// sieve is the appender that the translation writes to. The translation gives a metric up at its first error, so the
// sieve keeps to itself what history refuses for good, and counts it by data point.
type sieve struct {
	app     storage.AppenderV2
	maxTime int64 // Unix milliseconds

	refused body.Refusals
	// bad holds the data points of which history refused something; see pointKey.
	bad map[uint64]struct{}
	// seen counts the data points that got here, samples what history took, delta what refuseDelta removed.
	seen, samples, delta int
	// infos counts target_info samples; see maxInfos.
	infos int
	// trouble is history's first error that deserves a retry. Nothing is written after it.
	trouble error
}

// maxInfos bounds the target_info samples of one request. The translation makes one for each half lookback between a
// resource's first and last data point, and a hostile sender may put these centuries apart.
const maxInfos = 10_000

// errInfo ends the making of a resource's target_info samples. They are not the sender's, who is not told.
var errInfo = errors.New("target_info refused")

const infoHelp = "Target metadata" // what the translation gives its own target_info

// translate runs upstream's translation with s as its appender and returns what it could not translate. An error means
// that the batch must be rolled back.
func (h *Handler) translate(ctx context.Context, md pmetric.Metrics, s *sieve) (failed []error, err error) {
	cfg := h.options.Config().OTLPConfig
	warnings, joined := prometheusremotewrite.NewPrometheusConverter(s).FromMetrics(ctx, md, prometheusremotewrite.Settings{
		AddMetricSuffixes:                    cfg.TranslationStrategy.ShouldAddSuffixes(),
		AllowUTF8:                            !cfg.TranslationStrategy.ShouldEscape(),
		PromoteResourceAttributes:            prometheusremotewrite.NewPromoteResourceAttributes(cfg),
		KeepIdentifyingResourceAttributes:    cfg.KeepIdentifyingResourceAttributes,
		ConvertHistogramsToNHCB:              cfg.ConvertHistogramsToNHCB,
		PromoteScopeMetadata:                 cfg.PromoteScopeMetadata,
		AllowDeltaTemporality:                h.options.KeepDelta,
		LookbackDelta:                        h.options.LookbackDelta,
		LabelNameUnderscoreSanitization:      cfg.LabelNameUnderscoreSanitization,
		LabelNamePreserveMultipleUnderscores: cfg.LabelNamePreserveMultipleUnderscores,
	})
	for category, n := range prometheusremotewrite.CountWarningsByCategory(warnings) {
		h.metrics.warnings.WithLabelValues(string(category)).Add(float64(n))
	}
	if s.trouble != nil {
		return nil, s.trouble
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("the request ended before it was stored: %w", err)
	}
	return flatten(joined), nil
}

// flatten returns the leaves of errors joined and joined again. It does not recurse: upstream joins them one by one,
// each join a level deeper.
func flatten(err error) []error {
	var leaves []error
	for todo := []error{err}; len(todo) > 0; {
		e := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if j, ok := e.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the joins themselves are wanted
			todo = append(todo, j.Unwrap()...)
		} else if e != nil && !errors.Is(e, errInfo) {
			leaves = append(leaves, e)
		}
	}
	return leaves
}

// untranslated notes what failed in translation and returns how many of the points did not get here because of it.
func (s *sieve) untranslated(points int, failed []error) int {
	lost := max(0, points-s.seen)
	for _, err := range failed {
		s.refused.Add("untranslatable", 0, "%s", err)
	}
	if lost > 0 {
		s.refused.Count("untranslatable", lost)
	}
	return lost
}

func (s *sieve) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AppendV2Options,
) (storage.SeriesRef, error) {
	if s.trouble != nil {
		return 0, s.trouble
	}
	info := opts.Metadata.Help == infoHelp && opts.MetricFamilyName == "target_info"
	name := ls.Get(model.MetricNameLabel)
	compound := h == nil && fh == nil && isCompound(opts.Metadata.Type, name, opts.MetricFamilyName)
	switch {
	case info:
		if s.infos++; s.infos > maxInfos {
			s.refused.Count("target_info", 1)
			return 0, errInfo
		}
	case !compound || name == opts.MetricFamilyName+"_count":
		s.seen++ // each data point of a classic histogram or summary has one _count
	}
	ref, err := s.try(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		s.samples++
		return ref, nil
	}
	reason, permanent := body.Permanent(err)
	switch {
	case errors.Is(err, errLabels):
		reason = body.InvalidLabels
	case !permanent:
		s.trouble = fmt.Errorf("appending to series %s: %w", body.Clip(ls.String(), 300), err)
		return 0, s.trouble
	}
	if info {
		s.refused.Count("target_info", 1)
		return 0, errInfo
	}
	s.refuse(reason, err, ls, t, opts.MetricFamilyName, compound)
	return 0, nil
}

var errLabels = errors.New("invalid label names or values")

func (s *sieve) try(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AppendV2Options,
) (storage.SeriesRef, error) {
	if !ls.IsValid(model.UTF8Validation) {
		return 0, errLabels
	}
	if t > s.maxTime {
		return 0, fmt.Errorf("%w: timestamp is too far in the future", storage.ErrOutOfBounds)
	}
	ref, err := s.app.Append(ref, ls, st, t, v, h, fh, opts)
	var partial *storage.AppendPartialError
	if errors.As(err, &partial) { // The sample is in, some exemplars are not.
		s.refused.Count("exemplar", len(partial.ExemplarErrors))
		return ref, nil
	}
	return ref, err
}

// refuse notes that history refused a sample of a data point; the first one tells why.
func (s *sieve) refuse(reason string, err error, ls labels.Labels, t int64, family string, compound bool) {
	key := s.pointKey(ls, t, family, compound)
	if _, known := s.bad[key]; known {
		return
	}
	if s.bad == nil {
		s.bad = make(map[uint64]struct{})
	}
	s.bad[key] = struct{}{}
	var limit *series.LimitError
	if errors.As(err, &limit) { // It names the series, and the labels may be huge.
		s.refused.Add(reason, 1, "%s", limit)
		return
	}
	s.refused.Add(reason, 1, "%s for series %s, timestamp %s", err, ls, time.UnixMilli(t).UTC().Format(time.RFC3339Nano))
}

// pointKey is the same for all series that one data point became, and differs, but for collisions of the hash, between
// data points.
func (s *sieve) pointKey(ls labels.Labels, t int64, family string, compound bool) uint64 {
	b := labels.NewBuilder(ls)
	b.Set(model.MetricNameLabel, family)
	if compound {
		b.Del(model.BucketLabel, model.QuantileLabel)
	}
	b.Set("\xff", fmt.Sprint(t)) // no label of a valid series
	return b.Labels().Hash()
}

// isCompound says whether the series called name is one of several that a data point of type t became. Histograms of
// delta temporality have an unknown type, as delta sums have, but their series have suffixes.
func isCompound(t model.MetricType, name, family string) bool {
	switch t {
	case model.MetricTypeHistogram, model.MetricTypeSummary:
		return true
	case model.MetricTypeUnknown:
		return name != family
	}
	return false
}

// Commit and Rollback are the batch's own business; the translation calls neither.
func (s *sieve) Commit() error   { panic("BUG: the translation committed the batch") }
func (s *sieve) Rollback() error { panic("BUG: the translation rolled the batch back") }
