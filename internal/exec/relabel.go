package exec

import (
	"strings"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/schema"

	"github.com/tocsin/tocsin/internal/plan"
)

// newRelabel makes the operator of label_replace or label_join: values go through, labels are made when somebody asks
// for them. Arguments that PromQL refuses are left to tier 0, evaluation by evaluation.
func newRelabel(n *plan.Node, in []operator, _ *env) operator {
	f := newPass(n, in[0])
	r := n.Relabel
	old := f.shape.labels
	f.shape.unique = false // Two series may come to have the same labels.
	if schema.IsMetadataLabel(r.Dst) {
		f.shape.named = true
		f.shape.oneName = f.shape.oneName && r.Dst != model.MetricNameLabel
	}
	if !model.UTF8Validation.IsValidLabelName(r.Dst) {
		f.failure = errParameter
	}
	if r.Join {
		for _, src := range r.Src {
			if !model.UTF8Validation.IsValidLabelName(src) {
				f.failure = errParameter
			}
		}
		f.shape.labels = func(lane uint32) labels.Labels { return joined(old(lane), r) }
		return f
	}
	pattern, err := regexp.Compile("^(?s:" + r.Regex + ")$")
	if err != nil {
		f.failure = errParameter
		return f
	}
	f.shape.labels = func(lane uint32) labels.Labels { return replaced(old(lane), r, pattern) }
	return f
}

// replaced returns what label_replace makes of ls; empty labels are none.
func replaced(ls labels.Labels, r *plan.Relabeling, pattern *regexp.Regexp) labels.Labels {
	src := ls.Get(r.Src[0])
	found := pattern.FindStringSubmatchIndex(src)
	if found == nil {
		return ls
	}
	lb := labels.NewBuilder(ls)
	lb.Set(r.Dst, string(pattern.ExpandString(nil, r.Replacement, src, found)))
	return lb.Labels()
}

// joined returns what label_join makes of ls.
func joined(ls labels.Labels, r *plan.Relabeling) labels.Labels {
	values := make([]string, len(r.Src))
	for i, src := range r.Src {
		values[i] = ls.Get(src)
	}
	lb := labels.NewBuilder(ls)
	lb.Set(r.Dst, strings.Join(values, r.Separator))
	return lb.Labels()
}
