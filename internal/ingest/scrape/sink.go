package scrape

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/series"
)

// maxWarned bounds how many targets are remembered as warned about.
const maxWarned = 10_000

// sink stands between upstream's scrape loops and the storage, because a loop gives up a whole scrape on any append
// error that it does not know. One series over a limit must not cost its target all the others.
type sink struct {
	next    storage.AppendableV2
	logger  *slog.Logger
	samples atomic.Uint64 // committed

	mu     sync.Mutex
	warned map[string]bool // targets, by URL
}

func newSink(next storage.AppendableV2, logger *slog.Logger) *sink {
	return &sink{next: next, logger: logger, warned: map[string]bool{}}
}

// forget lets every target be warned about once more.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.warned)
}

// AppenderV2 returns an appender for one scrape.
func (s *sink) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &sinkAppender{AppenderV2: s.next.AppenderV2(ctx), sink: s, ctx: ctx}
}

type sinkAppender struct {
	storage.AppenderV2
	sink *sink
	ctx  context.Context
	// added is how many samples this scrape has appended.
	added uint64
	// refused is how many series of this scrape were over a limit, and why the first of them was.
	refused int
	first   error
}

func (a *sinkAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AOptions,
) (storage.SeriesRef, error) {
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		a.added++
		return ref, nil
	}
	if partial := (*storage.AppendPartialError)(nil); errors.As(err, &partial) {
		a.added++ // the sample is in, some of its exemplars are not
		return ref, err
	}
	var limit *series.LimitError
	switch {
	case errors.As(err, &limit):
		// The storage has counted it. Reference 0 means "must not be cached" to the loop: it asks again with the next
		// scrape, and writes no staleness marker for the series.
		if a.refused == 0 {
			a.first = limit
		}
		a.refused++
		return 0, nil
	case errors.Is(err, storage.ErrTooOldSample):
		// The loop knows a sample that is too old under this name only.
		return 0, storage.ErrOutOfBounds
	}
	return ref, err
}

func (a *sinkAppender) Commit() error {
	if a.refused > 0 {
		a.sink.warn(a.ctx, a.refused, a.first)
	}
	if err := a.AppenderV2.Commit(); err != nil {
		return err
	}
	a.sink.samples.Add(a.added)
	return nil
}

// warn logs once a target that series of it were refused.
func (s *sink) warn(ctx context.Context, n int, first error) {
	target := "unknown"
	if t, ok := scrape.TargetFromContext(ctx); ok {
		target = t.URL().String()
	}
	s.mu.Lock()
	known := s.warned[target]
	if !known {
		if len(s.warned) >= maxWarned {
			clear(s.warned)
		}
		s.warned[target] = true
	}
	s.mu.Unlock()
	if !known {
		s.logger.Warn("Series of a target are over the limits and are dropped; this is logged once a target",
			"target", target, "dropped", n, "first", first)
	}
}
