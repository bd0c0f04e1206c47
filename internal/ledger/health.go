package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// health is the state of the writer for all to see.
type health struct {
	failing atomic.Pointer[failure]
	upkeep  atomic.Pointer[failure] // of the keeper's last round
	since   atomic.Int64            // when the commit under way began, Unix nanoseconds; 0 if there is none
}

type failure struct {
	since time.Time
	err   error
	over  chan struct{} // closed when the disk takes what it is given
}

func (h *health) begin(at time.Time) { h.since.Store(at.UnixNano()) }
func (h *health) end()               { h.since.Store(0) }

func (h *health) fail(err error) {
	next := failure{since: time.Now(), err: err}
	if f := h.failing.Load(); f != nil {
		next.since, next.over = f.since, f.over
	} else {
		next.over = make(chan struct{})
	}
	h.failing.Store(&next)
}

// setUpkeep notes how the keeper's round ended.
func (h *health) setUpkeep(at time.Time, err error) {
	f := h.upkeep.Load()
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		h.upkeep.Store(nil)
	case f == nil:
		h.upkeep.Store(&failure{since: at, err: err})
	default:
		h.upkeep.Store(&failure{since: f.since, err: err})
	}
}

// recover returns for how long it failed.
func (h *health) recover() time.Duration {
	f := h.failing.Swap(nil)
	close(f.over)
	return time.Since(f.since).Round(time.Millisecond)
}

func (h *health) cause() error {
	if f := h.failing.Load(); f != nil {
		return f.err
	}
	panic("BUG: asked why an untroubled ledger fails")
}

// Healthy reports whether what is recorded reaches the disk and, if not, since when, why, and what can be done.
func (l *Ledger) Healthy() (ok bool, why string) {
	if f := l.writer.health.failing.Load(); f != nil {
		return false, fmt.Sprintf("%s cannot be written since %s: %v (%s); %s", l.db.path,
			f.since.UTC().Format(time.RFC3339), f.err, advice(f.err), "alerts go on, and what happened meanwhile is kept in memory")
	}
	if since := l.writer.health.since.Load(); since != 0 {
		if took := time.Since(time.Unix(0, since)); took > l.opts.CommitTimeout {
			return false, fmt.Sprintf("%s: the disk has not answered a write for %s", l.db.path, took.Round(time.Second))
		}
	}
	if f := l.writer.health.upkeep.Load(); f != nil {
		return false, fmt.Sprintf("%s: upkeep fails since %s: %v (%s); what happens is recorded all the same", l.db.path,
			f.since.UTC().Format(time.RFC3339), f.err, advice(f.err))
	}
	if err := l.index.trouble(); err != nil {
		return false, fmt.Sprintf("%s cannot be read: %v (%s); history is incomplete", l.db.path, err, advice(err))
	}
	return true, ""
}

// Writable returns a channel that is closed once the ledger takes commits, and what it kept in memory is on disk: at once
// where it is not known to fail.
func (l *Ledger) Writable() <-chan struct{} {
	if f := l.writer.health.failing.Load(); f != nil {
		return f.over
	}
	now := make(chan struct{})
	close(now)
	return now
}

// notDurable is the error for those whose commit failed.
func (w *writer) notDurable(cause error, kept bool) error {
	if kept {
		return fmt.Errorf("ledger: %w: %s: %w (%s; it is kept in memory and will be written when the disk takes it)",
			ErrNotDurable, w.db.path, cause, advice(cause))
	}
	return fmt.Errorf("ledger: %w: %s: %w (%s)", ErrNotDurable, w.db.path, cause, advice(cause))
}
