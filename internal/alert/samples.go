package alert

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// The series that alerting rules record, as Prometheus names them.
const (
	MetricName         = "ALERTS"
	ForStateMetricName = "ALERTS_FOR_STATE"
	StateLabel         = "alertstate"
)

// Sample is one recorded value of one alert.
type Sample struct {
	Labels labels.Labels
	Value  float64
}

// recorded holds the label sets that an instance is recorded under; empty ones were not needed yet.
type recorded struct {
	pending, firing, forState labels.Labels
}

// AppendSamples appends two samples for each active instance: ALERTS, which is 1, and ALERTS_FOR_STATE, which is the
// Unix time in seconds since when the alert is active. name and ruleLabels are the rule's, templates not expanded, and
// must be the same for the whole life of s: label sets are made once an instance and state.
func (s *Set) AppendSamples(dst []Sample, name string, ruleLabels labels.Labels) []Sample {
	for i := range s.instances {
		a := &s.instances[i]
		if a.State == Inactive {
			continue
		}
		cached := &a.out.pending
		if a.State == Firing {
			cached = &a.out.firing
		}
		if cached.IsEmpty() {
			*cached = recordedLabels(MetricName, name, ruleLabels, a.Labels, a.State.String())
		}
		if a.out.forState.IsEmpty() {
			a.out.forState = recordedLabels(ForStateMetricName, name, ruleLabels, a.Labels, "")
		}
		dst = append(dst,
			Sample{Labels: *cached, Value: 1},
			Sample{Labels: a.out.forState, Value: float64(a.ActiveAt.Unix())})
	}
	return dst
}

// recordedLabels puts the alert's labels over the rule's. A rule label whose template expanded to nothing is thereby
// recorded as the template's text, which is what Prometheus does. The state label is set unless state is empty.
func recordedLabels(metric, name string, ruleLabels, alertLabels labels.Labels, state string) labels.Labels {
	lb := labels.NewBuilder(ruleLabels)
	alertLabels.Range(func(l labels.Label) { lb.Set(l.Name, l.Value) })
	lb.Set(model.MetricNameLabel, metric)
	lb.Set(labels.AlertName, name)
	if state != "" {
		lb.Set(StateLabel, state)
	}
	return lb.Labels()
}

// ForStateMatchers returns what selects the ALERTS_FOR_STATE series of a rule. Labels that are templates are left out:
// what they expanded to is not known.
func ForStateMatchers(name string, ruleLabels labels.Labels) []*labels.Matcher {
	var matchers []*labels.Matcher
	recordedLabels(ForStateMetricName, name, ruleLabels, labels.EmptyLabels(), "").Range(func(l labels.Label) {
		if !IsTemplate(l.Value) {
			matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
		}
	})
	return matchers
}
