package engine

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/rule"
)

// readersOf returns for each rule those that read what it records, by position and in order. Where only an evaluation
// could tell, a rule counts as a reader. It calls rest in between.
func readersOf(rules []*rule.Rule, rest func()) [][]int32 {
	writers := map[string][]int32{}
	for i, r := range rules {
		for _, name := range recordedNames(r) {
			writers[name] = append(writers[name], int32(i))
		}
	}
	names := make([]string, 0, len(writers))
	for name := range writers {
		names = append(names, name)
	}
	slices.Sort(names)

	readers := make([][]int32, len(rules))
	for i, r := range rules {
		for _, matchers := range selectorsOf(r) {
			for _, name := range namesSelected(matchers, names) {
				for _, w := range writers[name] {
					known := readers[w]
					if (len(known) == 0 || known[len(known)-1] != int32(i)) && mayRead(matchers, rules[w]) {
						readers[w] = append(known, int32(i))
					}
				}
			}
		}
		rest()
	}
	return readers
}

// selectorsOf returns all that a rule reads.
func selectorsOf(r *rule.Rule) [][]*labels.Matcher {
	all := r.Plan.Selectors()
	for _, p := range PlansOf(r)[1:] {
		all = append(all, p.Selectors()...)
	}
	return all
}

// recordedNames returns the metrics that a rule records.
func recordedNames(r *rule.Rule) []string {
	if r.Kind == rule.Alerting {
		return []string{alert.MetricName, alert.ForStateMetricName}
	}
	return []string{r.Name}
}

// namesSelected returns which of the names the matchers let through.
func namesSelected(matchers []*labels.Matcher, names []string) []string {
	var selected []string
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			if at, ok := slices.BinarySearch(names, m.Value); ok {
				selected = names[at : at+1]
			}
			return selected
		}
	}
names:
	for _, name := range names {
		for _, m := range matchers {
			if m.Name == model.MetricNameLabel && !m.Matches(name) {
				continue names
			}
		}
		selected = append(selected, name)
	}
	return selected
}

// mayRead reports whether the matchers, the name's apart, may let through something that r records: none of the labels
// that r sets for sure speaks against it.
func mayRead(matchers []*labels.Matcher, r *rule.Rule) bool {
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		if v, ok := certainLabel(r, m.Name); ok && !m.Matches(v) {
			return false
		}
	}
	return true
}

// certainLabel returns the value of a label that everything that r records has.
func certainLabel(r *rule.Rule, name string) (string, bool) {
	alerting := r.Kind == rule.Alerting
	switch {
	case alerting && name == labels.AlertName:
		return r.Name, true
	case alerting && name == alert.StateLabel || !r.Labels.Has(name):
		return "", false
	}
	v := r.Labels.Get(name)
	return v, !alerting || !alert.IsTemplate(v)
}

// cyclesOf returns the groups of rules that read, each through others of its group or directly, what they record
// themselves: the strongly connected components of the graph, found with Tarjan's algorithm. Positions are ascending.
func cyclesOf(readers [][]int32) [][]int32 {
	t := tarjan{readers: readers, order: make([]int32, len(readers)), low: make([]int32, len(readers)), open: make([]bool, len(readers))}
	for i := range readers {
		if t.order[i] == 0 {
			t.visit(int32(i))
		}
	}
	slices.SortFunc(t.found, func(a, b []int32) int { return int(a[0] - b[0]) })
	return t.found
}

type tarjan struct {
	readers [][]int32
	// order counts the visits from 1, low is the earliest one that can be reached, open says who is on the stack.
	order, low []int32
	open       []bool
	stack      []int32
	visits     int32
	found      [][]int32
}

func (t *tarjan) visit(i int32) {
	t.visits++
	t.order[i], t.low[i] = t.visits, t.visits
	t.stack, t.open[i] = append(t.stack, i), true
	for _, next := range t.readers[i] {
		switch {
		case t.order[next] == 0:
			t.visit(next)
			t.low[i] = min(t.low[i], t.low[next])
		case t.open[next]:
			t.low[i] = min(t.low[i], t.order[next])
		}
	}
	if t.low[i] != t.order[i] {
		return
	}
	at := len(t.stack) - 1
	for t.stack[at] != i {
		at--
	}
	members := t.stack[at:]
	t.stack = t.stack[:at]
	for _, m := range members {
		t.open[m] = false
	}
	if len(members) > 1 || slices.Contains(t.readers[i], i) {
		t.found = append(t.found, slices.Sorted(slices.Values(members)))
	}
}

// wantedOf reports for each rule whether somebody is told, at once or in the end, of what it returns: an alerting rule is
// wanted for itself, a recording rule where one that is wanted reads it. Only rules that may take part count.
func wantedOf(rules []*rule.Rule, readers [][]int32, may []bool) []bool {
	writers := make([][]int32, len(rules)) // whom a rule reads
	for w, rs := range readers {
		for _, r := range rs {
			writers[r] = append(writers[r], int32(w))
		}
	}
	wanted := make([]bool, len(rules))
	var todo []int32
	for i, r := range rules {
		if may[i] && r.Kind == rule.Alerting {
			wanted[i], todo = true, append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, w := range writers[i] {
			if may[w] && !wanted[w] {
				wanted[w], todo = true, append(todo, w)
			}
		}
	}
	return wanted
}
