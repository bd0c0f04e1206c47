package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/plan"
)

// drainDeadline is how long Close waits for cancelled queries to let go of the database.
const drainDeadline = 10 * time.Second

// ErrNotVector says that a rule's expression returned neither a vector nor a scalar.
var ErrNotVector = errors.New("rule result is not a vector or scalar")

// Eval runs p at one time on the upstream engine: tier 0. A scalar becomes a vector of one sample without labels.
func (s *Store) Eval(ctx context.Context, p *plan.Plan, at time.Time) (promql.Vector, error) {
	ctx = context.WithValue(ctx, ruleLane{}, true)
	q, err := s.QueryEngine().NewInstantQuery(ctx, s, nil, p.String(), at)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	switch v := res.Value.(type) {
	case promql.Vector:
		return v, nil
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V, Metric: labels.EmptyLabels()}}, nil
	}
	return nil, ErrNotVector
}

// Range runs an expression at start, start+step, … up to end on the upstream engine, for a rule.
func (s *Store) Range(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
	ctx = context.WithValue(ctx, ruleLane{}, true)
	q, err := s.QueryEngine().NewRangeQuery(ctx, s, nil, text, start, end, step)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return nil, res.Err
	}
	m, err := res.Matrix()
	if err != nil {
		return nil, err
	}
	own := make(promql.Matrix, len(m)) // Close takes back the memory of the points.
	for i, series := range m {
		own[i] = promql.Series{Metric: series.Metric, Floats: slices.Clone(series.Floats), Histograms: slices.Clone(series.Histograms)}
	}
	return own, nil
}

// QueryEngine returns the upstream engine for people's queries. Its queries are cancelled when the store
// closes.
func (s *Store) QueryEngine() promql.QueryEngine { return queryEngine{s} }

// queryEngine ties upstream's queries to the store's life: the head's chunks are mapped memory, which nobody may read
// after the database is closed.
type queryEngine struct{ store *Store }

func (e queryEngine) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, ts time.Time) (promql.Query, error) {
	inner, err := e.store.engine.NewInstantQuery(ctx, q, opts, qs, ts)
	return e.tie(inner, err)
}

func (e queryEngine) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, qs string, start, end time.Time, interval time.Duration) (promql.Query, error) {
	inner, err := e.store.engine.NewRangeQuery(ctx, q, opts, qs, start, end, interval)
	return e.tie(inner, err)
}

func (e queryEngine) tie(inner promql.Query, err error) (promql.Query, error) {
	if err != nil {
		return nil, err
	}
	return query{Query: inner, running: e.store.running}, nil
}

type query struct {
	promql.Query
	running context.Context
}

// Exec runs the query until it is done, ctx ends or the store closes.
func (q query) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(q.running, cancel)()
	return q.Query.Exec(ctx)
}

// ruleLane marks a context whose query is a rule's.
type ruleLane struct{}

// gate bounds how many queries run at once, in two lanes, so that people's queries cannot make rules wait. It is what
// upstream calls a query tracker; upstream's own also keeps a mapped file of running queries and panics where it cannot.
type gate struct {
	lanes  [2]chan struct{} // people, rules
	closed chan struct{}
}

func newGate(n int) *gate {
	return &gate{
		lanes:  [2]chan struct{}{make(chan struct{}, n), make(chan struct{}, n)},
		closed: make(chan struct{}),
	}
}

// GetMaxConcurrent returns how many queries of people run at once.
func (g *gate) GetMaxConcurrent() int { return cap(g.lanes[0]) }

// Insert waits for a place and returns its lane.
func (g *gate) Insert(ctx context.Context, _ string) (int, error) {
	lane := 0
	if ctx.Value(ruleLane{}) != nil {
		lane = 1
	}
	select {
	case <-g.closed:
		return 0, ErrClosed
	default:
	}
	select {
	case <-g.closed:
		return 0, ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	case g.lanes[lane] <- struct{}{}:
		return lane, nil
	}
}

// Delete gives the place back.
func (g *gate) Delete(lane int) { <-g.lanes[lane] }

// Close lets nobody in any more and waits for those inside, by taking every place for itself.
func (g *gate) Close() error {
	close(g.closed)
	deadline := time.NewTimer(drainDeadline)
	defer deadline.Stop()
	for _, lane := range g.lanes {
		for taken := range cap(lane) {
			select {
			case lane <- struct{}{}:
			case <-deadline.C:
				return fmt.Errorf("history: %d queries did not end within %s", cap(lane)-taken, drainDeadline)
			}
		}
	}
	return nil
}
