package push

import (
	"fmt"

	dto "github.com/prometheus/client_model/go"

	"github.com/tocsin/tocsin/internal/ingest/body"
)

// index knows what all groups have together, so that a push is checked against the others at the cost of its own size.
type index struct {
	// types has each metric family's type and in how many groups it is.
	types map[string]typeUse
	// owners has the group of each series, by the hash of the series' labels. Two series of one hash count as one.
	owners map[uint64]*pushedGroup
}

type typeUse struct {
	typ    dto.MetricType
	groups int
}

func newIndex() *index {
	return &index{types: map[string]typeUse{}, owners: map[uint64]*pushedGroup{}}
}

// check returns what in next, which is to replace old (nil: it is new), is inconsistent with the other groups.
func (x *index) check(old, next *pushedGroup) error {
	for name, f := range next.families {
		use := x.types[name]
		if old != nil && old.families[name] != nil {
			use.groups--
		}
		if use.groups > 0 && use.typ != f.typ {
			return fmt.Errorf("metric family %q has type %s but has type %s in another group", name, f.typ, use.typ)
		}
	}
	own := make(map[uint64]struct{}, next.series())
	for _, e := range next.all() {
		if owner := x.owners[e.hash]; owner != nil && owner != old {
			return fmt.Errorf("series %s is in another group already (labels without a value do not count)", body.Clip(e.ls.String(), 300))
		}
		if _, twice := own[e.hash]; twice {
			return fmt.Errorf("series %s is in this group already, in a metric family of another name", body.Clip(e.ls.String(), 300))
		}
		own[e.hash] = struct{}{}
	}
	return nil
}

// replace puts next (nil: nothing) in the place of old (nil: nothing).
func (x *index) replace(old, next *pushedGroup) {
	if old != nil {
		for name := range old.families {
			use := x.types[name]
			if use.groups--; use.groups == 0 {
				delete(x.types, name)
			} else {
				x.types[name] = use
			}
		}
		for _, e := range old.all() {
			if x.owners[e.hash] == old {
				delete(x.owners, e.hash)
			}
		}
	}
	if next != nil {
		for name, f := range next.families {
			x.types[name] = typeUse{f.typ, x.types[name].groups + 1}
		}
		for _, e := range next.all() {
			x.owners[e.hash] = next
		}
	}
}

// series returns how many series there are.
func (x *index) series() int { return len(x.owners) }
