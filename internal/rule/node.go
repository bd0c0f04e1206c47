package rule

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxMergeDepth bounds how deep merge keys (<<) are followed.
const maxMergeDepth = 8

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < maxMergeDepth; i++ {
		n = n.Alias
	}
	return n
}

// entry is one key of a mapping with its value.
type entry struct{ key, value *yaml.Node }

// entries returns the mapping's keys in the order of the file, those of merge keys behind its own and without those that
// it has itself. Values are resolved; n may be nil or no mapping.
func entries(n *yaml.Node) []entry {
	var out []entry
	seen := map[string]bool{}
	collect(n, maxMergeDepth, func(e entry) {
		if !seen[e.key.Value] {
			seen[e.key.Value] = true
			out = append(out, e)
		}
	})
	return out
}

func collect(n *yaml.Node, depth int, yield func(entry)) {
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode || depth == 0 {
		return
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		switch {
		case !isMerge(key):
			yield(entry{resolve(key), value})
		case value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		default:
			merged = append(merged, value)
		}
	}
	for _, m := range merged {
		collect(m, depth-1, yield)
	}
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && (key.Tag == "" || key.Tag == "!" || key.ShortTag() == "!!merge")
}

// field returns a mapping's key and value of that name, nil when there is none.
func field(n *yaml.Node, name string) (key, value *yaml.Node) {
	for _, e := range entries(n) {
		if e.key.Kind == yaml.ScalarNode && e.key.Value == name {
			return e.key, e.value
		}
	}
	return nil, nil
}

// items returns a sequence's elements, resolved.
func items(n *yaml.Node) []*yaml.Node {
	if n = resolve(n); n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = resolve(c)
	}
	return out
}

// text returns a scalar's value, "" for nil and for everything else.
func text(n *yaml.Node) string {
	if n = resolve(n); n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// at returns the line and column in the file of the byte offset within n's value. Where folding or escapes hide the
// place, it is where n begins.
func (s *source) at(n *yaml.Node, offset int) (line, column int) {
	if n == nil {
		return 0, 0
	}
	offset = min(max(offset, 0), len(n.Value))
	before := n.Value[:offset]
	row := strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	whole, _, _ := strings.Cut(n.Value[start:], "\n")
	line = n.Line
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		line += 1 + row // the first line of the text stands below the | mark
	case strings.Contains(n.Value, "\n"), n.Style&yaml.FoldedStyle != 0:
		return n.Line, n.Column
	}
	if s.lines == nil {
		s.lines = bytes.Split(s.content, []byte("\n"))
	}
	if line < 1 || line > len(s.lines) {
		return n.Line, n.Column
	}
	src, skip := string(s.lines[line-1]), 0
	if line == n.Line { // the same text may stand left of the value too
		for i := 1; i < n.Column && skip < len(src); i++ {
			_, size := utf8.DecodeRuneInString(src[skip:])
			skip += size
		}
	}
	i := strings.Index(src[skip:], whole)
	if i < 0 {
		return n.Line, n.Column
	}
	return line, utf8.RuneCountInString(src[:skip+i+offset-start]) + 1
}
