package history

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// roomInterval is for how long what was seen of the disk's free space counts.
	roomInterval = 20 * time.Millisecond
	// roomPerSample is what a sample may take in the write-ahead log, compressed; one of a new series takes more.
	roomPerSample = 64
)

// room lets commits fail while the disk is nearly full, before they have written anything. One that fails half-way leaves a torn
// record in upstream's write-ahead log, and at the next start the log is cut there: what was acknowledged after it, when
// there was room again, would be lost. What is kept free is at the same time what the ledger, which is on the same disk,
// goes on with: alerts are recorded when samples no longer are. Series are not created either: each is logged, whatever
// becomes of its sample.
//
// Samples are taken again when there is a quarter more room than at which they are refused.
type room struct {
	dir     string
	reserve int64 // bytes; negative asks nobody
	free    func(dir string) (free, total int64, err error)
	logger  *slog.Logger
	refuses prometheus.Gauge
	gone    func(error) // is told where there is no such directory any more

	next atomic.Int64 // when to look again, Unix nanoseconds
	left atomic.Int64 // what may be written before the next look
	low  atomic.Bool
}

// errNoRoom is why a commit fails before the disk is full.
var errNoRoom error = &refusal{fmt.Errorf("too little room is left on the disk: %w", syscall.ENOSPC)}

// isLow reports whether samples are refused, by what was seen not long ago.
func (r *room) isLow(now time.Time) bool {
	if r.reserve < 0 {
		return false
	}
	if next := r.next.Load(); now.UnixNano() >= next && r.next.CompareAndSwap(next, now.Add(roomInterval).UnixNano()) {
		r.look()
	}
	return r.low.Load()
}

// take returns an error where there is no room for a batch of so many samples.
func (r *room) take(samples int, now time.Time) error {
	if r.reserve < 0 {
		return nil
	}
	r.isLow(now)
	if left := r.left.Add(-int64(samples) * roomPerSample); left < 0 {
		if r.look(); r.low.Load() || r.left.Add(-int64(samples)*roomPerSample) < 0 {
			return errNoRoom
		}
	}
	if r.low.Load() {
		return errNoRoom
	}
	return nil
}

// look asks how much room there is. Where that is not known, there is enough: writing tells.
func (r *room) look() {
	free, total, err := r.free(r.dir)
	if errors.Is(err, fs.ErrNotExist) && r.gone != nil {
		r.gone(err)
	}
	if err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			r.logger.Debug("How much room the disk has is not known", "dir", r.dir, "err", err)
		}
		free, total = 1<<62, 1<<62
	}
	reserve := min(r.reserve, total/8) // A small disk is not all reserve.
	was := r.low.Load()
	limit := reserve
	if was {
		limit += reserve / 4
	}
	low := free < limit
	r.left.Store(max(0, free-reserve))
	if low == was || !r.low.CompareAndSwap(was, low) {
		return
	}
	if low {
		r.refuses.Set(1)
		r.logger.Error("The disk is nearly full: samples are refused; alerts, their record and notifications go on. Free some space",
			"dir", r.dir, "free", free, "samples_from", reserve+reserve/4)
		return
	}
	r.refuses.Set(0)
	r.logger.Info("There is room on the disk again: samples are taken", "dir", r.dir, "free", free)
}
