package rule

import (
	"errors"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

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
	before := len(d.errs)
	low, shown, ok := d.lower(def, c)
	if !ok {
		return nil
	}
	clear := d.buildClear(def, low, c)
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
		d.fail(def.nodes["condition"], "the condition became PromQL that does not parse, which is a fault of tocsin's: %w", err)
		return nil
	}
	r.Condition = shown
	d.extend(r, &def.extension, clear, low.table, c)
	if len(d.errs) > before {
		return nil
	}
	return r
}

// lower returns what def's condition becomes, and how it is shown. It is false where it notes an error.
func (d *simpleReader) lower(def *simpleRule, c *plan.Compiler) (low lowered, shown string, ok bool) {
	condition := def.nodes["condition"]
	shown = strings.Map(flat, strings.TrimSpace(def.condition))
	if rest, ok := missingCondition(def.condition); ok {
		return d.lowerMissing(def, rest, c)
	}
	if n := def.nodes["within"]; n != nil {
		d.fail(n, "within goes with the condition missing")
		return low, "", false
	}
	expression := def.condition
	if op := operatorWord(def.condition); op != "" {
		if def.threshold == nil {
			d.fail(condition, "condition %s needs a threshold", shown)
			return low, "", false
		}
		expression = "value " + op + " " + conditionNumber(*def.threshold)
		shown += " " + formatNumber(*def.threshold)
	} else if _, cerr := parseCondition(def.condition); def.threshold != nil && cerr != nil {
		d.fail(condition, "condition %q is none of the words that go with a threshold: %s", shown, operatorWords)
		return low, "", false
	} else if def.threshold != nil {
		d.fail(def.nodes["threshold"], "threshold goes with %s; an expression holds its numbers itself, such as value > 80", operatorWords)
		return low, "", false
	}
	low, err := lowerCondition(expression, def.metric, c)
	if err != nil {
		d.failCondition(condition, expression == def.condition, err)
		return low, "", false
	}
	if len(def.extension.rows) > 0 {
		shown += ", or the number of its row of thresholds"
	}
	return low, shown, true
}

// failCondition notes what is wrong with the condition at n; written tells that it is the author's text.
func (d *simpleReader) failCondition(n *yaml.Node, written bool, err error) {
	offset := 0
	if ce, ok := errors.AsType[*conditionError](err); ok && written {
		offset = ce.pos
	}
	line, column := d.src.at(n, offset)
	d.failAt(line, column, err)
}

// buildClear plans the condition that ends an alert of def, which became low. It returns nil where there is none, or
// where it notes an error.
func (d *simpleReader) buildClear(def *simpleRule, low lowered, c *plan.Compiler) *plan.Plan {
	n := def.nodes["clear"]
	if n == nil {
		return nil
	}
	cleared, err := lowerNamed(def.clear, low.metric, low.metric == "", c)
	if err == nil {
		var p *plan.Plan
		if p, err = c.Compile(cleared.promql); err == nil {
			return p
		}
	}
	if ce, ok := errors.AsType[*conditionError](err); ok {
		ce.field = "clear"
	}
	d.failCondition(n, true, err)
	return nil
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
		is := "is {{ $value | humanize }}"
		if low.missing {
			is = "is missing; its last value was {{ $value | humanize }}"
		}
		r.annotations["summary"] = about + "{{ with $labels.instance }} on {{ . }}{{ end }} " + is
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
