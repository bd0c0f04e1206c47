package rule

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

const (
	// maxCondition bounds a condition's text, in bytes.
	maxCondition = 4096
	// maxConditionDepth bounds how deep brackets and prefixes may be nested.
	maxConditionDepth = 64
)

// termSort is the type of a condition's sub-expression.
type termSort int

const (
	ofNumber termSort = iota
	ofText
	ofTruth
)

// term is a sub-expression of a condition.
type term struct {
	sort termSort
	// op is "value", "number", "label", "text", an arithmetic or comparison operator, "and", "or" or "not". Unary minus
	// is a multiplication by -1.
	op string
	// number is the constant's value; text the constant's, or the label's name (__name__ for the metric).
	number float64
	text   string
	// matcher is a comparison of words, ready to use.
	matcher     *labels.Matcher
	left, right *term
	pos         int
}

// binding is how strongly infix operators bind. PromQL's, with comparisons that do not chain.
func binding(op string) int {
	switch op {
	case "or", "||":
		return 1
	case "and", "&&":
		return 2
	case "==", "!=", "<", "<=", ">", ">=", "=~", "!~":
		return 4
	case "+", "-":
		return 5
	case "*", "/", "%":
		return 6
	case "^":
		return 8
	}
	return 0
}

// The bindings of the prefix operators.
const (
	bindNot     = 3
	bindCompare = 4
	bindMinus   = 7
	bindPower   = 8
)

// conditionParser is a Pratt parser (V. Pratt, Top Down Operator Precedence, 1973).
type conditionParser struct {
	text   string
	tokens []token
	depth  int
}

// parseCondition reads a condition, whose type is truth.
func parseCondition(text string) (*term, *conditionError) {
	if len(text) > maxCondition {
		return nil, &conditionError{text: text, pos: maxCondition, msg: fmt.Sprintf("%d bytes; a condition may have %d", len(text), maxCondition)}
	}
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &conditionParser{text: text, tokens: tokens}
	if p.peek().kind == tokenEnd {
		return nil, p.fail(0, "is empty", "write something like value > 80")
	}
	n, err := p.parse(0)
	if err != nil {
		return nil, err
	}
	if t := p.peek(); t.kind != tokenEnd {
		return nil, p.fail(t.pos, fmt.Sprintf("%v does not go on from what stands before it", t), "is an operator or `and` missing?")
	}
	if err := p.want(n, ofTruth); err != nil {
		return nil, err
	}
	return n, nil
}

func (p *conditionParser) peek() token { return p.tokens[0] }

func (p *conditionParser) take() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *conditionParser) fail(pos int, msg, hint string) *conditionError {
	return &conditionError{text: p.text, pos: pos, msg: msg, hint: hint}
}

// parse reads an expression whose infix operators bind at least as strongly as least.
func (p *conditionParser) parse(least int) (*term, *conditionError) {
	if p.depth++; p.depth > maxConditionDepth {
		return nil, p.fail(p.peek().pos, fmt.Sprintf("nested more than %d deep", maxConditionDepth), "")
	}
	defer func() { p.depth-- }()
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	for {
		t := p.peek()
		bind := 0
		if t.kind == tokenSign || t.kind == tokenWord {
			bind = binding(t.text)
		}
		if bind == 0 || bind < least {
			return left, nil
		}
		p.take()
		side := bind + 1
		if bind == bindPower { // 2 ^ 3 ^ 2 is 2 ^ (3 ^ 2)
			side = bind
		}
		right, err := p.parse(side)
		if err != nil {
			return nil, err
		}
		if left, err = p.infix(t, left, right); err != nil {
			return nil, err
		}
		if next := p.peek(); bind == bindCompare && next.kind == tokenSign && binding(next.text) == bindCompare {
			return nil, p.fail(next.pos, "comparisons do not chain", "write 10 < value and value < 20")
		}
	}
}

