package ledger

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// deliveryDelay is how long attempts to deliver wait for company. They go with any other commit.
	deliveryDelay = 50 * time.Millisecond
	// groupRequests bounds what shares a sync, so that nobody waits for too many others.
	groupRequests = 512
	// The backoff while the disk takes nothing.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
)

// writer is the one goroutine that writes to the file. All but inbox, steps and health belong to it.
type writer struct {
	inbox  inbox
	steps  chan step
	stop   chan struct{}
	done   chan struct{}
	health health

	db      *database
	logger  *slog.Logger
	metrics *metrics
	publish func([]numberedRow) // tells the index what is on disk

	last    int64 // the last row that is on disk
	states  states
	waiting []storedDelivery // for company
	backlog backlog
	company time.Time     // when what waits goes alone
	retry   time.Duration // between the last try and the next; 0 while all is well
	retryAt time.Time
	trouble trouble // the last one that was logged
	// fault, where set, stands before each commit: tests make it fail.
	fault func() error
}

// step is a piece of upkeep that must not take longer than some milliseconds: commits wait for it.
type step struct {
	run  func(w *writer) error
	done chan error
}

func (w *writer) run() {
	defer close(w.done)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		alarm.Reset(w.untilAlarm(time.Now()))
		select {
		case <-w.inbox.wake:
		case <-alarm.C:
		case s := <-w.steps:
			w.serve() // First those who wait for a sync.
			s.done <- s.run(w)
		case <-w.stop:
			w.serve()
			w.commitDeliveries()
			for w.retry > 0 && w.tryAgain() {
			}
			return
		}
		w.serve()
		now := time.Now()
		if len(w.waiting) > 0 && !now.Before(w.company) {
			w.commitDeliveries()
		}
		if w.retry > 0 && !now.Before(w.retryAt) {
			w.tryAgain()
		}
	}
}

// untilAlarm returns when something is due without anybody asking.
func (w *writer) untilAlarm(now time.Time) time.Duration {
	wait := time.Hour
	if len(w.waiting) > 0 {
		wait = min(wait, w.company.Sub(now))
	}
	if w.retry > 0 {
		wait = min(wait, w.retryAt.Sub(now))
	}
	return max(wait, 0)
}

// serve commits what is in the inbox, in groups.
func (w *writer) serve() {
	for {
		requests := w.inbox.take()
		if len(requests) == 0 {
			return
		}
		for len(requests) > 0 {
			n := min(len(requests), groupRequests)
			w.serveGroup(requests[:n])
			requests = requests[n:]
		}
	}
}

func (w *writer) serveGroup(group []request) {
	somebodyWaits := false
	for _, r := range group {
		if r.delivery != nil {
			if len(w.waiting) == 0 {
				w.company = time.Now().Add(deliveryDelay)
			}
			w.waiting = append(w.waiting, *r.delivery)
		} else {
			somebodyWaits = true
		}
	}
	if !somebodyWaits && len(w.waiting) < rowEntries && w.retry == 0 {
		return // They wait for company.
	}
	deliveries := w.waiting
	w.waiting = nil
	if w.retry > 0 {
		w.keep(group, deliveries, w.health.cause())
		return
	}
	if err := w.commit(group, deliveries); err != nil {
		w.fail(err)
		w.keep(group, deliveries, err)
		return
	}
	for _, r := range group {
		if r.done != nil {
			r.done <- nil
		}
	}
}

func (w *writer) commitDeliveries() {
	deliveries := w.waiting
	w.waiting = nil
	if len(deliveries) == 0 {
		return
	}
	if w.retry > 0 {
		w.keep(nil, deliveries, w.health.cause())
	} else if err := w.commit(nil, deliveries); err != nil {
		w.fail(err)
		w.keep(nil, deliveries, err)
	}
}

// commit puts a group on disk: all of it, or nothing.
func (w *writer) commit(group []request, deliveries []storedDelivery) error {
	var b rowBuilder
	for _, r := range group {
		if r.batch != nil {
			b.add(r.batch)
		}
	}
	b.addDeliveries(deliveries)
	return w.commitRows(b.number(w.last+1), func() error {
		for _, r := range group {
			if r.change == nil {
				continue
			}
			if err := r.change(w.db.write); err != nil {
				return err
			}
		}
		return nil
	})
}

