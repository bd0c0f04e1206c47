package rule

import (
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/tocsin/tocsin/internal/plan"
)

// parsePrometheus fills f from a file in Prometheus's format
// (https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/). Upstream's own loader says what is
// valid; what it returns without position gets one here.
func parsePrometheus(f *File, src *source, c *plan.Compiler) []error {
	parsed, errs := rulefmt.Parse(src.content, false, model.UTF8Validation, c.Parser(), slog.New(slog.DiscardHandler))
	groups := groupNodes(src)
	if len(errs) > 0 {
		return (&upstreamErrors{src: src, groups: groups}).translate(errs)
	}
	if src.more {
		f.Warnings = append(f.Warnings, fmt.Sprintf("%s: %s", f.Path, multipleDocuments))
	}
	for i, g := range parsed.Groups {
		group := &Group{
			Name:        g.Name,
			File:        f.Path,
			Interval:    time.Duration(g.Interval),
			Limit:       g.Limit,
			QueryOffset: (*time.Duration)(g.QueryOffset),
			Rules:       make([]*Rule, 0, len(g.Rules)),
		}
		for j := range g.Rules {
			line := 0
			if i < len(groups) && j < len(groups[i].rules) {
				line = groups[i].rules[j].Line
			}
			r, err := newRule(&g.Rules[j], g.Labels, line, c)
			if err != nil {
				errs = append(errs, &Error{File: f.Path, Line: line, Group: g.Name, Rule: j + 1, RuleName: nameOf(&g.Rules[j]), Err: err})
				continue
			}
			group.Rules = append(group.Rules, r)
		}
		f.Groups = append(f.Groups, group)
	}
	return errs
}

// newRule makes a rule of a definition that upstream has validated.
func newRule(def *rulefmt.Rule, groupLabels map[string]string, line int, c *plan.Compiler) (*Rule, error) {
	p, err := c.Compile(def.Expr)
	if err != nil {
		return nil, err
	}
	merged := maps.Clone(groupLabels)
	if merged == nil {
		merged = def.Labels
	} else {
		maps.Copy(merged, def.Labels)
	}
	r := &Rule{
		Kind:          Recording,
		Name:          nameOf(def),
		Plan:          p,
		For:           time.Duration(def.For),
		KeepFiringFor: time.Duration(def.KeepFiringFor),
		Labels:        labels.FromMap(merged),
		Annotations:   labels.FromMap(def.Annotations),
		Line:          line,
	}
	if def.Alert != "" {
		r.Kind = Alerting
	}
	r.ID = contentID(r)
	return r, nil
}

func nameOf(def *rulefmt.Rule) string {
	if def.Alert != "" {
		return def.Alert
	}
	return def.Record
}
