package push

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// Gateway keeps pushed groups. Its methods may be called from any goroutine.
type Gateway struct {
	options Options
	metrics *metrics
	store   store
	samples atomic.Uint64
	wake    chan struct{} // capacity 1: a deadline may have come nearer

	// mu is held while a group changes, its writing to disk and to history included: what history gets last is what the
	// gateway has.
	mu     sync.Mutex
	groups map[string]*pushedGroup
	index  *index
	// last is the time of each group's latest batch, ended the latest time at which a group ended; Unix milliseconds.
	last  map[string]int64
	ended int64

	lifecycle sync.Mutex // guards what follows, and is taken before mu
	cancel    context.CancelFunc
	done      chan struct{}
	stopped   atomic.Bool
}

// New reads the groups of Options.Dir. One that cannot be read is moved aside, logged and counted. An error means that
// the options are wrong or that the directory cannot be used.
func New(o Options) (*Gateway, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	g := &Gateway{
		options: o, metrics: newMetrics(o.Registerer), store: store{o.Dir}, wake: make(chan struct{}, 1),
		groups: map[string]*pushedGroup{}, index: newIndex(), last: map[string]int64{},
	}
	loaded, err := g.store.load(func(path string, err error) {
		g.metrics.corrupt.Inc()
		o.Logger.Error("A pushed group cannot be read and is lost; its file is moved aside, with the suffix .corrupt", "file", path, "err", err)
	})
	if err != nil {
		return nil, err
	}
	for _, p := range loaded {
		g.replace(nil, p)
	}
	return g, nil
}

// Samples returns how many samples and histograms were written since the start, restatements included.
func (g *Gateway) Samples() uint64 { return g.samples.Load() }

// Groups returns the state of all groups, sorted by their labels.
func (g *Gateway) Groups() []GroupStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]GroupStatus, 0, len(g.groups))
	for _, key := range slices.Sorted(maps.Keys(g.groups)) {
		out = append(out, g.groups[key].status())
	}
	return out
}

// replace puts next (nil: nothing) in old's place (nil: nothing), in memory.
func (g *Gateway) replace(old, next *pushedGroup) {
	g.index.replace(old, next)
	if next != nil {
		g.groups[next.key] = next
	} else {
		delete(g.groups, old.key)
	}
	g.metrics.groups.Set(float64(len(g.groups)))
	g.metrics.series.Set(float64(g.index.series()))
}

// pushRequest is a push that was understood.
type pushRequest struct {
	labels   map[string]string
	families families
	replace  bool // PUT
	ttl      time.Duration
}

// push takes a push whole or not at all. The error is a *body.Error where the push is to blame; anything else deserves
// a retry.
func (g *Gateway) push(ctx context.Context, r pushRequest) error {
	fs, err := g.options.prepare(r.families, r.labels)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped.Load() {
		return errStopped
	}
	now := time.Now()
	if err == nil {
		err = g.accept(ctx, r, fs, now)
	}
	var invalid *invalidPush
	if errors.As(err, &invalid) {
		g.fail(ctx, r, now, invalid)
		return body.Malformed(fmt.Errorf("pushed metrics are invalid or inconsistent with existing metrics: %w", invalid))
	}
	return err
}

// accept puts fs into r's group, on disk, in history and in memory.
func (g *Gateway) accept(ctx context.Context, r pushRequest, fs map[string]*family, now time.Time) error {
	key := keyOf(r.labels)
	old := g.groups[key]
	base := old
	if base == nil {
		base = &pushedGroup{key: key, labels: r.labels}
	}
	next := base.with(fs, r.replace, now, r.ttl)
	if err := g.index.check(old, next); err != nil {
		return &invalidPush{err}
	}
	if err := g.room(old, next); err != nil {
		return err
	}
	w := g.begin(ctx, key, now)
	defer w.end()
	for _, f := range [...]map[string]*family{fs, next.ownFamilies()} {
		if err := w.stateAll(f); err != nil {
			return err
		}
	}
	if old != nil {
		if err := w.staleExcept(old, next); err != nil {
			return err
		}
	}
	if err := g.store.put(next); err != nil {
		return err
	}
	g.replace(old, next)
	if next.ttl > 0 {
		g.nudge()
	}
	// From here the push is durable: should history fail now, the next restatement makes up for it.
	if err := w.commit(); err != nil {
		return fmt.Errorf("the push is kept on disk and will be stated again, but history did not take it now: %w", err)
	}
	return nil
}

// invalidPush is a push that is refused for good because of its content.
type invalidPush struct{ err error }

func (e *invalidPush) Error() string { return e.err.Error() }
func (e *invalidPush) Unwrap() error { return e.err }

var errStopped = errors.New("the push gateway is stopping; push again later")

// room refuses a group for which there is no room.
func (g *Gateway) room(old, next *pushedGroup) error {
	had := 0
	if old != nil {
		had = old.series()
	} else if len(g.groups) >= g.options.MaxGroups {
		return &body.Error{Status: http.StatusTooManyRequests, Reason: "too_many",
			Err: fmt.Errorf("there are %d pushed groups already, at most %d are allowed; delete some, or give them a time to live", len(g.groups), g.options.MaxGroups)}
	}
	if n := g.index.series() - had + next.series(); n > g.options.MaxSeries {
		return &body.Error{Status: http.StatusTooManyRequests, Reason: "too_many",
			Err: fmt.Errorf("pushed groups would have %d series in all, at most %d are allowed; delete some, or give them a time to live", n, g.options.MaxSeries)}
	}
	return nil
}

// fail notes on its group that a push was refused. It is a note, not a promise: where it cannot be kept, that is logged,
// and where history would not even take the note's own series, there is none.
func (g *Gateway) fail(ctx context.Context, r pushRequest, now time.Time, why error) {
	key := keyOf(r.labels)
	old := g.groups[key]
	base := old
	if base == nil {
		base = &pushedGroup{key: key, labels: r.labels, ttl: r.ttl}
	}
	next := base.failed(now, body.Clip(why.Error(), 500))
	if g.room(old, next) != nil || g.index.check(old, next) != nil {
		return
	}
	w := g.begin(ctx, key, now)
	defer w.end()
	err := w.stateAll(next.ownFamilies())
	var invalid *invalidPush
	if errors.As(err, &invalid) {
		return
	}
	if err == nil {
		err = g.store.put(next)
	}
	if err == nil {
		g.replace(old, next)
		g.nudge()
		err = w.commit()
	}
	if err != nil {
		g.options.Logger.Error("A refused push could not be noted on its group", "group", r.labels, "err", err)
	}
}

// forget removes a group from disk and from memory and gives its series staleness markers. Where the file cannot be
// removed, the group stays.
func (g *Gateway) forget(ctx context.Context, p *pushedGroup, now time.Time) error {
	if err := g.store.drop(p.key); err != nil {
		return err
	}
	g.replace(p, nil)
	w := g.beginEnd(ctx, p.key, now)
	defer w.end()
	if err := w.staleExcept(p, nil); err != nil {
		return err
	}
	return w.commit()
}

// delete removes the group of labels; there may be none.
func (g *Gateway) delete(ctx context.Context, labels map[string]string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped.Load() {
		return errStopped
	}
	p, ok := g.groups[keyOf(labels)]
	if !ok {
		return nil
	}
	return g.forget(ctx, p, time.Now())
}
