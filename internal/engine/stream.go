package engine

import (
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// DefaultSettle is how long a rule with several inputs waits for those that have not come yet.
const DefaultSettle = 50 * time.Millisecond

// Stream tells of samples that arrived for rules. *exec.Core is one; times are in Unix milliseconds. It knows the plans
// of a configuration before Apply is called with it.
type Stream interface {
	// Wake returns a channel with room for one signal: samples have arrived since the last Pulse.
	Wake() <-chan struct{}
	// Stream says which plans are to follow arrivals, in place of those of before.
	Stream(plans []*plan.Plan)
	// Pulse lets what arrived run through the streaming plans, as of now, and appends those that were touched to buf.
	// next is when a pulse is due without any arrival; 0 never.
	Pulse(now int64, buf []exec.Touched) (touched []exec.Touched, next int64)
	// Reached reports whether every input of p has come as far as the given time.
	Reached(p *plan.Plan, at int64) bool
	// Result appends p's elements, as the last Pulse or evaluation left them, to buf, or fails with an *exec.Bail.
	Result(p *plan.Plan, at int64, buf promql.Vector) (promql.Vector, error)
}

// Evaluation says when the rules of a group are evaluated. The zero value is what groups do where nobody says otherwise.
type Evaluation struct {
	// Strict groups are evaluated at their ticks only, exactly as in Prometheus. Others are at the same ticks, and also
	// when samples arrive and when a `for` or keep_firing_for ends.
	Strict bool
	// Settle is how long a rule with several inputs waits for the others after a sample arrived for one, and how often a
	// recording rule records on arrival at most; 0 means DefaultSettle, negative means no waiting.
	Settle time.Duration
}

func (e Evaluation) withDefaults() Evaluation {
	e.Settle = durationOr(e.Settle, DefaultSettle)
	return e
}

// evaluation returns when the rules of a group are evaluated under c.
func (c Config) evaluation(file, group string) Evaluation {
	if c.Evaluation == nil {
		return Evaluation{}.withDefaults()
	}
	return c.Evaluation(file, group).withDefaults()
}
