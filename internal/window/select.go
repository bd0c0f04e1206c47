package window

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// Select returns the Selector of sel's matchers, for one user more who looks at what sel's range and offset say. Each
// call is to be matched by one of Release. Series that are here already stand in it at once; see Fill for the others, and
// for what is older than anybody wanted until now.
func (s *Store) Select(sel *plan.Select) *Selector {
	x := s.selectors.byKey[sel.Key]
	if x == nil {
		x = s.selectors.add(sel)
		x.store, x.pendingSlack = s, s.opts.Slack
		s.adopt(x)
		s.refs.forget()
	}
	x.users[span{sel.Range, sel.Offset}]++
	reach, keep := x.reach, x.keep
	changed := x.follow(s.opts.Lookback)
	if x.reach > reach || x.keep > keep {
		s.eachOf(x, func(id ID) { s.series[id].flags &^= flagLoses })
	}
	if !x.pending && (x.reach > x.completeReach || x.keep > x.completeKeep) {
		x.pending, x.evictedNow, x.pendingSlack = true, math.MinInt64, s.opts.Slack
	}
	if changed {
		s.eachOf(x, s.arm)
	}
	return x
}

// Release takes back one Select of x with sel. With the last one its lanes go, and the series that nobody else selects.
func (s *Store) Release(x *Selector, sel *plan.Select) {
	u := span{sel.Range, sel.Offset}
	if x.users[u] == 0 {
		panic("BUG: a selector was released more often than it was selected")
	}
	if x.users[u]--; x.users[u] == 0 {
		delete(x.users, u)
	}
	if len(x.users) == 0 {
		s.remove(x)
		return
	}
	changed := x.follow(s.opts.Lookback)
	// The rest is trimmed from now on.
	x.completeReach, x.completeKeep = min(x.completeReach, x.reach), min(x.completeKeep, x.keep)
	if x.pending && x.complete != math.MaxInt64 && x.reach <= x.completeReach && x.keep <= x.completeKeep {
		x.pending = false
	}
	if changed {
		s.eachOf(x, s.arm)
	}
}

func (s *Store) remove(x *Selector) {
	s.unlist(x)
	s.eachOf(x, func(id ID) {
		if s.unbind(id, x) {
			s.arm(id)
			return
		}
		s.destroy(id)
		s.stats.Released++
	})
	s.selectors.remove(x)
	x.users, x.ids = nil, nil
}

// eachOf calls visit for the series of x.
func (s *Store) eachOf(x *Selector, visit func(id ID)) {
	for lane := range uint32(x.lanes.Len()) {
		if x.lanes.Live().Has(lane) {
			visit(x.ids[lane])
		}
	}
}

// adopt binds the series that are here already and that x selects, all of which other selectors found.
func (s *Store) adopt(x *Selector) {
	try := func(id ID) {
		if x.matches(s.labels[id]) {
			s.bind(id, x)
		}
	}
	if !x.fixed {
		for id := range s.series {
			if s.series[id].flags&flagLive != 0 {
				try(ID(id))
			}
		}
		return
	}
	for _, others := range [][]*Selector{s.selectors.byName[x.name], s.selectors.rest} {
		for _, other := range others {
			if other != x {
				s.eachOf(other, try)
			}
		}
	}
}

// admit makes a series of the labels if somebody selects it.
func (s *Store) admit(ls labels.Labels, hash uint64) (id ID, ok bool) {
	s.selectors.each(ls, func(x *Selector) {
		if !ok {
			id, ok = s.create(ls, hash), true
		}
		s.bind(id, x)
	})
	return id, ok
}
