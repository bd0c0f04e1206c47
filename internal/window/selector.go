package window

import (
	"cmp"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// Selector is the series that a set of matchers selects, in lanes. Those who select with the same matchers share it,
// whatever their ranges and offsets are.
type Selector struct {
	store    *Store
	matchers []*labels.Matcher
	key      string
	// name is the metric name that the matchers fix, if fixed says so.
	name  string
	fixed bool
	slot  uint32

	lanes   column.Lanes
	ids     []ID
	marks   column.Marks
	listed  bool // among the store's touched
	version uint64
	fed     uint64
	reached int64
	// batch is the last batch that touched it.
	batch uint32

	users  map[span]int
	sights []sight
	// keep is how far back from the newest sample the users look at more than the latest sample; reach is how far back
	// from the present they look at all.
	keep, reach int64

	// What is known of all series that match, the basis of the floors of those that appear later. As of the last
	// SetComplete everything after complete was here; evicted is the newest sample that was evicted since.
	complete, evicted int64
	// pending says that a round of filling is under way; evictedNow is evicted since it began, and completeReach and
	// completeKeep are what reach and keep have been at least since the last round.
	pending                     bool
	evictedNow                  int64
	pendingSlack                int64 // Slack when it began
	completeReach, completeKeep int64
}

// span is what a user of a selector looks at.
type span struct{ length, offset int64 }

// sight is when a sample of time t can be seen: from t-early, or when it comes, up to, but not at, t+horizon. early is 0
// but for users who look into the future. That those who look into the past see it only later is not followed: ticks
// find it.
type sight struct{ early, horizon int64 }

// Lanes returns who stands where. A lane's word is marked when it is bound; when it is released, only if the series was
// in sight until then.
func (x *Selector) Lanes() *column.Lanes { return &x.lanes }

// Labels returns the labels of a lane's series; they are empty where the lane is not in use.
func (x *Selector) Labels(lane uint32) labels.Labels {
	if !x.lanes.Live().Has(lane) {
		return labels.EmptyLabels()
	}
	return x.store.labels[x.ids[lane]]
}

// IDs returns the series by lane, for at least as many lanes as there are; those of lanes that are not in use are 0.
func (x *Selector) IDs() []ID { return x.ids }

// Marks returns the words that were touched since the owner last cleared them; they have no old values.
func (x *Selector) Marks() *column.Marks { return &x.marks }

// Version returns a number that moves with each batch, Fill and expiry that touches a series of x.
func (x *Selector) Version() uint64 { return x.version }

// Fed returns a number that moves with each batch that touches a series of x, and with nothing else.
func (x *Selector) Fed() uint64 { return x.fed }

// Reached returns the newest sample time that was seen on any series of x, math.MinInt64 if none was.
func (x *Selector) Reached() int64 { return x.reached }

// OneName reports whether an equality matcher fixes the metric name.
func (x *Selector) OneName() bool { return x.fixed }

// Reach returns how far back from the present, in milliseconds, the users of x look; Fill has to bring what is that old,
// and Slack older.
func (x *Selector) Reach() int64 { return x.reach }

// bound returns a time after which no sample is missing of a series of x that the store does not have.
func (x *Selector) bound() int64 { return max(x.complete, x.evicted) }

func (x *Selector) matches(ls labels.Labels) bool {
	for _, m := range x.matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// touch marks a lane's word.
func (x *Selector) touch(lane uint32) {
	if w := lane / column.WordLanes; !x.marks.Has(w) {
		x.marks.Touch(w)
		x.list()
	}
}

// list enters x among those that were touched.
func (x *Selector) list() {
	if !x.listed {
		x.listed = true
		x.store.touched = append(x.store.touched, x)
	}
}

// follow works out what the users ask for. It reports whether the sights changed.
func (x *Selector) follow(lookback int64) (changed bool) {
	var sights []sight
	x.keep, x.reach = 0, 0
	for u := range x.users {
		length := u.length
		if length == 0 {
			length = lookback // The latest sample is always kept, however old.
		}
		h := plus(length, u.offset)
		sights = append(sights, sight{early: max(0, -u.offset), horizon: h})
		x.keep = max(x.keep, plus(u.length, u.offset))
		x.reach = max(x.reach, h)
	}
	slices.SortFunc(sights, func(a, b sight) int {
		return cmp.Or(cmp.Compare(a.horizon, b.horizon), cmp.Compare(a.early, b.early))
	})
	sights = slices.Compact(sights)
	changed = !slices.Equal(sights, x.sights)
	x.sights = sights
	return changed
}

// selectors are those in use, by what finds them. A series can only match one that fixes its name, or one of rest.
type selectors struct {
	all    []*Selector
	slots  []*Selector // by Selector.slot; nil where free
	byKey  map[string]*Selector
	byName map[string][]*Selector
	rest   []*Selector
}

func (c *selectors) add(sel *plan.Select) *Selector {
	x := &Selector{
		matchers: sel.Matchers, key: sel.Key, users: map[span]int{}, reached: math.MinInt64,
		complete: math.MaxInt64, evicted: math.MinInt64, evictedNow: math.MinInt64, pending: true,
	}
	for _, m := range sel.Matchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			x.name, x.fixed = m.Value, true
		}
	}
	x.slot = uint32(len(c.slots))
	if free := slices.Index(c.slots, nil); free >= 0 {
		x.slot = uint32(free)
	} else {
		c.slots = append(c.slots, nil)
	}
	c.slots[x.slot] = x
	c.all = append(c.all, x)
	c.byKey[x.key] = x
	if x.fixed {
		c.byName[x.name] = append(c.byName[x.name], x)
	} else {
		c.rest = append(c.rest, x)
	}
	return x
}

func (c *selectors) remove(x *Selector) {
	is := func(other *Selector) bool { return other == x }
	c.all = slices.DeleteFunc(c.all, is)
	c.slots[x.slot] = nil
	delete(c.byKey, x.key)
	if !x.fixed {
		c.rest = slices.DeleteFunc(c.rest, is)
		return
	}
	c.byName[x.name] = slices.DeleteFunc(c.byName[x.name], is)
	if len(c.byName[x.name]) == 0 {
		delete(c.byName, x.name)
	}
}

// each calls visit for those that match.
func (c *selectors) each(ls labels.Labels, visit func(x *Selector)) {
	for _, x := range c.byName[ls.Get(model.MetricNameLabel)] {
		if x.matches(ls) {
			visit(x)
		}
	}
	for _, x := range c.rest {
		if x.matches(ls) {
			visit(x)
		}
	}
}
