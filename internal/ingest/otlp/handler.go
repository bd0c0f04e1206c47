package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Handler is the receiver. It holds no state between requests but its counters.
type Handler struct {
	options Options
	metrics *metrics
	samples atomic.Uint64
}

// NewHandler returns a receiver. It answers POST requests whatever their path: 200 when something was written, with
// partial success where data points were rejected; 400 when all were, or when the body cannot be decoded; 405, 413 and
// 415 for requests that are not even decoded; and 503 with Retry-After, with nothing written, when sending the same
// again may help. Answers are in the request's encoding.
func NewHandler(o Options) *Handler {
	o = o.withDefaults()
	return &Handler{options: o, metrics: newMetrics(o.Registerer)}
}

// Samples returns how many samples and histograms were written since the start.
func (h *Handler) Samples() uint64 { return h.samples.Load() }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.metrics.requests.WithLabelValues(strconv.Itoa(h.serve(w, r))).Inc()
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) int {
	e, err := negotiate(r)
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return h.fail(w, e, http.StatusMethodNotAllowed, "OTLP metrics are sent with POST")
	}
	if err != nil {
		return h.failWith(w, e, err)
	}
	req, err := h.decode(r, e)
	if err != nil {
		return h.failWith(w, e, err)
	}
	total := req.Metrics().DataPointCount()
	res, err := h.store(r.Context(), req.Metrics())
	if err != nil {
		if code, _ := body.Status(err); code >= 500 && !errors.Is(err, context.Canceled) && !body.Unavailable(err) {
			h.options.Logger.Error("Storing OTLP metrics failed; the sender is asked to send again", "err", err)
		}
		return h.failWith(w, e, err)
	}
	h.metrics.written.Add(float64(res.samples))
	h.samples.Add(uint64(res.samples))
	for reason, n := range res.refused.ByReason() {
		h.metrics.rejected.WithLabelValues(reason).Add(float64(n))
	}
	if res.rejected > 0 && res.rejected >= total {
		return h.fail(w, e, http.StatusBadRequest, res.refused.Text())
	}
	return h.succeed(w, e, res.rejected, res.refused.Text())
}

// result is what became of a request's data points.
type result struct {
	samples  int // written, several for a classic histogram's data point
	rejected int // data points, wholly or partly
	refused  body.Refusals
}

// store translates md and writes it. It changes md. An error means that nothing was written.
func (h *Handler) store(ctx context.Context, md pmetric.Metrics) (result, error) {
	s := &sieve{maxTime: h.options.Now().Add(h.options.MaxAhead).UnixMilli()}
	if !h.options.KeepDelta {
		s.delta = refuseDelta(md, &s.refused)
	}
	points, bytes := measure(md)
	if limit := labelFactor * h.options.DecompressedSize; bytes > limit {
		return result{}, body.TooLarge("the series' labels take more than %d bytes once written out; send smaller batches", limit)
	}
	s.app = h.options.Appendable.AppenderV2(ctx)
	open := true
	defer func() {
		if open {
			if err := s.app.Rollback(); err != nil {
				h.options.Logger.Error("Rolling a batch of OTLP metrics back failed", "err", err)
			}
		}
	}()
	translated, err := h.translate(ctx, md, s)
	if err != nil {
		return result{}, err
	}
	open = false // also a failing Commit ends the appender
	if err := s.app.Commit(); err != nil {
		return result{}, fmt.Errorf("committing samples: %w", err)
	}
	lost := s.untranslated(points, translated)
	return result{samples: s.samples, rejected: s.delta + lost + len(s.bad), refused: s.refused}, nil
}
