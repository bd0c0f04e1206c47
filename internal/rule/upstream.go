package rule

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
)

// groupNode is a group's and its rules' mappings in the document.
type groupNode struct {
	*yaml.Node
	name  string
	rules []*yaml.Node
}

func groupNodes(src *source) []groupNode {
	_, list := field(src.root, "groups")
	var out []groupNode
	for _, g := range items(list) {
		_, name := field(g, "name")
		_, rules := field(g, "rules")
		out = append(out, groupNode{g, text(name), items(rules)})
	}
	return out
}

// upstreamErrors finds the places that upstream's complaints about a file are about.
type upstreamErrors struct {
	src    *source
	groups []groupNode
}

var (
	leadingLine     = regexp.MustCompile(`^(?:yaml: )?line (\d+): (?s:(.*))$`)
	leadingPosition = regexp.MustCompile(`^(\d+):(\d+): (?s:(.*))$`)
	wrongType       = regexp.MustCompile(`^cannot unmarshal (\S+)(?: (?s:.*))? into (\[\])?rulefmt\.(\w+)$`)
	unknownField    = regexp.MustCompile(`^field (.*) not found in type rulefmt\.(\w+)$`)
	repeatedGroup   = regexp.MustCompile(`^groupname: "(?s:(.*))" is repeated in the same file$`)
	badLabelName    = regexp.MustCompile(`^invalid (?:label|annotation) name: (?s:(.*))$`)
	badLabelValue   = regexp.MustCompile(`^invalid label value: (?s:(.*))$`)
)

// typeWords names one of upstream's structures in words, with its fields.
func typeWords(name string) string {
	switch name {
	case "RuleGroups":
		return "the file, which has the field groups (simple rules stand in a file of their own, under rules)"
	case "RuleGroup":
		return "a group, which has name, interval, query_offset, limit, labels and rules"
	case "Rule":
		return "a rule, which has alert or record, expr, for, keep_firing_for, labels and annotations"
	}
	return name
}

// tabbed is what the YAML parser says of a line that begins with a tab.
const tabbed = "found a tab character that violates indentation"

// typeHint says in words that a value of the YAML type got (!!seq, !!str, …) stands where want, one of upstream's
// structures, should.
func typeHint(want, got string) string {
	kind := map[string]string{"!!seq": "a list", "!!map": "a mapping", "!!str": "a text", "!!int": "a number", "!!float": "a number",
		"!!bool": "a yes or no", "!!null": "nothing"}[got]
	if kind == "" {
		kind = got
	}
	place := "a group is a mapping with name, interval, query_offset, limit, labels and rules"
	switch want {
	case "RuleGroups":
		place = "a rule file is a mapping with the field groups (Prometheus's rules) or rules (simple rules)"
	case "Rule":
		place = "a rule is a mapping with alert or record, expr, for, keep_firing_for, labels and annotations"
	case "[]Rule":
		place = "rules should be a list, each rule with a - before it"
	case "[]RuleGroup":
		place = "groups should be a list, each group with a - before it"
	}
	return place + "; this is " + kind
}

// tab returns the line, from 1, at or right behind line that is indented with a tab: the parser names the one before it.
func (s *source) tab(line int) int {
	lines := bytes.Split(s.content, []byte("\n"))
	for i := max(line, 1); i <= min(line+1, len(lines)); i++ {
		text := lines[i-1]
		if indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]; bytes.IndexByte(indent, '\t') >= 0 {
			return i
		}
	}
	return line
}

// translate returns errs in the order of the file's lines, without those that say the same of the same place.
func (u *upstreamErrors) translate(errs []error) []error {
	var found []*Error
	for _, err := range errs {
		if e, ok := errors.AsType[*rulefmt.Error](err); ok {
			found = append(found, u.ofRule(e))
			continue
		}
		if e, ok := errors.AsType[*yaml.TypeError](err); ok {
			for _, msg := range e.Errors {
				found = append(found, u.ofYAML(msg))
			}
			continue
		}
		found = append(found, u.ofYAML(err.Error()))
	}
	slices.SortStableFunc(found, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Err.Error(), b.Err.Error()))
	})
	var out []error
	seen := map[string]bool{}
	for _, e := range found {
		if text := e.Error(); !seen[text] {
			seen[text] = true
			out = append(out, e)
		}
	}
	return out
}

// ofRule places a complaint about one rule.
func (u *upstreamErrors) ofRule(e *rulefmt.Error) *Error {
	reason := e.Err.Unwrap()
	out := &Error{File: u.src.path, Group: e.Group, Rule: e.Rule, RuleName: e.RuleName, Err: reason}
	node := u.ruleNode(e)
	if offset, ok := plan.ErrorOffset(reason); ok {
		if _, expr := field(node, "expr"); expr != nil {
			out.Line, out.Column = u.src.at(expr, offset)
			return out
		}
	}
	if m := leadingPosition.FindStringSubmatch(e.Err.Error()); m != nil && m[1] != "0" {
		out.Line, _ = strconv.Atoi(m[1])
		out.Column, _ = strconv.Atoi(m[2])
		return out
	}
	out.Line, out.Column = position(labelNode(node, reason.Error()), node)
	return out
}

