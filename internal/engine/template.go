package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"

	"github.com/tocsin/tocsin/internal/alert"
)

// templatePrelude defines the variables that templates of alerting rules may use. It stands before every template, so
// that positions in error messages are Prometheus's.
const templatePrelude = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}" +
	"{{$externalURL := .ExternalURL}}{{$value := .Value}}"

// errNoCompiler is what the template function `query` says where there is no Compiler.
var errNoCompiler = errors.New("this build evaluates rules without a compiler for queries in templates")

// expander turns the samples of one evaluation of one rule into alerts.
type expander struct {
	group *Group
	env   *environment
	state *ruleState
	at    time.Time
	// tick says that all annotations are made anew; otherwise those of firing alerts stay.
	tick bool

	// Of the present sample: made when the first template needs it.
	sample promql.Sample
	data   any

	// failed is the first error, failures how many there were: one log line an evaluation is enough.
	failed   error
	failures int
}

// expand makes alerts of the samples, in the group's buffer.
func (g *Group) expand(ctx context.Context, env *environment, rs *ruleState, vector promql.Vector, m moment) {
	if len(vector) == 0 {
		return
	}
	x := &g.buffers.expander
	*x = expander{group: g, env: env, state: rs, at: m.ts, tick: m.isTick()}
	rs.derivation.begin()
	for _, s := range vector {
		x.sample, x.data = s, nil
		ls := x.labels(ctx)
		g.buffers.inputs = append(g.buffers.inputs, alert.Input{Labels: ls, Annotations: x.annotations(ctx, ls), Value: s.F})
	}
	if x.failed != nil {
		rs.logger.Warn("Expanding alert templates failed", "line", rs.rule().Line, "failures", x.failures, "err", x.failed)
	}
	*x = expander{}
}

// labels returns the labels of the alert that the present sample makes.
func (x *expander) labels(ctx context.Context) labels.Labels {
	return x.labelsOf(ctx, &x.state.derivation)
}

// labelsOf is labels with another memory of what was made.
func (x *expander) labelsOf(ctx context.Context, known *derivation) labels.Labels {
	remember := !x.state.labelTemplates
	if remember {
		if to, ok := known.of(x.sample.Metric); ok {
			return to
		}
	}
	r, lb := x.state.rule(), x.group.buffers.builder
	lb.Reset(x.sample.Metric)
	lb.Del(model.MetricNameLabel)
	r.Labels.Range(func(l labels.Label) { lb.Set(l.Name, x.expand(ctx, l.Value)) })
	lb.Set(labels.AlertName, r.Name)
	to := lb.Labels()
	if remember {
		known.set(x.sample.Metric, to)
	}
	return to
}

// annotations returns those of the alert with the given labels that the present sample makes.
func (x *expander) annotations(ctx context.Context, of labels.Labels) labels.Labels {
	r := x.state.rule()
	if !x.state.annotationTemplates {
		return r.Annotations
	}
	if !x.tick {
		if known, ok := x.state.alerts.Firing(of); ok {
			return known
		}
	}
	sb := labels.NewScratchBuilder(r.Annotations.Len())
	r.Annotations.Range(func(l labels.Label) { sb.Add(l.Name, x.expand(ctx, l.Value)) })
	return sb.Labels()
}

// hasTemplate reports whether a value has to be expanded.
func hasTemplate(ls labels.Labels) bool {
	found := false
	ls.Range(func(l labels.Label) { found = found || alert.IsTemplate(l.Value) })
	return found
}

// expand returns what text becomes for the present sample. Where that fails, the text says so: an alert with a broken
// annotation is better than none.
func (x *expander) expand(ctx context.Context, text string) string {
	if !alert.IsTemplate(text) {
		return text
	}
	if x.data == nil {
		x.data = template.AlertTemplateData(x.sample.Metric.Map(), x.env.externalLabels, x.env.externalURLText, x.sample)
	}
	expanded, err := template.NewTemplateExpander(ctx, templatePrelude+text, "__alert_"+x.state.rule().Name, x.data,
		model.Time(timestamp.FromTime(x.at)), x.query, x.env.externalURL, nil).Expand()
	if err != nil {
		x.failures++
		if x.failed == nil {
			x.failed = err
		}
		return fmt.Sprintf("<error expanding template: %s>", err)
	}
	return expanded
}

// query is the template function of that name.
func (x *expander) query(ctx context.Context, text string, at time.Time) (promql.Vector, error) {
	if x.group.opts.Compiler == nil {
		return nil, errNoCompiler
	}
	p, err := x.group.opts.Compiler.Compile(text)
	if err != nil {
		return nil, err
	}
	v, err := x.group.opts.Eval(ctx, p, at, nil)
	x.group.streamer.evaluatedElsewhere(p, at)
	return v, err
}
