package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// variable matches ${NAME} and ${NAME:-default}, each with an optional further dollar in front that makes it literal.
// Anything else with a dollar, such as ${1} in a relabelling rule, is no reference.
var variable = regexp.MustCompile(`(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}`)

// expand replaces references to environment variables in the values of the document:
//
//   - ${NAME} is NAME's value; an error where it is not set. ${NAME:-default} is default where NAME is not set or empty.
//   - $${NAME} is the text ${NAME}.
//   - Keys and comments stay as they are, and so do relabelling rules' replacement and target_label, where ${name} is a
//     group of the regular expression, and global.external_labels, which Prometheus itself expands in its own way.
//   - Within [ ] and { } YAML wants quotes around a value with a reference.
//
// A value is put into the parsed scalar, not into the text: it cannot begin a new line, key or list. An unquoted scalar
// is then read again, so that a number stays a number; a value that would make something else than a scalar of
// it is an error.
func (d *document) expand(lookup func(string) (string, bool)) Errors {
	if d.root == nil || !strings.Contains(d.raw, "${") {
		return nil
	}
	x := &expander{doc: d, lookup: lookup, lines: splitLines(d.raw)}
	x.visit(d.root, nil)
	return x.errs
}

type expander struct {
	doc    *document
	lookup func(string) (string, bool)
	lines  []string
	errs   Errors
}

// visit expands the scalars of n.
func (x *expander) visit(n *yaml.Node, p path) {
	if keepsDollars(p) {
		return
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			x.visit(n.Content[i+1], p.with(step{key: n.Content[i].Value}))
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			x.visit(item, p.with(step{index: i}))
		}
	case yaml.ScalarNode:
		if variable.MatchString(n.Value) {
			x.scalar(n, p)
		}
	}
}

func (x *expander) scalar(n *yaml.Node, p path) {
	count, failed := 0, false
	out := variable.ReplaceAllStringFunc(n.Value, func(ref string) string {
		count++
		value, err := resolve(ref, x.lookup)
		if err != nil {
			failed = true
			e := x.doc.errorAt(n, p, "%s", err)
			e.Line, e.Column = findNth(x.lines, n, ref, count)
			x.errs = append(x.errs, e)
		}
		return value
	})
	if failed {
		return
	}
	if err := setScalar(n, out); err != nil {
		x.errs = append(x.errs, x.doc.errorAt(n, p, "%s", err))
		return
	}
	x.doc.edited = true
}

// keepsDollars says whether ${…} below p has a meaning of Prometheus's own.
func keepsDollars(p path) bool {
	if len(p) == 2 && p[0].key == "global" && p[1].key == "external_labels" {
		return true
	}
	if len(p) < 3 {
		return false
	}
	last, list := p[len(p)-1].key, p[len(p)-3].key
	return (last == "replacement" || last == "target_label") && strings.HasSuffix(list, "relabel_configs")
}

// resolve returns what one match of variable stands for.
func resolve(ref string, lookup func(string) (string, bool)) (string, error) {
	m := variable.FindStringSubmatch(ref)
	escape, name, fallback := m[1], m[2], m[3]
	if escape != "" {
		return ref[1:], nil
	}
	value, set := lookup(name)
	switch {
	case strings.Contains(ref, ":-") && value == "":
		value = fallback
	case !set:
		return "", fmt.Errorf("environment variable %s is not set; set it, write ${%s:-default}, or $${%s} for the text itself", name, name, name)
	}
	switch {
	case strings.ContainsAny(value, "\n\r\u0085\u2028\u2029"):
		return "", fmt.Errorf("the value of %s has a line break, which a configuration value cannot take from the environment; put it into a file of its own", name)
	case !utf8.ValidString(value):
		return "", fmt.Errorf("the value of %s is not valid UTF-8", name)
	}
	return value, nil
}

// setScalar gives n the value s as if s had stood in the text, in the same style. An unquoted scalar with a reference
// stands in block context always: within brackets or braces, YAML ends it at the reference's own brace.
func setScalar(n *yaml.Node, s string) error {
	const styles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&styles != 0 {
		n.Value = s
		return nil
	}
	if strings.TrimSpace(s) == "" {
		n.Value, n.Tag = "", "!!null"
		return nil
	}
	var doc yaml.Node
	err := decodeNode(yaml.NewDecoder(strings.NewReader("- "+s)), &doc)
	if err != nil || len(doc.Content) != 1 || !isBare(doc.Content[0]) {
		return errors.New("with its variables replaced, this is no longer one plain value; put it between double quotes")
	}
	read := doc.Content[0].Content[0]
	n.Value = read.Value
	if n.Style&yaml.TaggedStyle == 0 {
		n.Tag = read.Tag
	}
	return nil
}

// isBare says whether list has one item, a scalar without quotes, tag, anchor or comment.
func isBare(list *yaml.Node) bool {
	if list.Kind != yaml.SequenceNode || len(list.Content) != 1 {
		return false
	}
	n := list.Content[0]
	comments := list.HeadComment + list.LineComment + list.FootComment + n.HeadComment + n.LineComment + n.FootComment
	return n.Kind == yaml.ScalarNode && n.Style == 0 && n.Anchor == "" && comments == ""
}

// findNth returns line and column of ref, the nth reference in the text that begins at n; n's own position where escapes
// or folded lines in the text hide it.
func findNth(lines []string, n *yaml.Node, ref string, nth int) (line, column int) {
	for i := n.Line - 1; i >= 0 && i < len(lines); i++ {
		text, from := lines[i], 0
		if i == n.Line-1 {
			runes := []rune(text)
			from = min(n.Column-1, len(runes))
			text = string(runes[from:])
		}
		for _, m := range variable.FindAllStringIndex(text, -1) {
			if nth--; nth > 0 {
				continue
			}
			if text[m[0]:m[1]] != ref {
				return n.Line, n.Column
			}
			return i + 1, from + utf8.RuneCountInString(text[:m[0]]) + 1
		}
	}
	return n.Line, n.Column
}
