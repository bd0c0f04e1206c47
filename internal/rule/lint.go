package rule

import (
	"fmt"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// Lint returns what is valid in a file and yet hardly meant, one line each, in the order of the file.
func Lint(f *File) []string {
	var out []string
	same := map[string]int{}
	if f.RuleCount() == 0 {
		out = append(out, f.Path+": there are no rules in it")
	}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			warn := func(format string, args ...any) {
				out = append(out, fmt.Sprintf("%s:%d: group %q, rule %q: ", f.Path, r.Line, g.Name, r.Name)+fmt.Sprintf(format, args...))
			}
			// Several rules of one name are common, for several sources of the same fact.
			if first, ok := same[r.ID]; ok {
				warn("is the same as the rule of line %d", first)
			} else {
				same[r.ID] = r.Line
			}
			if name := changingLabel(r); name != "" {
				warn("the label %s is made of the value, so that clear and on_missing cannot find the alert again once it changes; make it an annotation", name)
			}
			switch {
			case !r.Plan.Evaluable():
				warn("the expression returns a %s, and every evaluation will fail; rules take instant vectors and scalars", r.Plan.ResultType())
			case r.Condition != "":
				lintSimple(r, warn)
			case r.Kind == Alerting && !r.Plan.Filters() && len(r.Plan.Selectors()) > 0: // vector(1) is meant to fire always
				warn("nothing in the expression filters, so that it fires whenever its series exist, whatever their values")
			}
		}
	}
	return out
}

// changingLabel returns a label that may change with the value of an alert that has to be found again by its labels; empty
// where there is none.
func changingLabel(r *Rule) (name string) {
	if r.Clear == nil && r.OnMissing == alert.MissingResolves {
		return ""
	}
	r.Labels.Range(func(l labels.Label) {
		if strings.Contains(l.Value, "{{") && (strings.Contains(l.Value, "$value") || strings.Contains(l.Value, ".Value")) {
			name = l.Name
		}
	})
	return name
}

func lintSimple(r *Rule, warn func(string, ...any)) {
	if !r.Plan.Filters() {
		warn("the condition looks at no value, so that it fires whenever such a series exists")
	}
	for _, ms := range r.Plan.Selectors() {
		named := false
		for _, m := range ms {
			named = named || m.Name == model.MetricNameLabel && (m.Type == labels.MatchEqual || m.Type == labels.MatchRegexp && m.Value != ".+")
		}
		if !named {
			warn("applies to series of every metric; give it a metric where one is meant")
			return
		}
	}
}
