package ruletest

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/plan"
)

// The limits of the engine that promtool tests rules with. A query over them fails there, and so it must here.
const (
	maxSamples   = 10000
	queryTimeout = 100 * time.Second
)

// newQueryEngine returns an upstream engine as promtool sets it up, for the dialect of c; subqueries without a step of
// their own take step.
func newQueryEngine(c *plan.Compiler, step time.Duration) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples:               maxSamples,
		Timeout:                  queryTimeout,
		NoStepSubqueryIntervalFn: func(int64) int64 { return step.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   c.Parser(),
	})
}

// instant runs an instant query. A scalar becomes a vector of one sample without labels.
func instant(ctx context.Context, e promql.QueryEngine, q storage.Queryable, expr string, at time.Time) (promql.Vector, error) {
	query, err := e.NewInstantQuery(ctx, q, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	switch v := result.Value.(type) {
	case promql.Vector:
		// Close gives the vector's memory back to the engine; what leaves must be a copy.
		return append(promql.Vector(nil), v...), nil
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V, Metric: labels.EmptyLabels()}}, nil
	default:
		return nil, fmt.Errorf("the result is a %s, neither an instant vector nor a scalar", result.Value.Type())
	}
}

// externalURL returns a URL whose text is s, be s a valid URL or not: tests may set anything, and templates show it.
func externalURL(s string) *url.URL {
	if u, err := url.Parse(s); err == nil && u.String() == s {
		return u
	}
	return &url.URL{Opaque: s}
}