// ruleNode finds the rule that e is about; groups of one name, which are an error themselves, are told apart as far as
// the rule's name goes.
func (u *upstreamErrors) ruleNode(e *rulefmt.Error) *yaml.Node {
	for _, g := range u.groups {
		if g.name != e.Group || e.Rule > len(g.rules) {
			continue
		}
		node := g.rules[e.Rule-1]
		_, alert := field(node, "alert")
		_, record := field(node, "record")
		if e.RuleName == text(alert) || e.RuleName == text(record) {
			return node
		}
	}
	return nil
}

// labelNode finds the label or annotation in a rule or group that a message without position is about.
func labelNode(node *yaml.Node, msg string) *yaml.Node {
	_, ls := field(node, "labels")
	_, as := field(node, "annotations")
	for prefix, m := range map[string]*yaml.Node{"label ": ls, "annotation ": as} {
		rest, ok := strings.CutPrefix(msg, prefix)
		if !ok {
			continue
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			name, _ := strconv.Unquote(quoted)
			key, _ := field(m, name)
			return key
		}
	}
	if m := badLabelName.FindStringSubmatch(msg); m != nil {
		if key, _ := field(ls, m[1]); key != nil && strings.HasPrefix(msg, "invalid label") {
			return key
		}
		key, _ := field(as, m[1])
		return key
	}
	if m := badLabelValue.FindStringSubmatch(msg); m != nil {
		for _, e := range entries(ls) {
			if text(e.value) == m[1] {
				return e.value
			}
		}
	}
	return nil
}

// ofYAML places a complaint about a group, or about the file's form.
func (u *upstreamErrors) ofYAML(msg string) *Error {
	out := &Error{File: u.src.path}
	if m := leadingLine.FindStringSubmatch(msg); m != nil {
		out.Line, _ = strconv.Atoi(m[1])
		msg = m[2]
	} else if m := leadingPosition.FindStringSubmatch(msg); m != nil {
		msg = m[3] // upstream's position of a group is always 0:0
	}
	// The format is decoded twice, into types of nearly the same names.
	msg = strings.NewReplacer("rulefmt.RuleGroupNode", "rulefmt.RuleGroup", "rulefmt.RuleNode", "rulefmt.Rule", "rulefmt.ruleGroups", "rulefmt.RuleGroups").Replace(msg)
	out.Err = errors.New(msg)
	if m := unknownField.FindStringSubmatch(msg); m != nil {
		u.place(out, func(e entry) bool { return e.key.Line == out.Line && e.key.Value == m[1] })
		out.Err = fmt.Errorf("unknown field %q in %s", m[1], typeWords(m[2]))
		return out
	}
	if m := wrongType.FindStringSubmatch(msg); m != nil {
		out.Err = errors.New(typeHint(m[2]+m[3], m[1]))
		if m[2]+m[3] == "Rule" && u.placeRule(out) {
			return out
		}
	}
	if msg == tabbed {
		out.Line = u.src.tab(out.Line)
		out.Err = errors.New(tabbed + "; YAML is indented with blanks")
		return out
	}
	if out.Line > 0 {
		u.place(out, func(e entry) bool { return e.value.Line == out.Line })
		return out
	}
	if node := u.groupError(msg, out); node != nil {
		out.Line, out.Column = node.Line, node.Column
		return out
	}
	u.place(out, func(e entry) bool {
		switch e.key.Value {
		case "for", "keep_firing_for", "interval", "query_offset":
			_, err := model.ParseDuration(text(e.value))
			return err != nil && err.Error() == msg
		}
		return false
	})
	return out
}

// groupError finds the group that upstream complains about without saying where.
func (u *upstreamErrors) groupError(msg string, out *Error) *yaml.Node {
	m := repeatedGroup.FindStringSubmatch(msg)
	count := map[string]int{}
	for _, g := range u.groups {
		count[g.name]++
		switch {
		case m != nil && g.name == m[1] && count[g.name] == 2,
			msg == "Groupname must not be empty" && g.name == "":
			return g.Node
		case badLabelName.MatchString(msg), badLabelValue.MatchString(msg):
			if n := labelNode(g.Node, msg); n != nil {
				out.Group = g.name
				return n
			}
		}
	}
	return nil
}

// place fills in column, group and rule of the first field that is meant.
func (u *upstreamErrors) place(out *Error, meant func(entry) bool) {
	in := func(n *yaml.Node) bool {
		for _, e := range entries(n) {
			if meant(e) {
				out.Line, out.Column = e.key.Line, e.key.Column
				return true
			}
		}
		return false
	}
	if in(u.src.root) {
		return
	}
	for _, g := range u.groups {
		if in(g.Node) {
			out.Group = g.name
			return
		}
		for i, r := range g.rules {
			if in(r) {
				_, alert := field(r, "alert")
				_, record := field(r, "record")
				out.Group, out.Rule, out.RuleName = g.name, i+1, cmp.Or(text(alert), text(record))
				return
			}
		}
	}
}

// placeRule fills in column, group and rule of the first rule in out's line.
func (u *upstreamErrors) placeRule(out *Error) bool {
	for _, g := range u.groups {
		for i, r := range g.rules {
			if r.Line == out.Line {
				out.Column, out.Group, out.Rule = r.Column, g.name, i+1
				return true
			}
		}
	}
	return false
}

// position returns the first known node's place, 0:0 when there is none.
func position(nodes ...*yaml.Node) (line, column int) {
	for _, n := range nodes {
		if n != nil {
			return n.Line, n.Column
		}
	}
	return 0, 0
}
