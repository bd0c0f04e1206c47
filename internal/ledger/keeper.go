package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// upkeepInterval is how often the keeper looks around, retentionInterval how often it looks for what is too old.
	upkeepInterval    = time.Second
	retentionInterval = time.Minute
	// The table of instances is brought up to date when so many lack, so many rows would have to be read again after a
	// crash, or so much time has passed.
	flushFrom     = 4096
	flushFromRows = 4096
	flushEvery    = 15 * time.Second
	// lastFlush is how long Close may take for it.
	lastFlush = 2 * time.Second
	// maxLogFrames is how many pages of write-ahead log may pile up before commits wait for it to be moved: under
	// steady load there is never a moment at which all of it is moved.
	maxLogFrames = 4096
)

// keeper is the goroutine that keeps the file in shape: instances brought up to date, the write-ahead log moved into
// the file, retention. What writes goes through the writer, in steps of about a millisecond.
type keeper struct {
	l      *Ledger
	cancel context.CancelFunc
	ctx    context.Context
	finish chan struct{}
	done   chan struct{}

	flushed, retained time.Time
	troubled          bool // whether the last round failed
}

func newKeeper(l *Ledger) *keeper {
	k := &keeper{l: l, finish: make(chan struct{}), done: make(chan struct{}), flushed: time.Now()}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

// close ends upkeep, after it has brought the table of instances up to date so that the next start is quick.
func (k *keeper) close() {
	deadline := time.AfterFunc(lastFlush, k.cancel)
	defer deadline.Stop()
	close(k.finish)
	<-k.done
	k.cancel()
}

func (k *keeper) run() {
	defer close(k.done)
	ticks := time.NewTicker(upkeepInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-k.finish:
			k.flushed = time.Time{}
			_ = k.flush(time.Now()) // What fails is done at the next start.
			return
		case <-k.ctx.Done():
			return
		}
		k.round(time.Now())
	}
}

// round does what is due and logs the beginning and the end of trouble.
func (k *keeper) round(now time.Time) {
	err := k.upkeep(now)
	k.l.writer.health.setUpkeep(now, err)
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		if k.troubled {
			k.l.opts.Logger.Info("The ledger's upkeep works again", "path", k.l.db.path)
		}
		k.troubled = false
		return
	case !k.troubled:
		k.l.opts.Logger.Error("The ledger's upkeep failed; it is tried again", "path", k.l.db.path, "err", err, "advice", advice(err))
	}
	k.troubled = true
	k.l.metrics.errors.WithLabelValues(doingUpkeep).Inc()
}

func (k *keeper) upkeep(now time.Time) error {
	errs := []error{k.l.step(k.ctx, func(w *writer) error { w.look(); return nil }), k.flush(now)}
	if now.Sub(k.retained) >= retentionInterval && k.l.index.ready() {
		k.retained = now
		errs = append(errs, k.retain())
	}
	errs = append(errs, k.move())
	return errors.Join(errs...)
}

// steps runs f again and again, until it has no more to do. In between others get their turn.
func (k *keeper) steps(f func(*writer) (more bool, err error)) error {
	for {
		var more bool
		start := time.Now()
		err := k.l.step(k.ctx, func(w *writer) (err error) {
			more, err = f(w)
			return err
		})
		if err != nil || !more {
			return err
		}
		select { // At most half of the time is upkeep, until nobody else wants any.
		case <-time.After(time.Since(start)):
		case <-k.finish:
		case <-k.ctx.Done():
		}
		if k.ctx.Err() != nil {
			return k.ctx.Err()
		}
	}
}

// flush brings the table of instances up to date where that is due.
func (k *keeper) flush(now time.Time) error {
	due := now.Sub(k.flushed) >= flushEvery
	target := int64(-1)
	err := k.steps(func(w *writer) (bool, error) {
		if target < 0 {
			target = w.last // What comes meanwhile has time until the next round.
			due = due || w.states.pending() >= flushFrom || w.last-w.states.applied >= flushFromRows
		}
		if !due {
			return false, nil
		}
		return w.states.flush(w.db.write, target, w.last)
	})
	if err != nil || !due {
		return err
	}
	k.flushed = now
	return k.steps(func(w *writer) (bool, error) { return w.states.clean(w.db.write) })
}

// move moves the write-ahead log into the file, so that it starts over and stays small. Commits go on meanwhile.
func (k *keeper) move() error {
	var busy, frames, moved int64
	const query = "PRAGMA wal_checkpoint(PASSIVE)"
	if err := k.l.db.mover.QueryRowContext(k.ctx, query).Scan(&busy, &frames, &moved); err != nil {
		return fmt.Errorf("moving the write-ahead log into the file: %w", err)
	}
	if frames > maxLogFrames && moved < frames {
		if err := k.l.step(k.ctx, func(w *writer) error { _, err := w.db.write.exec(query); return err }); err != nil {
			return fmt.Errorf("moving the rest of the write-ahead log into the file: %w", err)
		}
	}
	return k.l.step(k.ctx, func(w *writer) error {
		pages, err := w.db.write.number("PRAGMA page_count")
		w.metrics.bytes.Set(float64((pages + frames) * pageSize))
		return err
	})
}