// prefix reads an operand, or a prefix operator with its operand.
func (p *conditionParser) prefix() (*term, *conditionError) {
	t := p.take()
	switch {
	case t.kind == tokenNumber:
		return &term{sort: ofNumber, op: "number", number: t.number, pos: t.pos}, nil
	case t.kind == tokenText:
		return &term{sort: ofText, op: "text", text: t.text, pos: t.pos}, nil
	case t.text == "not" && t.kind == tokenWord, t.text == "!":
		n, err := p.parse(bindNot)
		if err == nil {
			err = p.want(n, ofTruth)
		}
		return &term{sort: ofTruth, op: "not", left: n, pos: t.pos}, err
	case t.text == "and" || t.text == "or":
	case t.kind == tokenWord:
		return p.name(t)
	case t.text == "-" || t.text == "+":
		n, err := p.parse(bindMinus)
		if err == nil {
			err = p.want(n, ofNumber)
		}
		if t.text == "+" || err != nil {
			return n, err
		}
		minus := &term{sort: ofNumber, op: "number", number: -1, pos: t.pos}
		return &term{sort: ofNumber, op: "*", left: n, right: minus, pos: t.pos}, nil
	case t.text == "(":
		n, err := p.parse(0)
		if err != nil {
			return nil, err
		}
		if end := p.take(); end.text != ")" || end.kind != tokenSign {
			return nil, p.fail(end.pos, fmt.Sprintf("%v where ) should close the bracket of column %d", end, t.pos+1), "")
		}
		return n, nil
	}
	hint := ""
	if t.kind == tokenEnd && strings.HasSuffix(strings.TrimRight(p.text, " \t\r\n"), "%") {
		hint = "% is the remainder of a division, and numbers have no units: write 80 or 0.8"
	}
	return nil, p.fail(t.pos, fmt.Sprintf("%v where value, metric, a label, a number or ( should stand", t), hint)
}

// name reads what begins with a word: value, metric, labels["x"], labels.x or a bare label.
func (p *conditionParser) name(t token) (*term, *conditionError) {
	label := func(name string) *term { return &term{sort: ofText, op: "label", text: name, pos: t.pos} }
	if next := p.peek(); next.text == "(" && next.kind == tokenSign {
		return nil, p.fail(t.pos, fmt.Sprintf("there is no function %s", t.text), "conditions have operators only; PromQL rule files have functions")
	}
	switch t.text {
	case "value":
		return &term{sort: ofNumber, op: "value", pos: t.pos}, nil
	case "metric", model.MetricNameLabel:
		return label(model.MetricNameLabel), nil
	case "labels":
	default:
		return label(t.text), nil
	}
	open := p.take()
	name := p.take()
	switch {
	case open.text == "." && open.kind == tokenSign && name.kind == tokenWord:
		return label(p.text[name.pos:name.end]), nil // as written: AND is a label of its own
	case open.text == "[" && open.kind == tokenSign && name.kind == tokenText && name.text != "":
		if end := p.take(); end.text != "]" || end.kind != tokenSign {
			return nil, p.fail(end.pos, fmt.Sprintf("%v where ] should stand", end), "")
		}
		return label(name.text), nil
	}
	return nil, p.fail(t.pos, "labels is no value of its own", `write labels["instance"]`)
}

