package rule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin/tocsin/internal/plan"
)

const (
	// defaultWithin is how far back a series may have been there to be missing, where the rule does not say.
	defaultWithin = time.Hour
	// lookback is how long a series counts as there after its last sample, unless it is marked stale.
	lookback = 5 * time.Minute
)

// missingCondition reports whether a condition is `missing`, or `missing and` more, and what that is.
func missingCondition(condition string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(strings.TrimLeft(condition, white), "missing")
	if !ok || strings.Trim(rest, white) == "" {
		return "", ok
	}
	after := strings.TrimLeft(rest, white)
	if test, ok := strings.CutPrefix(after, "&&"); ok {
		return test, true
	}
	const and = "and"
	if len(after) == len(rest) || len(after) <= len(and) || !strings.EqualFold(after[:len(and)], and) || isLetter(after[len(and)]) || isDigit(after[len(and)]) {
		return "", false // A label of that name, perhaps.
	}
	return after[len(and):], true
}

// white is what may stand between the words of a condition.
const white = " \t\r\n"

// lowerMissing is lower for the condition missing: the series of one metric that had a sample within a span and are not
// there, with their last value. rest, where it is not empty, tests their labels.
func (d *simpleReader) lowerMissing(def *simpleRule, rest string, c *plan.Compiler) (low lowered, shown string, ok bool) {
	condition := def.nodes["condition"]
	for _, field := range []string{"threshold", "thresholds", "clear"} {
		if n := def.nodes[field]; n != nil {
			d.fail(n, "%s does not go with the condition missing", field)
			return low, "", false
		}
	}
	within := def.within
	if def.nodes["within"] == nil {
		within = defaultWithin
	}
	if def.duration+lookback >= within {
		at := def.nodes["within"]
		if at == nil {
			at = def.nodes["duration"]
		}
		d.fail(at, "a series counts as there for %s after its last sample, and as missing from then on until within (%s) has passed: duration (%s) leaves no time to fire",
			milliseconds(lookback.Milliseconds()), milliseconds(within.Milliseconds()), milliseconds(def.duration.Milliseconds()))
		return low, "", false
	}
	low, err := lowerMissing(def.condition, rest, def.metric, within, c)
	if err != nil {
		d.failCondition(condition, true, err)
		return low, "", false
	}
	shown = strings.Map(flat, strings.TrimSpace(def.condition)) + ", was there within " + milliseconds(within.Milliseconds())
	return low, shown, true
}

// lowerMissing writes the condition's PromQL.
func lowerMissing(text, rest, metric string, within time.Duration, c *plan.Compiler) (lowered, error) {
	as := []alternative{{}}
	if rest != "" {
		// Blanks in place of what was read, so that places are those of the whole.
		n, cerr := parseCondition(strings.Repeat(" ", len(text)-len(rest)) + rest)
		if cerr != nil {
			cerr.text = text
			return lowered{}, cerr
		}
		var at *term
		if as, at = alternatives(n, false); at != nil {
			return lowered{}, &conditionError{text: text, pos: at.pos, msg: fmt.Sprintf("with this, the condition falls into more than %d alternatives", maxAlternatives)}
		}
	}
	out := lowered{missing: true}
	var parts []string
	for _, a := range as {
		for _, t := range a {
			if t.matcher == nil {
				return lowered{}, &conditionError{text: text, pos: t.left.pos, msg: "a series that is missing has no value to test", hint: "test labels: missing and job == \"node\""}
			}
		}
		a, possible := a.settle(metric)
		if !possible {
			continue
		}
		switch name := a.name(); {
		case name == "" || out.metric != "" && out.metric != name:
			return lowered{}, &conditionError{text: text, pos: 0, msg: "needs one metric whose series are to be there", hint: "say which in the rule's field metric"}
		default:
			out.metric = name
		}
		selector := a.selector(c)
		parts = append(parts, fmt.Sprintf("last_over_time(%s[%s]) unless %s", selector, milliseconds(within.Milliseconds()), selector))
	}
	if len(parts) == 0 {
		return lowered{}, &conditionError{text: text, pos: 0, msg: "can never be true", hint: "do two of its tests, or the rule's metric, contradict each other?"}
	}
	if out.promql = strings.Join(parts, " or "); len(out.promql) > maxPromQL {
		return lowered{}, errors.New("the condition becomes too much PromQL; write it as several rules")
	}
	return out, nil
}
