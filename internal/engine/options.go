package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// EvalFunc runs p as an instant query at the given time and appends its result to buf, which the caller owns and uses
// again; a scalar comes back as one sample without labels. The context carries the tenant. The labels of the result are
// shared: they must not be changed in place.
//
// It is called from several goroutines at a time. A panic inside it harms only the rule that was being evaluated.
type EvalFunc func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error)

// Defaults of Options and Config.
const (
	DefaultInterval        = time.Minute
	DefaultResendDelay     = time.Minute
	DefaultOutageTolerance = time.Hour
	DefaultForGracePeriod  = 10 * time.Minute
	DefaultStopTimeout     = 10 * time.Second

	DefaultSettleAfterStart = 30 * time.Second
)

// Options says what an Engine or a Group works with. Only Eval is required.
type Options struct {
	// Tenant owns the rules; empty means tenant.Default. Every context that leaves the package carries it.
	Tenant tenant.ID
	// Logger gets what an operator should know; nil discards it.
	Logger *slog.Logger
	// Registerer gets the metrics; nil leaves them unregistered. Metrics that are already registered there (by another
	// Group of the same process) are shared.
	Registerer prometheus.Registerer

	// Eval runs expressions. Required.
	Eval EvalFunc
	// Tier says on which tier a plan runs at present, for metrics; nil goes by the plan.
	Tier func(*plan.Plan) int
	// Stream tells of arrivals; nil means that groups are evaluated at their ticks only. Groups that no Engine owns
	// ignore it.
	Stream Stream
	// Compiler compiles the expressions that templates query; without one the template function `query` fails.
	Compiler *plan.Compiler
	// Appendable takes recorded series, ALERTS and ALERTS_FOR_STATE; nil records nothing.
	Appendable storage.AppendableV2
	// Queryable is where the `for` state of alerts is restored from after a restart; nil restores nothing.
	Queryable storage.Queryable

	// OnTransition is told of every change of an alert's state, in order, after the evaluation that caused it was
	// committed to history and before Notify. It is called from the group's goroutine and holds up its evaluation. A
	// failed commit does not withhold it: an alert must not be lost to a full disk.
	OnTransition func(ctx context.Context, t alert.Transition)
	// Notify is told of alerts that are due to be sent: new, resolved, or repeated after ResendDelay. Never called
	// with none. It is called from the group's goroutine and must not wait for a receiver.
	Notify func(ctx context.Context, alerts []alert.Outgoing)

	// Rest is called between the pieces of an Apply that take long, with nothing locked that evaluations need; nil does
	// nothing.
	Rest func()

	// Ledger records every change of an alert before anybody is told of it, and is what alerts are taken up from after a
	// restart; nil means that neither is done.
	Ledger *ledger.Ledger

	// ResendDelay is how long to wait before an alert is repeated to Notify; 0 means DefaultResendDelay, negative
	// repeats it at every evaluation.
	ResendDelay time.Duration
	// OutageTolerance is how long an outage may have lasted for `for` state to be restored after it; 0 means
	// DefaultOutageTolerance, negative restores nothing.
	OutageTolerance time.Duration
	// ForGracePeriod is the least time between a restored alert and its firing; alerts with a shorter `for` are not
	// restored. 0 means DefaultForGracePeriod, negative means none.
	ForGracePeriod time.Duration
	// SettleAfterStart is how long after a restart an alert that was taken up from the ledger stays what it is while its
	// series may only not be back yet; never less than the group's first two evaluations. 0 means
	// DefaultSettleAfterStart, negative means no longer than those.
	SettleAfterStart time.Duration
	// StopTimeout bounds how long Stop lets evaluations in flight finish before it cancels them; 0 means
	// DefaultStopTimeout, negative cancels at once.
	StopTimeout time.Duration
}

// Validate says what is missing.
func (o Options) Validate() error {
	if o.Eval == nil {
		return errors.New("engine: Options.Eval is required: there is nothing to run expressions with")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Tenant == "" {
		o.Tenant = tenant.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rest == nil {
		o.Rest = func() {}
	}
	o.ResendDelay = durationOr(o.ResendDelay, DefaultResendDelay)
	o.OutageTolerance = durationOr(o.OutageTolerance, DefaultOutageTolerance)
	o.ForGracePeriod = durationOr(o.ForGracePeriod, DefaultForGracePeriod)
	o.SettleAfterStart = durationOr(o.SettleAfterStart, DefaultSettleAfterStart)
	o.StopTimeout = durationOr(o.StopTimeout, DefaultStopTimeout)
	return o
}

// durationOr maps a setting to its value: zero is the default, negative is none.
func durationOr(d, whenZero time.Duration) time.Duration {
	if d == 0 {
		return whenZero
	}
	return max(d, 0)
}

// Config is the part that a reload may change.
type Config struct {
	// Groups in any order. File and Name together must be unique.
	Groups []*rule.Group
	// Interval of groups that name none; 0 means DefaultInterval.
	Interval time.Duration
	// QueryOffset of groups that name none.
	QueryOffset time.Duration
	// Evaluation says when the rules of a group are evaluated; nil is the zero Evaluation for all.
	Evaluation func(file, group string) Evaluation
	// ExternalLabels are what templates see as $externalLabels. They are not added to alerts here.
	ExternalLabels labels.Labels
	// ExternalURL leads people to this process; templates see it and generator URLs start with it. Nil means none.
	ExternalURL *url.URL
}