// infix puts two operands together and checks their types.
func (p *conditionParser) infix(t token, left, right *term) (*term, *conditionError) {
	n := &term{sort: ofNumber, op: t.text, left: left, right: right, pos: t.pos}
	want := ofNumber
	switch binding(t.text) {
	case bindCompare:
		return p.compare(n)
	case binding("and"), binding("or"):
		n.op = strings.NewReplacer("&&", "and", "||", "or").Replace(t.text)
		n.sort, want = ofTruth, ofTruth
	}
	for _, side := range []*term{left, right} {
		if err := p.want(side, want); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// want says no where n is not of the type that its place asks for.
func (p *conditionParser) want(n *term, want termSort) *conditionError {
	if n.sort == want {
		return nil
	}
	switch {
	case want == ofTruth && n.sort == ofNumber:
		return p.fail(n.pos, "a number where a yes or no should stand", "compare it: value > 80")
	case want == ofTruth && n.op == "label":
		return p.fail(n.pos, fmt.Sprintf("%s is text where a yes or no should stand", labelWords(n.text)), fmt.Sprintf(`compare it: %s == "…"`, n.source()))
	case want == ofTruth:
		return p.fail(n.pos, "a text where a yes or no should stand", `compare it with a label: instance == "a"`)
	case n.sort == ofTruth:
		return p.fail(n.pos, "a comparison where a number should stand", "do brackets stand where they should?")
	}
	return p.fail(n.pos, fmt.Sprintf("%s is text; arithmetic takes value and numbers", n.words()), "")
}

// compare makes a comparison of numbers, or of a label with a text.
func (p *conditionParser) compare(n *term) (*term, *conditionError) {
	n.sort = ofTruth
	for _, side := range []*term{n.left, n.right} {
		if side.sort == ofTruth {
			return nil, p.fail(side.pos, "a comparison is compared", "put conditions together with and, or and not")
		}
	}
	ordering := n.op == "<" || n.op == "<=" || n.op == ">" || n.op == ">="
	pattern := n.op == "=~" || n.op == "!~"
	switch {
	case n.left.sort == ofNumber && n.right.sort == ofNumber:
		if pattern {
			return nil, p.fail(n.pos, n.op+" matches labels against a pattern; these are numbers", "")
		}
		return n, nil
	case n.left.sort != n.right.sort:
		label, other := n.left, n.right
		if label.sort == ofNumber {
			label, other = other, label
		}
		if label.op == "label" {
			return nil, p.fail(label.pos, labelWords(label.text)+" is text and is compared with a number", numberHint(label, other))
		}
		return nil, p.fail(label.pos, "a number is compared with a text", "write the number without quotes")
	case ordering:
		return nil, p.fail(n.pos, "texts have no order here", "use ==, !=, =~ or !~")
	case n.left.op == "text" && n.right.op == "text":
		return nil, p.fail(n.left.pos, "two texts are compared, and no label", `a label's name stands without quotes: instance == "a"`)
	case n.left.op == "label" && n.right.op == "label":
		return nil, p.fail(n.pos, "two labels cannot be compared with each other", fmt.Sprintf(`is %s meant to be a text? It needs quotes`, n.right.source()))
	case n.left.op == "text" && pattern:
		return nil, p.fail(n.left.pos, "the pattern stands on the right of "+n.op, "")
	}
	return p.match(n)
}

// numberHint guesses what was meant by comparing a label with a number.
func numberHint(label, other *term) string {
	switch {
	case strings.EqualFold(label.text, "value"):
		return "write value in small letters"
	case strings.EqualFold(label.text, "true"), strings.EqualFold(label.text, "false"), strings.EqualFold(label.text, "null"):
		return "value is a number, such as 1 or 0"
	case other.op == "number" && label.text != model.MetricNameLabel:
		return fmt.Sprintf(`value is the series' number: for a metric %s write metric == "%s" and test value; labels are compared with texts in quotes: %s == "%s"`,
			label.source(), label.source(), label.source(), other.source())
	}
	return "value is the series' number; labels are compared with texts in quotes"
}

// match makes the matcher of a label's comparison with a text.
func (p *conditionParser) match(n *term) (*term, *conditionError) {
	label, value := n.left, n.right
	if label.op == "text" {
		label, value = value, label
	}
	kind := map[string]labels.MatchType{"==": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}[n.op]
	m, err := labels.NewMatcher(kind, label.text, value.text)
	if err != nil {
		return nil, p.fail(value.pos, fmt.Sprintf("no valid pattern: %v", err), "")
	}
	n.matcher = m
	return n, nil
}

// words names an operand in an error.
func (n *term) words() string {
	if n.op == "label" {
		return labelWords(n.text)
	}
	return "the operand"
}

func labelWords(name string) string {
	if name == model.MetricNameLabel {
		return "metric"
	}
	return "label " + name
}

// source writes a simple operand as its author would.
func (n *term) source() string {
	switch {
	case n.op == "value":
		return "value"
	case n.op == "number":
		return strconv.FormatFloat(n.number, 'g', -1, 64)
	case n.text == model.MetricNameLabel:
		return "metric"
	case n.op == "label":
		return n.text
	}
	return "…"
}
