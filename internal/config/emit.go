package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// plainScalar matches the unquoted scalars that are written unquoted again: all that can be anything else than a
// string (numbers, booleans, null, merge keys). Other unquoted scalars are strings, quoted or not.
var plainScalar = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9_.+-]*|[.+-][A-Za-z0-9_.+-]+|~|<<)$`)

// emit writes the tree below root as YAML text in which every node begins on the line it has in the original, so that
// line numbers in a later reader's errors hold. Mapping keys and sequence items in skip are left out. The result is
// one flow collection (JSON-like): indentation then carries no meaning, and line breaks may go anywhere.
func emit(root *yaml.Node, skip map[*yaml.Node]bool) string {
	e := &emitter{line: 1, skip: skip, anchors: map[*yaml.Node]int{}}
	e.node(root)
	e.b.WriteByte('\n')
	return e.b.String()
}

type emitter struct {
	b    strings.Builder
	line int
	skip map[*yaml.Node]bool
	// anchors numbers the anchored nodes written so far. Names are made new, because a node that an alias needs may
	// have to be written at the alias, when its own place is skipped.
	anchors map[*yaml.Node]int
}

func (e *emitter) moveTo(line int) {
	for e.line < line {
		// The space keeps a scalar such as --- or %x from standing at a line's start, where it would be a marker.
		e.b.WriteString("\n ")
		e.line++
	}
}

func (e *emitter) node(n *yaml.Node) {
	e.moveTo(n.Line)
	if n.Kind == yaml.AliasNode {
		if id, written := e.anchors[n.Alias]; written {
			fmt.Fprintf(&e.b, "*n%d ", id)
			return
		}
		n = n.Alias
	}
	if n.Anchor != "" {
		e.anchors[n] = len(e.anchors)
		fmt.Fprintf(&e.b, "&n%d ", e.anchors[n])
	}
	if n.Style&yaml.TaggedStyle != 0 {
		e.tag(n.Tag)
	}
	switch n.Kind {
	case yaml.MappingNode:
		e.b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			if e.skip[n.Content[i]] {
				continue
			}
			e.moveTo(n.Content[i].Line)
			// The explicit form of a key has no limit of length.
			e.b.WriteString("? ")
			e.node(n.Content[i])
			e.b.WriteString(" : ")
			e.node(n.Content[i+1])
			e.b.WriteString(", ")
		}
		e.b.WriteByte('}')
	case yaml.SequenceNode:
		e.b.WriteByte('[')
		for _, item := range n.Content {
			if e.skip[item] {
				continue
			}
			e.node(item)
			e.b.WriteString(", ")
		}
		e.b.WriteByte(']')
	default:
		e.scalar(n)
	}
}

// tag writes an explicit tag: short ones (!!str, !local) as they are, long ones in the verbatim form.
func (e *emitter) tag(tag string) {
	if strings.HasPrefix(tag, "!") {
		e.b.WriteString(tag + " ")
		return
	}
	e.b.WriteString("!<" + tag + "> ")
}

func (e *emitter) scalar(n *yaml.Node) {
	const styles = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	unquoted := n.Style&styles == 0
	switch {
	case unquoted && n.Value == "" && n.Style&yaml.TaggedStyle == 0:
		e.b.WriteString("!!null ''")
	case unquoted && plainScalar.MatchString(n.Value):
		e.b.WriteString(n.Value)
	default:
		e.b.WriteString(quote(n.Value))
	}
}

// quote returns s as a double-quoted YAML scalar on one line, in ASCII.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r < 0x10000:
			b.WriteString(`\u` + hex(r, 4))
		default:
			b.WriteString(`\U` + hex(r, 8))
		}
	}
	b.WriteByte('"')
	return b.String()
}

func hex(r rune, digits int) string {
	s := strconv.FormatInt(int64(r), 16)
	return strings.Repeat("0", digits-len(s)) + s
}
