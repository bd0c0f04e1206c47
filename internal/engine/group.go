package engine

import (
	"context"
	"log/slog"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// Group is a rule group with its state. It is evaluated when Eval is called and owns no goroutine. Its methods are safe
// for concurrent use; evaluations wait for each other.
//
// Lock order: turn before mu.
type Group struct {
	opts    Options
	logger  *slog.Logger
	metrics *groupMetrics
	key     string

	name, file  string
	interval    time.Duration
	limit       int
	queryOffset *time.Duration // nil means the environment's
	env         atomic.Pointer[environment]
	// streamer and arrivals are nil where arrivals are not followed.
	streamer *streamer
	arrivals *arrivals

	// turn is held by whoever evaluates, restores or hands over; it guards what only those use.
	turn  sync.Mutex
	rules []*ruleState
	// orphaned are series of rules that the group no longer has, to be marked stale.
	orphaned []labels.Labels
	// awaitsRestore says that alerts of at least one rule still have to be looked up in history.
	awaitsRestore bool
	// ticks counts evaluations of the whole group, those of its predecessors included.
	ticks   uint64
	buffers buffers

	// mu guards what Status reads: the four below and the published part of each rule.
	mu             sync.Mutex
	evaluation     Evaluation
	lastEvaluation time.Time
	lastTimestamp  time.Time
	evaluationTime time.Duration
}

// buffers are reused from rule to rule and evaluation to evaluation.
type buffers struct {
	result   promql.Vector
	inputs   []alert.Input
	samples  []alert.Sample
	vector   promql.Vector
	changes  []alert.Transition
	asked    promql.Vector // what a probe returned
	journal  journal
	expander expander
	builder  *labels.Builder
}

// environment is what the configuration says to all groups. It is immutable.
type environment struct {
	queryOffset     time.Duration
	externalLabels  map[string]string
	externalURL     *url.URL
	externalURLText string
}

func newEnvironment(cfg Config) *environment {
	env := &environment{
		queryOffset:    cfg.QueryOffset,
		externalLabels: cfg.ExternalLabels.Map(),
		externalURL:    cfg.ExternalURL,
	}
	if env.externalURL == nil {
		env.externalURL = &url.URL{}
	}
	env.externalURLText = env.externalURL.String()
	return env
}

// ruleState is a rule and what is known of it.
type ruleState struct {
	logger *slog.Logger

	// Guarded by the group's turn.
	spare      *alert.Set // what the next evaluation writes to
	recorded   recorded
	derivation derivation // alert or recorded labels by the result's
	restored   bool       // ALERTS and ALERTS_FOR_STATE are recorded only after history was asked
	panicked   bool       // the stack was logged
	reported   string     // the last error that was logged
	clock      ruleClock
	watched    bool      // a deadline may be on the wheel
	missed     bool      // there was no ready result for the last evaluation on arrival
	rest       time.Time // before which it is not evaluated on arrival
	probe      probe
	// settleUntil is how long after a restart series may be missing that are only not back yet; zero where no alerts
	// were taken up.
	settleUntil time.Time
	// remember is before when no resolved alert is forgotten: see alert.Params.
	remember time.Time

	// Of the rule, and so never changed.
	labelTemplates, annotationTemplates bool
	onMissing                           alert.OnMissing

	// Set by the streamer: the rule's place where it is evaluated on other occasions than ticks, and what all rules with
	// the same expression share where one follows arrivals.
	seat   atomic.Pointer[seat]
	source atomic.Pointer[source]
	// mayLapse says that alerts are active, so that what is beside the expression matters.
	mayLapse atomic.Bool

	// ref is the rule. It changes only for one with the same ID, at a reload that moved it within its file.
	ref atomic.Pointer[rule.Rule]

	// Published: written with the group's turn and mu, read with either.
	alerts         *alert.Set
	health         string
	lastError      string
	lastEvaluation time.Time
	evaluationTime time.Duration
	ticksOnly      string
}

// NewGroup returns a group that is evaluated by whoever calls Eval. Its alerting rules count as restored: they record
// ALERTS and ALERTS_FOR_STATE from the first evaluation on. Call AwaitRestore first where history is to be asked.
func NewGroup(o Options, cfg Config, g *rule.Group) *Group {
	o = o.withDefaults()
	return newGroup(o, newMetrics(o.Registerer, o.Logger), newEnvironment(cfg), cfg, g)
}

// intervalOf returns the interval at which g is evaluated under cfg.
func intervalOf(g *rule.Group, cfg Config) time.Duration {
	switch {
	case g.Interval > 0:
		return g.Interval
	case cfg.Interval > 0:
		return cfg.Interval
	}
	return DefaultInterval
}

func newGroup(o Options, m *metrics, env *environment, cfg Config, def *rule.Group) *Group {
	key, interval := groupKey(def.File, def.Name), intervalOf(def, cfg)
	g := &Group{
		opts:        o,
		logger:      o.Logger.With("file", def.File, "group", def.Name),
		metrics:     m.group(key),
		key:         key,
		name:        def.Name,
		file:        def.File,
		interval:    interval,
		limit:       def.Limit,
		queryOffset: def.QueryOffset,
		evaluation:  cfg.evaluation(def.File, def.Name),
	}
	g.buffers.builder = labels.NewBuilder(labels.EmptyLabels())
	g.env.Store(env)
	g.metrics.interval.Set(interval.Seconds())
	g.metrics.rules.Set(float64(len(def.Rules)))
	for i, r := range def.Rules {
		rs := &ruleState{
			logger:   g.logger.With("name", r.Name, "index", i),
			restored: true,
			alerts:   &alert.Set{},
			spare:    &alert.Set{},
			health:   HealthUnknown,

			labelTemplates:      r.Kind == rule.Alerting && hasTemplate(r.Labels),
			annotationTemplates: hasTemplate(r.Annotations),
		}
		rs.ref.Store(r)
		rs.onMissing = r.OnMissing
		g.rules = append(g.rules, rs)
		o.Rest()
	}
	return g
}

func (rs *ruleState) rule() *rule.Rule { return rs.ref.Load() }

// Interval returns how often the group is to be evaluated.
func (g *Group) Interval() time.Duration { return g.interval }

// Schedule returns when it is to be evaluated.
func (g *Group) Schedule() Schedule { return NewSchedule(g.file, g.name, g.interval) }

// offset returns how far back in time expressions are evaluated.
func (g *Group) offset(env *environment) time.Duration {
	if g.queryOffset != nil {
		return *g.queryOffset
	}
	return env.queryOffset
}

// Eval evaluates all rules in order, as of ts. What fails, fails for its rule only and shows in Status.
func (g *Group) Eval(ctx context.Context, ts time.Time) { g.eval(g.context(ctx), ts, nil) }

// eval is Eval that ends between two rules when stop is closed. ctx is what context returned. stop is nil where times are
// not those of the clock.
func (g *Group) eval(ctx context.Context, ts time.Time, stop <-chan struct{}) {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.metrics.iterations.Inc()
	start := time.Now()
	env := g.env.Load()
	samples, complete := g.evalRules(ctx, env, ts, stop)
	if complete {
		g.ticks++
		g.metrics.lastSamples.Set(float64(samples))
		g.sweep(ctx, ts.Add(-g.offset(env)))
	}
	took := time.Since(start)
	var rules time.Duration
	for _, rs := range g.rules {
		rules += rs.evaluationTime
	}
	g.metrics.groupSeconds.Observe(took.Seconds())
	g.metrics.groupHistogram.Observe(took.Seconds())
	g.metrics.lastDuration.Set(took.Seconds())
	g.metrics.lastTimestamp.Set(float64(start.UnixNano()) / 1e9)
	g.metrics.lastRuleDurations.Set(rules.Seconds())

	g.mu.Lock()
	defer g.mu.Unlock()
	g.lastEvaluation, g.lastTimestamp, g.evaluationTime = start, ts, took
}

// tickShare is for how long a tick evaluates rule after rule before whoever waits for a processor gets it: an alert that a
// sample has just raised passes through a dozen goroutines.
const tickShare = 500 * time.Microsecond

// evalRules returns how many samples the rules returned, and whether it came to the end.
func (g *Group) evalRules(ctx context.Context, env *environment, ts time.Time, stop <-chan struct{}) (samples int, complete bool) {
	began := time.Now()
	for _, rs := range g.rules {
		select {
		case <-stop:
			return samples, false
		default:
		}
		if time.Since(began) > tickShare {
			runtime.Gosched()
			began = time.Now()
		}
		m := moment{ts: rs.clock.tick(ts, g.interval)}
		if stop != nil {
			m.since = ts
		}
		samples += g.evalRule(ctx, env, rs, m)
	}
	return samples, true
}

// context returns ctx with the tenant and, for the log of queries, the group.
func (g *Group) context(ctx context.Context) context.Context {
	return promql.NewOriginContext(tenant.NewContext(ctx, g.opts.Tenant), map[string]any{
		"ruleGroup": map[string]string{"file": g.file, "name": g.name},
	})
}

// sweep marks the series stale that rules of a previous configuration left, once no rule of this one returned them. They
// are tried again at the next evaluation when that fails.
func (g *Group) sweep(ctx context.Context, at time.Time) {
	if err := g.markStale(ctx, g.orphaned, at); err != nil {
		g.logger.Warn("Stale markers were not recorded", "err", err)
		return
	}
	g.orphaned = nil
}

// Status returns the group as it is now. It does not wait for an evaluation.
func (g *Group) Status() GroupStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	status := GroupStatus{
		Name:           g.name,
		File:           g.file,
		Interval:       g.interval,
		Limit:          g.limit,
		QueryOffset:    g.offset(g.env.Load()),
		Evaluation:     g.evaluation,
		LastEvaluation: g.lastEvaluation,
		LastTimestamp:  g.lastTimestamp,
		EvaluationTime: g.evaluationTime,
		Rules:          make([]RuleStatus, 0, len(g.rules)),
	}
	for _, rs := range g.rules {
		status.Rules = append(status.Rules, RuleStatus{
			Rule:           rs.rule(),
			Health:         rs.health,
			LastError:      rs.lastError,
			LastEvaluation: rs.lastEvaluation,
			EvaluationTime: rs.evaluationTime,
			State:          rs.alerts.State(),
			Alerts:         rs.alerts.AppendActive(nil),
			TicksOnly:      rs.ticksOnly,
		})
	}
	return status
}
