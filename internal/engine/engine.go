package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tocsin/tocsin/internal/tenant"
)

// ErrStopped is what Apply returns once Stop was called.
var ErrStopped = errors.New("the rule engine is stopped")

// Engine evaluates the groups of the configuration that was applied last, each at its own times, between Start and
// Stop. Its methods are safe for concurrent use.
//
// Lock order: applying, mu, then a group's turn, the streamer's, a group's mu.
type Engine struct {
	opts    Options
	metrics *metrics

	// evalCtx is what evaluations run with, stopCtx what tells goroutines to end. Stop cancels the latter at once and
	// the former when evaluations take too long to end.
	evalCtx, stopCtx       context.Context
	cancelEvals, beginStop context.CancelFunc
	// streamer is nil where arrivals are not followed.
	streamer *streamer
	// goroutines are all that the engine started.
	goroutines sync.WaitGroup

	// applying is held by Apply, Start and Stop for their whole duration and guards the five below.
	applying sync.Mutex
	applied  bool // at least once
	started  bool
	stopped  bool
	// estate is what rules that are gone left behind, the oldest first; executing says that a goroutine sees to it.
	estate    []bequest
	executing bool

	// mu guards runners, and makes a reload one step for readers.
	mu      sync.RWMutex
	runners map[string]*runner // by groupKey
}

// New returns an engine without groups.
func New(o Options) *Engine {
	o = o.withDefaults()
	e := &Engine{opts: o, metrics: newMetrics(o.Registerer, o.Logger), runners: map[string]*runner{}}
	e.evalCtx, e.cancelEvals = context.WithCancel(tenant.NewContext(context.Background(), o.Tenant))
	e.stopCtx, e.beginStop = context.WithCancel(context.Background())
	register(registrar{o.Registerer, o.Logger}, newTierCollector(e))
	e.streamer = newStreamer(o, e.metrics)
	return e
}

// Start begins to evaluate the groups that were applied and those that will be. Only the first call does anything, and
// none after Stop.
func (e *Engine) Start() {
	e.applying.Lock()
	defer e.applying.Unlock()
	if e.started || e.stopped {
		return
	}
	e.started = true
	if e.streamer != nil {
		e.goroutines.Go(func() { e.streamer.run(e.stopCtx.Done()) })
	}
	e.announce(time.Now())
	for _, r := range e.runners { // Only written under applying, too.
		e.launch(r)
	}
}

// Stop lets evaluations in flight come to the end of their rule, cancels them after Options.StopTimeout, and returns
// when all goroutines have ended. Alerts are not resolved: the process that starts next goes on with them. An engine
// cannot be started again. Further calls return at once or wait for the first.
func (e *Engine) Stop() {
	e.beginStop()
	giveUp := time.AfterFunc(e.opts.StopTimeout, e.cancelEvals)
	defer giveUp.Stop()
	e.applying.Lock()
	e.stopped = true
	e.applying.Unlock()
	e.goroutines.Wait()
	e.cancelEvals()
}

// Groups returns all groups as they are now, sorted by file and name.
func (e *Engine) Groups() []GroupStatus {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]GroupStatus, 0, len(e.runners))
	for _, r := range e.runners {
		all = append(all, r.group.Status())
	}
	slices.SortFunc(all, func(a, b GroupStatus) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Name, b.Name))
	})
	return all
}