// commitRows writes rows, and whatever else changes, in one transaction with one sync.
func (w *writer) commitRows(rows []numberedRow, changes func() error) error {
	start := time.Now()
	w.health.begin(start)
	defer w.health.end()
	err := w.db.write.atomically(func() error {
		if w.fault != nil {
			if err := w.fault(); err != nil {
				return err
			}
		}
		for i := range rows {
			if err := writeRow(w.db.write, &rows[i]); err != nil {
				return err
			}
		}
		return changes()
	})
	if err != nil {
		return err
	}
	w.metrics.countCommit(rows, time.Since(start))
	if len(rows) > 0 {
		w.last = rows[len(rows)-1].seq
		for i := range rows {
			w.states.note(rows[i].row)
		}
		w.publish(rows)
	}
	return nil
}

func writeRow(s *session, r *numberedRow) error {
	var err error
	if r.history() {
		_, err = s.exec("INSERT INTO log VALUES (?,?,?)", r.seq, r.newest(), r.data)
	} else {
		_, err = s.exec("INSERT INTO changes VALUES (?,?)", r.seq, r.data)
	}
	return err
}

// fail notes that the disk takes nothing.
func (w *writer) fail(err error) {
	w.metrics.errors.WithLabelValues(doingCommit).Inc()
	first, kind := w.retry == 0, troubleOf(err)
	if first {
		w.setRetry(firstRetry)
	}
	if first || kind != w.trouble { // What opening the file anew says is often clearer.
		w.trouble = kind
		w.logger.Error("The ledger cannot write; what it is given is kept in memory and tried again", "path", w.db.path, "err", err, "advice", advice(err))
	}
	w.health.fail(err)
}

// look notices that the file was taken away: SQLite goes on with one that nobody can open any more.
func (w *writer) look() {
	if w.retry > 0 {
		return // It is in trouble already.
	}
	if err := w.db.present(); err != nil {
		w.fail(err)
	}
}

// keep puts into the backlog what can be done later, and tells those who wait.
func (w *writer) keep(group []request, deliveries []storedDelivery, cause error) {
	for i := range deliveries {
		w.backlog.addDelivery(deliveries[i])
	}
	for _, r := range group {
		kept := false
		switch {
		case r.batch != nil:
			w.backlog.addBatch(r.batch)
			kept = true
		case r.settles != 0:
			w.backlog.settled = append(w.backlog.settled, r.settles)
			kept = true
		}
		if r.done != nil {
			r.done <- w.notDurable(cause, kept)
		}
	}
	w.backlog.shrink(w.metrics)
	w.metrics.setQueue(&w.backlog)
}

// tryAgain writes some of the backlog, sets when to go on, and reports whether it could.
func (w *writer) tryAgain() bool {
	err := w.db.present()
	if err == nil {
		err = w.writeBacklog()
	}
	if err != nil {
		w.fail(err)
		next := min(2*w.retry, lastRetry)
		w.setRetry(next + time.Duration(rand.Int64N(int64(next)/4+1))) // Not all tenants at once.
		if kind := troubleOf(err); kind != troubleFull && kind != troubleGone {
			w.openAnew()
		}
		return false
	}
	w.metrics.setQueue(&w.backlog)
	if !w.backlog.empty() {
		w.setRetry(1) // The disk is back: go on, but let others in between.
		return true
	}
	w.retry = 0
	w.logger.Info("The ledger can write again; what was kept in memory is on disk", "path", w.db.path, "troubled_for", w.health.recover())
	return false
}

func (w *writer) setRetry(after time.Duration) { w.retry, w.retryAt = after, time.Now().Add(after) }

// openAnew gives up a connection that fails, for it may remember what is no longer so.
func (w *writer) openAnew() {
	if err := w.db.reopen(); err != nil {
		w.health.fail(err)
	}
}
