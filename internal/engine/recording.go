package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// errDuplicateRecorded says that two samples of one result became the same series. The words are Prometheus's.
var errDuplicateRecorded = errors.New("vector contains metrics with the same labelset after applying rule labels")

// evalRecording evaluates a recording rule.
func (g *Group) evalRecording(ctx context.Context, env *environment, rs *ruleState, m moment) verdict {
	vector, err := g.result(ctx, env, rs, m)
	if err != nil {
		return failed(err)
	}
	if len(vector) == 0 && rs.recorded.idle() {
		return verdict{}
	}
	defer g.buffers.release()
	rs.derivation.begin()
	for i := range vector {
		to, ok := rs.derivation.of(vector[i].Metric)
		if !ok {
			to = g.recordedLabels(rs, vector[i].Metric)
			rs.derivation.set(vector[i].Metric, to)
		}
		vector[i].Metric = to
	}
	rs.recorded.begin()
	for i := range vector {
		if !rs.recorded.mark(rs.recorded.place(vector[i].Metric)) {
			return failed(errDuplicateRecorded)
		}
	}
	if g.limit > 0 && len(vector) > g.limit {
		return failed(fmt.Errorf("exceeded limit of %d with %d series", g.limit, len(vector)))
	}
	refused, err := g.record(ctx, rs, vector, m.ts.Add(-g.offset(env)), !m.isTick())
	if err != nil {
		return verdict{samples: len(vector), err: err, counted: true}
	}
	return verdict{samples: len(vector), err: refused}
}

// recordedLabels returns the labels of the series that a sample is recorded as.
func (g *Group) recordedLabels(rs *ruleState, from labels.Labels) labels.Labels {
	lb := g.buffers.builder
	lb.Reset(from)
	lb.Set(model.MetricNameLabel, rs.rule().Name)
	rs.rule().Labels.Range(func(l labels.Label) { lb.Set(l.Name, l.Value) })
	return lb.Labels()
}
