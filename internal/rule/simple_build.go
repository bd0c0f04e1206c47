package rule

import (
	"errors"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"github.com/tocsin/tocsin/internal/plan"
)

// operatorWords are the conditions in one word.
const operatorWords = "greater_than, greater_or_equal, less_than, less_or_equal, equals and not_equals"

// operatorWord returns the comparison that a condition in one word stands for, "" for an expression.
func operatorWord(condition string) string {
	switch strings.TrimSpace(condition) {
	case "greater_than":
		return ">"
	case "greater_or_equal":
		return ">="
	case "less_than":
		return "<"
	case "less_or_equal":
		return "<="
	case "equals":
		return "=="
	case "not_equals":
		return "!="
	}
	return ""
}

// build lowers a rule that was read without errors to the common model. It returns nil where it notes an error.
func (d *simpleReader) build(def *simpleRule, c *plan.Compiler) *Rule {
	condition := def.nodes["condition"]
	shown := strings.Map(flat, strings.TrimSpace(def.condition))
	expression := def.condition
	if op := operatorWord(def.condition); op != "" {
		if def.threshold == nil {
			d.fail(condition, "condition %s needs a threshold", shown)
			return nil
		}
		expression = "value " + op + " " + conditionNumber(*def.threshold)
		shown += " " + formatNumber(*def.threshold)
	} else if _, cerr := parseCondition(def.condition); def.threshold != nil && cerr != nil {
		d.fail(condition, "condition %q is none of the words that go with a threshold: %s", shown, operatorWords)
		return nil
	} else if def.threshold != nil {
		d.fail(def.nodes["threshold"], "threshold goes with %s; an expression holds its numbers itself, such as value > 80", operatorWords)
		return nil
	}
	low, err := lowerCondition(expression, def.metric, c)
	if err != nil {
		offset := 0
		if ce, ok := errors.AsType[*conditionError](err); ok && expression == def.condition {
			offset = ce.pos
		}
		line, column := d.src.at(condition, offset)
		d.failAt(line, column, err)
		return nil
	}
	for _, name := range []string{nameLabel, movedLabel} {
		if _, ok := def.labels[name]; ok && low.metric == "" {
			key, _ := field(def.nodes["labels"], name)
			d.fail(key, "label %s is taken: a rule over several metrics keeps their names there", name)
			return nil
		}
	}
	def.annotate(low, shown)
	rule := &rulefmt.Rule{
		Alert:       def.title(),
		Expr:        low.promql,
		For:         model.Duration(def.duration),
		Labels:      def.labels,
		Annotations: def.annotations,
	}
	invalid := rule.Validate(rulefmt.RuleNode{}, model.UTF8Validation, c.Parser())
	for i := range invalid {
		reason := invalid[i].Unwrap()
		key := labelNode(def.node, reason.Error())
		if key == nil { // severity, summary and description stand beside labels and annotations
			key = def.shorthandNode(reason.Error())
		}
		line, column := position(key, def.node)
		d.failAt(line, column, reason)
	}
	if len(invalid) > 0 {
		return nil
	}
	r, err := newRule(rule, nil, def.node.Line, c)
	if err != nil {
		d.fail(condition, "the condition became PromQL that does not parse, which is a fault of tocsin's: %w", err)
		return nil
	}
	r.Condition = shown
	return r
}

// conditionNumber writes v as a condition's number.
func conditionNumber(v float64) string {
	s := formatNumber(v)
	return strings.Replace(s, "Inf", "1/0", 1)
}

// annotate adds the annotations that the author left out.
func (r *simpleRule) annotate(low lowered, condition string) {
	about := literal(low.metric)
	if low.metric == "" {
		about = "{{ $labels." + nameLabel + " }}"
	}
	if _, ok := r.annotations["summary"]; !ok {
		r.annotations["summary"] = about + "{{ with $labels.instance }} on {{ . }}{{ end }} is {{ $value | humanize }}"
	}
	if _, ok := r.annotations["description"]; ok {
		return
	}
	text := "Condition: " + literal(condition)
	if r.duration > 0 {
		text += " for " + model.Duration(r.duration).String()
	}
	r.annotations["description"] = text
}

// literal protects text from being read as a template.
func literal(text string) string {
	if strings.Contains(text, "{{") {
		return "{{ " + strconv.Quote(text) + " }}"
	}
	return text
}
