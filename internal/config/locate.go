package config

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// The bounds of how often locate has the document decoded: at most maxTrials times, fewer for large documents, so that
// no more than about maxDecoded nodes are.
const (
	maxTrials  = 400
	maxDecoded = 10_000_000
)

// locate finds the place that makes load fail with the text want, which names none: it leaves out everything without
// which load still fails in the same way, and points at what is left.
func (d *document) locate(load loader, want string) spot {
	m := &minimizer{doc: d, load: load, want: want, skip: map[*yaml.Node]bool{}, trials: min(maxTrials, maxDecoded/decodedSize(d.root, map[*yaml.Node]int{}))}
	for n := range d.skip {
		m.skip[n] = true
	}
	top := spot{value: d.root}
	if !m.same() {
		return top
	}
	m.reduce(d.root)
	return m.point(top)
}

// decodedSize returns how many nodes decoding n visits, at most maxDecoded: an alias counts as all that it stands for.
func decodedSize(n *yaml.Node, known map[*yaml.Node]int) int {
	n = target(n)
	if size, ok := known[n]; ok {
		return size
	}
	known[n] = 1 // An alias within its own anchor, which decoding refuses.
	size := 1
	for _, c := range n.Content {
		size = min(size+decodedSize(c, known), maxDecoded)
	}
	known[n] = size
	return size
}

type minimizer struct {
	doc    *document
	load   loader
	want   string
	skip   map[*yaml.Node]bool
	trials int
}

// same says whether what is left still fails in the same way.
func (m *minimizer) same() bool { return m.trial() == m.want }

// trial returns the error of what is left, "" when there is none.
func (m *minimizer) trial() string {
	if m.trials--; m.trials < 0 {
		return ""
	}
	if err := m.load(emit(m.doc.root, m.skip)); err != nil {
		return err.Error()
	}
	return ""
}

// handles returns the nodes that stand for n's parts in skip (keys, items), and the parts' values, that are left.
func (m *minimizer) handles(n *yaml.Node) (handles, values []*yaml.Node) {
	n = target(n)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !m.skip[n.Content[i]] {
				handles, values = append(handles, n.Content[i]), append(values, n.Content[i+1])
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if !m.skip[item] {
				handles, values = append(handles, item), append(values, item)
			}
		}
	}
	return handles, values
}

func (m *minimizer) reduce(n *yaml.Node) {
	if m.trials <= 0 || n.Kind == yaml.AliasNode {
		return
	}
	handles, _ := m.handles(n)
	m.drop(handles)
	_, values := m.handles(n)
	for _, v := range values {
		m.reduce(v)
	}
}

// drop leaves out as many of the parts as it can, halving: the later half first, so that the first of several equal
// culprits remains.
func (m *minimizer) drop(parts []*yaml.Node) {
	if len(parts) == 0 || m.trials <= 0 {
		return
	}
	m.setSkip(parts, true)
	if m.same() {
		return
	}
	m.setSkip(parts, false)
	if half := len(parts) / 2; half > 0 {
		m.drop(parts[half:])
		m.drop(parts[:half])
	}
}

func (m *minimizer) setSkip(parts []*yaml.Node, skip bool) {
	for _, n := range parts {
		if skip {
			m.skip[n] = true
		} else {
			delete(m.skip, n)
		}
	}
}

// point descends from s to the place to name: where several parts are left, the last one whose absence is enough to
// make the error go away without another one coming, else the last one.
func (m *minimizer) point(s spot) spot {
	for s.value.Kind != yaml.AliasNode {
		handles, _ := m.handles(s.value)
		if len(handles) == 0 {
			return s
		}
		chosen := handles[len(handles)-1]
		for _, h := range slices.Backward(handles) {
			m.setSkip([]*yaml.Node{h}, true)
			cured := len(handles) > 1 && m.trial() == ""
			m.setSkip([]*yaml.Node{h}, false)
			if cured {
				chosen = h
				break
			}
		}
		s = m.child(s, chosen)
	}
	return s
}

// child returns the spot of the part of s that handle stands for.
func (m *minimizer) child(s spot, handle *yaml.Node) spot {
	var out spot
	walk(s.value, s.path, func(c spot) bool {
		if c.key == handle || c.key == nil && c.value == handle {
			out = c
		}
		return false
	})
	return out
}
