package ruletest

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// compiledEval runs rules as the server does: compiled where that is possible, on the upstream engine otherwise.
func compiledEval(env Env) engine.EvalFunc {
	over := exec.NewOver(
		exec.Options{
			Range:        rangeOf(env.Engine, env.Storage),
			SubqueryStep: func() time.Duration { return env.EvaluationInterval },
		},
		env.Storage,
		func(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error) {
			return instant(ctx, env.Engine, env.Storage, p.String(), at)
		},
	)
	return func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
		v, err := over.Eval(ctx, p, at)
		return append(buf, v...), err
	}
}

// rangeOf returns what evaluates the steps of subqueries.
func rangeOf(e promql.QueryEngine, q storage.Queryable) exec.RangeFunc {
	return func(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
		query, err := e.NewRangeQuery(ctx, q, nil, text, start, end, step)
		if err != nil {
			return nil, err
		}
		defer query.Close()
		m, err := query.Exec(ctx).Matrix()
		if err != nil {
			return nil, err
		}
		own := make(promql.Matrix, len(m)) // Close takes back the memory of the points.
		for i, s := range m {
			own[i] = promql.Series{Metric: s.Metric, Floats: slices.Clone(s.Floats), Histograms: slices.Clone(s.Histograms)}
		}
		return own, nil
	}
}
