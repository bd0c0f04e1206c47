package exec

import (
	"math/bits"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// groups puts the lanes of a vector into groups by their labels. A group is a lane of its own vector: bound when the
// first member comes, released when the last one goes. Label work is done in follow alone, once for each lane that
// changes hands.
type groups struct {
	in     *output
	cursor column.Cursor
	// key is what members have in common, as bytes that are equal exactly when the labels are.
	key signer
	// members are the input's lanes by group. Its id has room for whole words of lanes, none where there is no member.
	members roster
	ids     map[string]uint32 // by key
	keys    []string          // by group
	labels  []labels.Labels   // by group
	lanes   column.Lanes
	// accept, if set, says which lanes are members at all. joined and left, if set, are told of members: a lane that
	// changed hands has left and joined, be it the same group.
	accept func(ls labels.Labels) bool
	joined func(lane, group uint32, ls labels.Labels)
	left   func(lane, group uint32)
	// released are the groups that the last follow released; some may be in use again.
	released []uint32
	// churn says that a member left since settle: what was computed before may count it still.
	churn bool
}

// newGroups groups in's lanes by the labels that are named, or by all but those. names must be sorted.
func newGroups(in *output, by bool, names []string) *groups {
	return &groups{in: in, key: signer{on: by, names: names}, ids: map[string]uint32{}}
}

// groupingOf groups in's lanes as PromQL's aggregations do: by the labels named, the metric name only if it is among
// them, or without those and without the metric name.
func groupingOf(in *output, without bool, names []string) *groups {
	names = slices.Clone(names)
	if without {
		names = append(names, model.MetricNameLabel)
	}
	slices.Sort(names)
	return newGroups(in, !without, slices.Compact(names))
}

// follow brings the groups up to date with the input's lanes.
func (g *groups) follow() {
	g.released = g.released[:0]
	if !g.in.lanes.Changed(g.cursor) {
		return
	}
	g.members.grow(column.Words(g.in.lanes.Len())*column.WordLanes, 0)
	g.in.lanes.Follow(&g.cursor, g.visit)
}

func (g *groups) visit(lane uint32, live bool) {
	var ls labels.Labels
	was, is := g.members.id[lane], none
	if live {
		if ls = g.in.labels(lane); g.accept == nil || g.accept(ls) {
			is = g.of(ls) // before the lane leaves, so that a group it stays in is not released
		}
	}
	if was != none {
		g.leave(lane, was, is)
	}
	if is != none {
		g.members.add(lane, is)
		if g.joined != nil {
			g.joined(lane, is, ls)
		}
	}
}

// leave takes lane out of group was. It is about to join group is.
func (g *groups) leave(lane, was, is uint32) {
	g.churn = true
	g.members.remove(lane)
	if g.left != nil {
		g.left(lane, was)
	}
	if was != is && g.members.count[was] == 0 {
		g.release(was)
	}
}

// of returns the group of ls, bound if there was none.
func (g *groups) of(ls labels.Labels) uint32 {
	key := g.key.of(ls)
	if group, ok := g.ids[string(key)]; ok {
		return group
	}
	group := g.lanes.Bind()
	n := g.lanes.Len()
	g.keys, g.labels = column.GrowSlice(g.keys, n), column.GrowSlice(g.labels, n)
	g.members.grow(0, n)
	g.keys[group] = string(key)
	g.labels[group] = g.result(ls)
	g.ids[g.keys[group]] = group
	return group
}

// result returns what of ls the group bears.
func (g *groups) result(ls labels.Labels) labels.Labels {
	b := labels.NewBuilder(ls)
	if g.key.on {
		return b.Keep(g.key.names...).Labels()
	}
	return b.Del(g.key.names...).Labels()
}

func (g *groups) release(group uint32) {
	delete(g.ids, g.keys[group])
	g.keys[group], g.labels[group] = "", labels.EmptyLabels()
	g.lanes.Release(group)
	g.released = append(g.released, group)
}

// only returns the one group that there is, if there is just one.
func (g *groups) only() (group uint32, ok bool) {
	if g.lanes.Used() != 1 {
		return 0, false
	}
	for w, live := range g.lanes.Live() {
		if live != 0 {
			return uint32(w*column.WordLanes + bits.TrailingZeros64(live)), true
		}
	}
	panic("BUG: a lane is in use that is not live")
}

// valid appends the group's members that have a value in c to buf, lowest lane first.
func (g *groups) valid(buf []uint32, c *column.Column, group uint32) []uint32 {
	for lane := g.members.head[group]; lane != none; lane = g.members.next[lane] {
		if c.OK.Has(lane) {
			buf = append(buf, lane)
		}
	}
	slices.Sort(buf)
	return buf
}

// shape is that of a vector of the groups.
func (g *groups) shape() shape {
	named := g.in.named && g.key.on == slices.Contains(g.key.names, model.MetricNameLabel)
	return shape{
		lanes: &g.lanes, unique: true, named: named, oneName: !named || g.in.oneName,
		labels: func(group uint32) labels.Labels { return g.labels[group] },
	}
}

// follower keeps something in step with an input by its marks, and knows when that is not possible.
type follower struct {
	in *output
	// met is what in.synced was at the last evaluation.
	met uint64
	// seen is which lanes had values at the last evaluation. A mark that says otherwise does not tell what stood there.
	seen column.Bitmap
}

// inStep reports whether the input's marks tell all that changed since the last evaluation, with what stood there.
func (f *follower) inStep() bool {
	if f.in.synced != f.met {
		return false
	}
	for i, w := range f.in.marks.Words() {
		known := uint64(0)
		if int(w) < len(f.seen) {
			known = f.seen[w]
		}
		if f.in.marks.Old(i).OK != known {
			return false
		}
	}
	return true
}

// caughtUp notes that the whole input was evaluated.
func (f *follower) caughtUp() {
	f.met = f.in.synced
	f.seen = column.GrowSlice(f.seen, len(f.in.column.OK))
	copy(f.seen, f.in.column.OK)
}

// followed notes that the input's marked words were evaluated.
func (f *follower) followed() {
	f.seen = column.GrowSlice(f.seen, len(f.in.column.OK))
	for _, w := range f.in.marks.Words() {
		f.seen[w] = f.in.column.OK[w]
	}
}

// changedLanes returns the lanes of a word that gained or lost their value or have another than before, NaN equal to NaN.
func changedLanes(old *column.Word, v []float64, ok uint64) uint64 {
	changed := old.OK ^ ok
	v = v[:column.WordLanes]
	for both := old.OK & ok; both != 0; both &= both - 1 {
		i := bits.TrailingZeros64(both)
		if v[i] != old.V[i] && (v[i] == v[i] || old.V[i] == old.V[i]) {
			changed |= 1 << i
		}
	}
	return changed
}

// withdrawn are words of a column out of which bind took lanes that had values, with what OK was: update marks them,
// since bind must not.
type withdrawn struct {
	words []uint32
	ok    []uint64
}

// take takes the value of lane out of c.
func (d *withdrawn) take(c *column.Column, lane uint32) {
	if w := lane / column.WordLanes; int(w) < len(c.OK) && c.OK.Has(lane) {
		d.words, d.ok = append(d.words, w), append(d.ok, c.OK[w])
		c.OK.Unset(lane)
	}
}

// mark marks what was taken out. It comes before any change of the column.
func (d *withdrawn) mark(o *output) {
	for i, w := range d.words {
		o.marks.Add(w, o.column.V[w*column.WordLanes:], d.ok[i])
	}
	d.clear()
}

func (d *withdrawn) clear() { d.words, d.ok = d.words[:0], d.ok[:0] }

// setMarked gives lane the value v, or none, and marks its word where that is a change.
func (o *output) setMarked(lane uint32, v float64, ok bool) {
	c := &o.column
	if had := c.OK.Has(lane); had == ok && (!ok || v == c.V[lane] || v != v && c.V[lane] != c.V[lane]) {
		return
	}
	w := lane / column.WordLanes
	o.marks.Add(w, c.V[w*column.WordLanes:], c.OK[w])
	if ok {
		c.V[lane] = v
		c.OK.Set(lane)
	} else {
		c.OK.Unset(lane)
	}
}

// aggregationOf is node n's aggregation over in.
func aggregationOf(n *plan.Node, in *output) *groups {
	return groupingOf(in, n.Aggregate.Without, n.Aggregate.Labels)
}

// bytes estimates what the groups occupy.
func (g *groups) bytes() int {
	m := &g.members
	n := 4*(cap(m.id)+cap(m.next)+cap(m.prev)+cap(m.head)+cap(m.count)) + 16*(cap(g.keys)+cap(g.labels)) + g.lanes.Bytes()
	for _, key := range g.keys {
		n += 2*len(key) + 32 // the key, about as much for the labels, and the map's entry
	}
	return n
}
