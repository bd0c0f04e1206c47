package web

import (
	"errors"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// parseMatchers parses match[] parameters. Each must have a matcher that the empty string does not satisfy, as upstream
// demands: otherwise it selects everything.
func parseMatchers(c *plan.Compiler, selectors []string) ([][]*labels.Matcher, error) {
	sets, err := c.Parser().ParseMetricSelectors(selectors)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if allMatchEmpty(set) {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}

func allMatchEmpty(set []*labels.Matcher) bool {
	for _, m := range set {
		if m != nil && !m.Matches("") {
			return false
		}
	}
	return true
}

// matchesAny reports whether one of the sets matches ls whole; no sets match everything.
func matchesAny(sets [][]*labels.Matcher, ls labels.Labels) bool {
	for _, set := range sets {
		all := true
		for _, m := range set {
			all = all && m.Matches(ls.Get(m.Name))
		}
		if all {
			return true
		}
	}
	return len(sets) == 0
}
