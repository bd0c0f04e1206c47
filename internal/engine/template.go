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
	"github.com/tocsin/tocsin/internal/rule"
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
	rule  *rule.Rule
	at    time.Time

	// Of the present sample: made when the first template needs it.
	sample promql.Sample
	data   any

	// failed is the first error, failures how many there were: one log line an evaluation is enough.
	failed   error
	failures int
}

// inputs appends one alert for each sample to dst.
func (x *expander) inputs(ctx context.Context, dst []alert.Input, vector promql.Vector) []alert.Input {
	lb := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range vector {
		x.sample, x.data = s, nil
		lb.Reset(s.Metric)
		lb.Del(model.MetricNameLabel)
		x.rule.Labels.Range(func(l labels.Label) { lb.Set(l.Name, x.expand(ctx, l.Value)) })
		lb.Set(labels.AlertName, x.rule.Name)
		dst = append(dst, alert.Input{Labels: lb.Labels(), Annotations: x.annotations(ctx), Value: s.F})
	}
	return dst
}

func (x *expander) annotations(ctx context.Context) labels.Labels {
	constant := true
	x.rule.Annotations.Range(func(l labels.Label) { constant = constant && !alert.IsTemplate(l.Value) })
	if constant {
		return x.rule.Annotations
	}
	sb := labels.NewScratchBuilder(x.rule.Annotations.Len())
	x.rule.Annotations.Range(func(l labels.Label) { sb.Add(l.Name, x.expand(ctx, l.Value)) })
	return sb.Labels()
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
	expanded, err := template.NewTemplateExpander(ctx, templatePrelude+text, "__alert_"+x.rule.Name, x.data,
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
	return x.group.opts.Eval(ctx, p, at)
}
