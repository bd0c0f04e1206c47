package ledger

import "github.com/prometheus/prometheus/model/labels"

// match returns which label sets all matchers match, by number, and whether any is. Sets are walked in the order in
// which they stand in memory; a matcher is tried once for each value.
func (t *labelSets) match(matchers []*labels.Matcher) (matched []bool, some bool) {
	ms := make([]matcher, len(matchers))
	for i, m := range matchers {
		if !ms[i].prepare(m, &t.symbols) {
			return nil, false
		}
	}
	matched = make([]bool, len(t.sets))
sets:
	for id := range t.sets {
		if t.sets[id].refs == 0 {
			continue
		}
		for i := range ms {
			if !ms[i].matches(t.sets[id].pairs, &t.symbols) {
				continue sets
			}
		}
		matched[id], some = true, true
	}
	return matched, some
}

// matcher is a labels.Matcher over numbers.
type matcher struct {
	*labels.Matcher
	name   uint32
	absent bool // whether a set without the label matches
	exact  bool // whether only value matches
	value  uint32
	tried  []verdict // by value
}

type verdict uint8

const (
	untried verdict = iota
	yes
	no
)

// prepare readies m. It reports false when no set can match.
func (m *matcher) prepare(from *labels.Matcher, symbols *symbols) bool {
	m.Matcher, m.absent = from, from.Matches("")
	name, known := symbols.ids[from.Name]
	if !known {
		// No set has the label. No number is the name's: a number that is not given stands for it.
		m.name = ^uint32(0)
		return m.absent
	}
	m.name = name
	if from.Type == labels.MatchEqual && !m.absent {
		m.exact = true
		m.value, known = symbols.ids[from.Value]
		return known
	}
	m.tried = make([]verdict, len(symbols.text))
	return true
}

func (m *matcher) matches(pairs []uint32, symbols *symbols) bool {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != m.name {
			continue
		}
		value := pairs[i+1]
		if m.exact {
			return value == m.value
		}
		if m.tried[value] == untried {
			m.tried[value] = no
			if m.Matches(symbols.text[value]) {
				m.tried[value] = yes
			}
		}
		return m.tried[value] == yes
	}
	return m.absent
}
