package jit

import (
	"fmt"
	"runtime"
	"time"
)

// worker is the goroutine that compiles. It belongs to whoever holds the library's turn.
type worker struct {
	stop, done chan struct{}
}

func (l *Library) startWorker(o Options) *worker {
	w := &worker{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		if !o.pinned() {
			l.work(w, o)
			return
		}
		apart(func() {
			if err := settleThread(o.CompileCPUs, o.CompileNice); err != nil {
				l.log.Warn("Kernels are compiled on a thread like any other.", "err", err)
			}
			l.work(w, o)
		})
	}()
	return w
}

// apart calls f on a thread that ends with it, and returns when f has. The process's first thread cannot end, and its
// processors and priority are what tools show as the process's: it is not used.
func apart(f func()) {
	done, locked := make(chan struct{}), make(chan struct{})
	var try func()
	try = func() {
		runtime.LockOSThread()
		if onFirstThread() {
			go try() // While this goroutine is locked to the first thread, that one runs on another.
			<-locked
			runtime.UnlockOSThread()
			return
		}
		close(locked)
		defer close(done)
		f() // Never unlocked: a thread that is not like others ends with its goroutine.
	}
	go try()
	<-done
}

// stopWorker returns once there is no worker. The caller holds turn, and not mu.
func (l *Library) stopWorker() {
	if l.worker != nil {
		close(l.worker.stop)
		<-l.worker.done
		l.worker = nil
	}
}

// Kernels are looked at for want of use a few times while they grow cold.
const (
	looks    = 8
	leastGap = 10 * time.Millisecond
	mostGap  = time.Minute
)

// work compiles what the queue holds until it is told to stop.
func (l *Library) work(w *worker, o Options) {
	var look <-chan time.Time
	if o.Mode == Adaptive {
		t := time.NewTicker(min(max(o.ColdAfter/looks, leastGap), mostGap))
		defer t.Stop()
		look = t.C
	}
	for {
		select {
		case <-w.stop:
			return
		case <-look:
			l.cool(l.clock())
			continue
		default:
		}
		if k := l.queue.pop(); k != nil {
			l.serve(k)
			runtime.Gosched() // Whoever evaluates goes first.
			continue
		}
		select {
		case <-w.stop:
			return
		case <-l.queue.wake:
		case <-look:
			l.cool(l.clock())
		}
	}
}

// want asks for k to be compiled, unless that was asked or refused before. It takes no lock but the queue's.
func (l *Library) want(k *shared) {
	if refusal(k.refusal.Load()) != granted || !k.waiting.CompareAndSwap(false, true) {
		return
	}
	if l.granted.Add(1) > l.maxKernels {
		l.granted.Add(-1)
		k.waiting.Store(false)
		l.refuse(k, full, fmt.Errorf("%d kernels are compiled or wait for it, as many as allowed", l.maxKernels))
		return
	}
	l.queue.push(k)
}

// serve compiles k, unless nobody wants that any more.
func (l *Library) serve(k *shared) {
	defer l.queue.done()
	l.mu.Lock()
	wanted := l.wanted(k)
	l.mu.Unlock()
	var c compiled
	var err error
	if wanted {
		runtime.LockOSThread() // so that the thread's time is this kernel's
		begin := threadTime()
		c, err = l.machine.safely(k.program)
		l.spent.Add(int64(threadTime() - begin))
		runtime.UnlockOSThread()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if wanted && l.wanted(k) && l.install(k, c, err) {
		k.waiting.Store(false)
		return
	}
	k.waiting.Store(false)
	l.granted.Add(-1)
	if refusal(k.refusal.Load()) != memory { // That would leave none to others either.
		l.relieve()
	}
}

// wanted reports whether k is to be compiled still. The caller holds mu.
func (l *Library) wanted(k *shared) bool {
	return l.arena != nil && len(k.runners) > 0 && k.code.Load() == nil
}

// install makes runs use c, unless compiling failed or there is no room, and reports whether they do. The caller holds mu.
func (l *Library) install(k *shared, c compiled, err error) bool {
	if err != nil {
		l.refuse(k, failed, err)
		return false
	}
	f, err := l.arena.Add(c.bytes)
	if err != nil {
		l.refuse(k, memory, err)
		return false
	}
	k.seenRuns, k.seenAt = k.usage()[machineCode].runs, l.clock()
	k.code.Store(&code{function: f, spill: c.spill, isa: c.isa})
	l.compiled++
	l.compiles++
	if l.perf != nil {
		l.perf.add(f.Address(), f.Size(), k.id, k.expression)
	}
	return true
}

// evict takes k's code away, frees it, and reports whether there was some. The caller holds mu.
func (l *Library) evict(k *shared) bool {
	c := k.withdraw()
	if c == nil {
		return false
	}
	c.function.Free()
	l.compiled--
	l.granted.Add(-1)
	l.relieve()
	return true
}

// cool takes the code of those kernels away that have not run for Options.ColdAfter. now is by the library's clock.
func (l *Library) cool(now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.kernels {
		if k.code.Load() == nil {
			continue
		}
		if runs := k.usage()[machineCode].runs; runs != k.seenRuns {
			k.seenRuns, k.seenAt = runs, now
		} else if now-k.seenAt >= l.options.ColdAfter && l.evict(k) {
			l.evictions++
		}
	}
}
