package jit

import (
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

// Library is the pool of kernels: it implements kernel.Library. It is safe for concurrent use.
//
// Locks are taken in this order: turn, mu, queue.mu. A run takes none, but an interpreted one queue.mu when its kernel
// becomes hot.
type Library struct {
	machine machine
	log     *slog.Logger
	clock   func() time.Duration // a monotonic clock, which runs are timed with

	// turn is held by one who starts and ends workers, so that there is one worker at most.
	turn   sync.Mutex
	worker *worker

	mu      sync.Mutex
	options Options
	closed  bool
	kernels map[string]*shared // by key
	arena   *native.Arena      // nil where nothing is compiled
	whyNot  string             // why there was no arena when one was wanted last, as the log says
	perf    *perfMap           // nil where not asked for
	// past and pastNanos are of runners and kernels that are gone, by tier.
	past                usage
	pastNanos           [tiers]uint64
	runners, compiled   int // at present
	compiles, evictions uint64

	queue      queue
	maxKernels int64
	crowded    atomic.Bool  // the log says that there is no room
	hotAfter   atomic.Int64 // Options.HotAfter in nanoseconds, never in modes that do not ask
	granted    atomic.Int64 // how many kernels are compiled or wait for it, at most maxKernels
	spent      atomic.Int64 // nanoseconds of compiling
	refused    [refusals]atomic.Uint64
}

// never is a time that no kernel takes.
const never = math.MaxInt64

// New returns a library with settings that o.Validate has no objection to. It never fails: without executable memory, or on
// a processor that there is no encoder for, it logs one line and interprets everything.
func New(o Options) *Library {
	start := time.Now()
	return newLibrary(o, thisMachine(), func() time.Duration { return time.Since(start) })
}

func newLibrary(o Options, m machine, clock func() time.Duration) *Library {
	if err := o.Validate(); err != nil {
		panic("BUG: " + err.Error())
	}
	o = o.withDefaults()
	l := &Library{
		machine: m, log: o.Logger, clock: clock, kernels: map[string]*shared{},
		queue: newQueue(), maxKernels: int64(o.MaxKernels),
	}
	if o.PerfMap {
		l.perf = newPerfMap(o.Logger)
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	l.settle(o)
	return l
}

// Apply changes Mode, HotAfter, ColdAfter, CompileCPUs and CompileNice; the other settings stay as they were. Runs go on
// meanwhile. After Apply to Off returns, everything is interpreted and all code memory has been given back.
func (l *Library) Apply(o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	now, closed := l.options, l.closed
	l.mu.Unlock()
	if closed {
		return errors.New("the library of kernels is closed")
	}
	o = o.withDefaults()
	if o.Mode == now.Mode && o.HotAfter == now.HotAfter && o.ColdAfter == now.ColdAfter &&
		slices.Equal(o.CompileCPUs, now.CompileCPUs) && o.CompileNice == now.CompileNice {
		return nil // What was refused would be refused again.
	}
	now.Mode, now.HotAfter, now.ColdAfter = o.Mode, o.HotAfter, o.ColdAfter
	now.CompileCPUs, now.CompileNice = o.CompileCPUs, o.CompileNice
	l.stopWorker()
	l.settle(now)
	return nil
}

// settle puts o in force while no worker runs, and starts one where there is something to do. The caller holds turn.
func (l *Library) settle(o Options) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.options = o
	l.hotAfter.Store(never)
	if o.Mode == Adaptive {
		l.hotAfter.Store(int64(o.HotAfter))
	}
	l.forget()
	if o.Mode == Off {
		l.clear()
		return
	}
	if l.arena == nil {
		arena, err := l.codeMemory(o)
		if err != nil {
			if why := err.Error(); why != l.whyNot { // A reload finds nothing new.
				l.log.Warn("Kernels are interpreted, not compiled.", "err", err)
				l.whyNot = why
			}
			for _, k := range l.kernels {
				l.countUnsupported(k)
			}
			return
		}
		l.arena = arena
	}
	for _, k := range l.kernels {
		if o.Mode == Eager && k.code.Load() == nil {
			l.want(k)
		}
	}
	l.worker = l.startWorker(o)
}

// codeMemory returns memory for code; where profilers cannot have theirs, the kind that they do not look at.
func (l *Library) codeMemory(o Options) (*native.Arena, error) {
	if l.perf != nil && l.perf.file != nil {
		arena, err := l.machine.arena(int(o.MaxCodeBytes), true)
		if err == nil {
			return arena, nil
		}
		l.perf.fail(err)
	}
	return l.machine.arena(int(o.MaxCodeBytes), false)
}

// forget takes back all that waits to be compiled, and refusals that need not last.
func (l *Library) forget() {
	for k := l.queue.pop(); k != nil; k = l.queue.pop() {
		l.granted.Add(-1)
		k.waiting.Store(false)
		l.queue.done()
	}
	for k := l.queue.feed(); k != nil; k = l.queue.feed() {
		k.refusal.Store(int32(granted))
	}
}

// clear gives all code memory back. The caller holds turn and mu, and no worker runs.
func (l *Library) clear() {
	for _, k := range l.kernels {
		if k.withdraw() != nil {
			l.compiled--
			l.granted.Add(-1)
		}
	}
	if l.arena == nil {
		return
	}
	if err := l.arena.Close(); err != nil {
		l.log.Error("The memory of machine code could not be given back.", "err", err)
	}
	l.arena = nil
}

// Close ends the worker and gives all code memory back. Runners that are still open go on, interpreted, and so do those
// that are opened later.
func (l *Library) Close() error {
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	l.closed = true
	o := l.options
	l.mu.Unlock()
	l.stopWorker()
	o.Mode = Off
	l.settle(o)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perf != nil {
		l.perf.close()
		l.perf = nil
	}
	return nil
}

// Open returns a runner of p. Programs of equal key share a kernel, whose expression is the first opener's.
func (l *Library) Open(p *kernel.Program, expression string) kernel.Runner {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kernels[p.Key()]
	if k == nil {
		k = newShared(p, expression)
		l.kernels[p.Key()] = k
		switch {
		case l.options.Mode == Off:
		case l.arena == nil:
			l.countUnsupported(k)
		case l.options.Mode == Eager:
			l.want(k)
		}
	}
	l.runners++
	r := &runner{kernel: k, library: l, place: len(k.runners)}
	k.runners = append(k.runners, r)
	return r
}

// release takes r from its kernel, and the kernel from the library with its last runner.
func (l *Library) release(r *runner) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := r.kernel
	if r.place >= len(k.runners) || k.runners[r.place] != r {
		panic("BUG: a runner of a kernel was closed twice")
	}
	last := len(k.runners) - 1
	k.runners[r.place] = k.runners[last]
	k.runners[r.place].place = r.place
	k.runners[last] = nil
	k.runners = k.runners[:last]
	l.runners--
	u := r.usage()
	l.past.add(u)
	k.past.add(u)
	if last > 0 {
		return
	}
	delete(l.kernels, k.program.Key())
	l.queue.drop(k)
	l.evict(k)
	for t := range k.took {
		l.pastNanos[t] += k.took[t].total.Load()
	}
}
