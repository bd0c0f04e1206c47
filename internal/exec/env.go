package exec

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/schema"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/window"
)

// env is what operators have in common.
type env struct {
	store *window.Store
	// lookback is how far instant selectors reach back, in milliseconds.
	lookback int64
	// slack is how late a sample may come and still count in the steps of a subquery, in milliseconds.
	slack int64
	// subqueryStep returns the resolution of subqueries that name none, in milliseconds.
	subqueryStep func() int64
	// pulse is the number of the last or running pulse.
	pulse uint64
	// kernels runs programs; nil interprets them.
	kernels kernel.Library
}

// RangeFunc evaluates an expression on tier 0 at start, start+step, … up to end.
type RangeFunc func(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error)

// dropName returns ls without what a function's result does not bear: the metric name, its type and its unit.
func dropName(ls labels.Labels) labels.Labels { return ls.DropReserved(schema.IsMetadataLabel) }

// open returns a runner of p. expression is what it is for, for people.
func (e *env) open(p *kernel.Program, expression string) kernel.Runner {
	if e.kernels == nil {
		return kernel.NewInterpreter(p)
	}
	return e.kernels.Open(p, expression)
}
