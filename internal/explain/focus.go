package explain

import (
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// focus says which elements of a sub-expression's value belong to what is explained. The metric's name is nobody's concern.
type focus struct {
	// want holds what labels have to match, by name.
	want map[string][]*labels.Matcher
	// closed says that there are no labels besides those of want and free ones.
	closed bool
	free   map[string]bool
}

// onLabels is the focus on an element with exactly these labels.
func onLabels(ls labels.Labels) focus {
	f := focus{want: map[string][]*labels.Matcher{}, closed: true, free: map[string]bool{}}
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			f.want[l.Name] = []*labels.Matcher{equals(l.Name, l.Value)}
		}
	})
	return f
}

// onMatchers is the focus on all elements that match.
func onMatchers(ms []*labels.Matcher) focus {
	f := focus{want: map[string][]*labels.Matcher{}, free: map[string]bool{}}
	for _, m := range ms {
		f.want[m.Name] = append(f.want[m.Name], m)
	}
	return f
}

// everything is the focus on all elements.
func everything() focus { return onMatchers(nil) }

func equals(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value) // only regular expressions fail
}

// has reports whether the element with these labels belongs.
func (f focus) has(ls labels.Labels) bool {
	for name, ms := range f.want {
		for _, m := range ms {
			if !m.Matches(ls.Get(name)) {
				return false
			}
		}
	}
	if !f.closed {
		return true
	}
	others := false
	ls.Range(func(l labels.Label) {
		others = others || l.Name != model.MetricNameLabel && f.want[l.Name] == nil && !f.free[l.Name]
	})
	return !others
}

// of returns what the label has to match: nothing where that is not known.
func (f focus) of(name string) []*labels.Matcher {
	if ms := f.want[name]; ms != nil || !f.closed || f.free[name] {
		return ms
	}
	return []*labels.Matcher{equals(name, "")}
}

// keep is the focus on elements that have these labels in common with those of f.
func (f focus) keep(names []string) focus {
	out := everything()
	for _, name := range names {
		if ms := f.of(name); ms != nil {
			out.want[name] = ms
		}
	}
	return out
}

// without is f whatever these labels are.
func (f focus) without(names ...string) focus {
	out := focus{want: maps.Clone(f.want), closed: f.closed, free: maps.Clone(f.free)}
	for _, name := range names {
		delete(out.want, name)
		out.free[name] = true
	}
	return out
}

// matchers are what f wants, sorted. What a closed f does not want is not among them.
func (f focus) matchers() []*labels.Matcher {
	var out []*labels.Matcher
	for _, name := range slices.Sorted(maps.Keys(f.want)) {
		out = append(out, f.want[name]...)
	}
	return out
}

// partner is the focus on what an element of f matches on the other side of b.
func (f focus) partner(b *plan.Binary) focus {
	if b.On {
		return f.keep(b.Labels)
	}
	return f.without(b.Labels...)
}

// inside returns the focus on the elements of p's i-th operand that those of f in p's value are made of.
func (f focus) inside(p *plan.Part, i int) focus {
	switch p.Kind {
	case plan.PartSubquery, plan.PartUnary:
		return f
	case plan.PartAggregate:
		return f.aggregated(p, i)
	case plan.PartBinary:
		return f.operand(p, i)
	case plan.PartCall:
		return f.argument(p)
	}
	return everything()
}

func (f focus) aggregated(p *plan.Part, i int) focus {
	switch p.Func {
	case "topk", "bottomk", "limitk", "limit_ratio":
		return f
	case "count_values":
		f = f.without(p.In[len(p.In)-1].String)
	}
	switch {
	case i > 0:
		return everything()
	case p.Without:
		return f.without(p.Grouping...)
	}
	return f.keep(p.Grouping)
}

func (f focus) operand(p *plan.Part, i int) focus {
	b := p.Binary
	if !p.In[i].Vector() {
		return everything()
	}
	if !p.In[1-i].Vector() || b.Op == plan.Or || b.Op >= plan.And && i == 0 {
		return f
	}
	if b.Op >= plan.And || b.Card == plan.OneToOne {
		return f.partner(b)
	}
	many := 0
	if b.Card == plan.OneToMany {
		many = 1
	}
	if i == many {
		return f.without(b.Include...)
	}
	one := f.partner(b)
	for _, name := range b.Include { // What it brought along is its own.
		if ms := f.of(name); ms != nil {
			one.want[name] = ms
			delete(one.free, name)
		}
	}
	return one
}

// argument is inside for functions. Those that are not named keep labels.
func (f focus) argument(p *plan.Part) focus {
	switch p.Func {
	case "absent", "absent_over_time", "scalar", "info", "vector":
		return everything()
	case "label_replace", "label_join":
		return f.without(p.In[1].String)
	case "histogram_quantile", "histogram_fraction":
		return f.without(labels.BucketLabel)
	case "histogram_quantiles":
		return f.without(labels.BucketLabel, p.In[1].String)
	}
	if p.Kind == plan.PartCall && p.Binary == nil && len(p.In) == 2 && p.In[0].Vector() && p.In[1].Vector() {
		return everything() // An operator that plan does not know.
	}
	return f
}
