package exec

import (
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// idleFulls is after how many full evaluations in which nobody has it a value's lane is released.
const idleFulls = 2

// countValues is count_values: a lane for each value that the members of a group have, made as values appear. So it is
// the one operator that binds lanes, and makes labels, in evaluations.
type countValues struct {
	output
	follower
	label string
	// groups are by what the members' labels have to do with the result, all but the label that is written.
	groups *groups
	// merged says that the label which is written is one that the grouping drops: then a group has one lane for all.
	merged, valid bool
	own           column.Lanes
	find          map[valueKey]uint32
	keys          []valueKey      // by own lane
	made          []labels.Labels // by own lane
	counts        []uint32        // by own lane
	idle          []uint8         // by own lane, full evaluations without
	// last is the own lane in which each input lane was counted last, to be checked before use.
	last    []uint32
	changed idSet
	taken   withdrawn
}

// valueKey is a value, as bits, in a group.
type valueKey struct {
	value uint64
	group uint32
}

func newCountValues(n *plan.Node, in *output) *countValues {
	a := n.Aggregate
	names := slices.DeleteFunc(slices.Clone(a.Labels), func(l string) bool { return l == a.Label })
	dropped := a.Without && (len(names) < len(a.Labels) || a.Label == model.MetricNameLabel)
	if a.Without {
		names = append(names, a.Label)
	}
	c := &countValues{
		label: a.Label, merged: dropped, valid: model.UTF8Validation.IsValidLabelName(a.Label),
		groups: groupingOf(in, a.Without, names), follower: follower{in: in}, find: map[valueKey]uint32{},
	}
	named := !dropped && a.Label == model.MetricNameLabel || !a.Without && slices.Contains(names, model.MetricNameLabel)
	c.node = n
	c.shape = shape{
		lanes: &c.own, unique: true, named: named, oneName: !named,
		labels: func(lane uint32) labels.Labels { return c.made[lane] },
	}
	return c
}

func (c *countValues) bind() {
	c.groups.follow()
	c.last = growNone(c.last, len(c.groups.members.id))
	if len(c.groups.released) == 0 {
		return
	}
	gone := map[uint32]bool{}
	for _, group := range c.groups.released {
		gone[group] = true
	}
	for w, live := range c.own.Live() {
		for ; live != 0; live &= live - 1 {
			if lane := uint32(w*column.WordLanes + bits.TrailingZeros64(live)); gone[c.keys[lane].group] {
				c.taken.take(&c.column, lane)
				c.release(lane)
			}
		}
	}
}

func (c *countValues) full(int64) error {
	if !c.valid {
		return errParameter
	}
	c.taken.clear()
	c.countAll()
	for w := range c.column.OK {
		var has uint64
		for live := c.own.Live()[w]; live != 0; live &= live - 1 {
			i := bits.TrailingZeros64(live)
			own := w*column.WordLanes + i
			if n := c.counts[own]; n > 0 {
				c.column.V[own], c.idle[own] = float64(n), 0
				has |= 1 << i
			} else if c.idle[own]++; c.idle[own] == idleFulls {
				c.release(uint32(own))
			}
		}
		c.column.OK[w] = has
	}
	return nil
}

func (c *countValues) update(int64) error {
	if !c.valid {
		return errParameter
	}
	c.taken.mark(&c.output)
	if c.groups.churn || !c.inStep() {
		c.countAll()
		for w, live := range c.own.Live() {
			for ; live != 0; live &= live - 1 {
				c.publish(uint32(w*column.WordLanes + bits.TrailingZeros64(live)))
			}
		}
		return nil
	}
	c.changed.clear()
	for i, w := range c.in.marks.Words() {
		c.follow(w, c.in.marks.Old(i))
	}
	c.followed()
	for _, lane := range c.changed.list {
		c.publish(lane)
	}
	c.sweep()
	return nil
}

// countAll counts everything anew.
func (c *countValues) countAll() {
	clear(c.counts)
	in := &c.in.column
	for w, ok := range in.OK {
		for ; ok != 0; ok &= ok - 1 {
			lane := uint32(w*column.WordLanes + bits.TrailingZeros64(ok))
			c.counts[c.count(lane, in.V[lane])]++
		}
	}
	c.groups.churn = false
	c.caughtUp()
}

// follow moves the lanes of a marked word from the values they had to those they have.
func (c *countValues) follow(w uint32, old *column.Word) {
	v, ok := c.in.column.V[w*column.WordLanes:][:column.WordLanes], c.in.column.OK[w]
	for lanes := old.OK | ok; lanes != 0; lanes &= lanes - 1 {
		l := bits.TrailingZeros64(lanes)
		lane := w*column.WordLanes + uint32(l)
		was, is := old.OK>>l&1 != 0, ok>>l&1 != 0
		if was && is && math.Float64bits(old.V[l]) == math.Float64bits(v[l]) {
			continue
		}
		if was {
			c.counts[c.last[lane]]--
			c.changed.add(c.last[lane])
		}
		if is {
			own := c.count(lane, v[l])
			c.counts[own]++
			c.changed.add(own)
		}
	}
}

// count returns the own lane in which an input lane with value x is to be counted, bound if it is new.
func (c *countValues) count(lane uint32, x float64) uint32 {
	key := valueKey{group: c.groups.members.id[lane]}
	if !c.merged {
		key.value = math.Float64bits(x)
		if x != x {
			key.value = math.Float64bits(math.NaN()) // They are all written alike.
		}
	}
	if last := c.last[lane]; last != none && c.keys[last] == key && c.own.Live().Has(last) {
		return last
	}
	own, ok := c.find[key]
	if !ok {
		own = c.bindValue(key)
	}
	c.last[lane] = own
	return own
}

func (c *countValues) bindValue(key valueKey) uint32 {
	own := c.own.Bind()
	n := c.own.Len()
	c.keys, c.made = column.GrowSlice(c.keys, n), column.GrowSlice(c.made, n)
	c.counts, c.idle = column.GrowSlice(c.counts, n), column.GrowSlice(c.idle, n)
	c.column.Grow(n)
	c.keys[own], c.idle[own] = key, 0
	c.made[own] = c.groups.labels[key.group]
	if !c.merged {
		b := labels.NewBuilder(c.made[own])
		b.Set(c.label, strconv.FormatFloat(math.Float64frombits(key.value), 'f', -1, 64))
		c.made[own] = b.Labels()
	}
	c.find[key] = own
	return own
}

// release gives up an own lane whose value nobody has.
func (c *countValues) release(own uint32) {
	delete(c.find, c.keys[own])
	c.made[own], c.counts[own] = labels.EmptyLabels(), 0
	c.own.Release(own)
}

func (c *countValues) publish(own uint32) {
	c.setMarked(own, float64(c.counts[own]), c.counts[own] > 0)
}

// sweep releases the values that nobody has where they have become more than there are elements: between full
// evaluations nobody else does.
func (c *countValues) sweep() {
	if c.own.Used() <= 2*c.in.lanes.Used()+column.WordLanes {
		return
	}
	for w, live := range c.own.Live() {
		for ; live != 0; live &= live - 1 {
			if own := uint32(w*column.WordLanes + bits.TrailingZeros64(live)); c.counts[own] == 0 {
				c.release(own)
			}
		}
	}
}

func (c *countValues) bytes() int {
	return c.column.Bytes() + c.groups.bytes() + c.own.Bytes() + 100*cap(c.keys) + 4*cap(c.last) + 8*cap(c.seen)
}
