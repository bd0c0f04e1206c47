package ruletest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// positions finds lines in a YAML document. The strict reader (yaml v2) forgets them, so the document is read a second
// time; where that reader does not understand the document, every line is 0: unknown.
type positions struct{ root *yaml.Node }

// newPositions reads content. It never fails: a document without positions is still a document.
func newPositions(content []byte) (p positions) {
	defer func() {
		if recover() != nil { // The reader panics on some malformed documents, which decode has refused or will refuse.
			p = positions{}
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil || len(doc.Content) == 0 {
		return positions{}
	}
	return positions{root: doc.Content[0]}
}

// line returns the line, from 1, of the node at path: strings are keys of mappings, ints places in sequences. Where a
// part of the path is missing, it returns the line of the part before it.
func (p positions) line(path ...any) int {
	n, line := p.root, 0
	if n != nil {
		line = n.Line
	}
	for _, step := range path {
		next := child(n, step)
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

// has reports whether the document is a mapping with the given key.
func (p positions) has(key string) bool { return child(p.root, key) != nil }

// child returns the mapping value or the sequence element of n that step names, nil when there is none.
func child(n *yaml.Node, step any) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode; hops++ {
		if hops > maxDepth {
			return nil
		}
		n = n.Alias
	}
	if n == nil {
		return nil
	}
	switch s := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && s >= 0 && s < len(n.Content) {
			return n.Content[s]
		}
	case string:
		if n.Kind != yaml.MappingNode {
			return nil
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == s {
				return n.Content[i+1]
			}
		}
	default:
		panic(fmt.Sprintf("BUG: a step of type %T in a YAML path", step))
	}
	return nil
}

// maxDepth bounds how deep find walks and how long a chain of aliases it follows.
const maxDepth = 32

// find returns the first key and value, in document order, for which is says yes; nils when there is none. Aliases are
// not followed: what they stand for is found where it is written.
func (p positions) find(is func(key, value *yaml.Node) bool) (key, value *yaml.Node) {
	return findIn(p.root, is, maxDepth)
}

func findIn(n *yaml.Node, is func(key, value *yaml.Node) bool, depth int) (*yaml.Node, *yaml.Node) {
	if n == nil || depth == 0 {
		return nil, nil
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			if is(n.Content[i-1], c) {
				return n.Content[i-1], c
			}
		}
		if k, v := findIn(c, is, depth-1); k != nil {
			return k, v
		}
	}
	return nil, nil
}
