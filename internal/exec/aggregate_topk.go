package exec

import (
	"math"
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

// ranking is topk and bottomk: of each group the k members that rank highest. NaN ranks below everything, and of equal
// values the one of the lower lane wins. Lanes, labels and values are the input's; only the bitmap is its own.
type ranking struct {
	output
	follower
	param  *output
	bottom bool
	groups *groups
	// k is how many there are a group, as of the last evaluation.
	k int
	// heaps has for each group room[g] elements from start[g] on; the first size[g] are the chosen ones, worst first.
	heaps             []ranked
	start, room, size []uint32
	stale, touched    idSet
	// shown is the bitmap as the last evaluation left it, before bind took released lanes out.
	shown column.Bitmap
	spare column.Word
}

// ranked is a lane by rank.
type ranked struct {
	rank int64
	lane uint32
}

func (a ranked) below(b ranked) bool { return a.rank < b.rank || a.rank == b.rank && a.lane > b.lane }

func newRanking(n *plan.Node, in, param *output) *ranking {
	r := &ranking{param: param, bottom: n.Aggregate.Op == plan.BottomK, groups: aggregationOf(n, in), follower: follower{in: in}}
	r.node, r.shape = n, in.shape
	r.groups.left = func(lane, _ uint32) { r.column.OK.Unset(lane) }
	return r
}

func (r *ranking) bind() {
	r.column.OK = r.column.OK.Grow(r.in.lanes.Len())
	r.groups.follow()
	r.share()
	n := r.groups.lanes.Len()
	r.start, r.room, r.size = column.GrowSlice(r.start, n), column.GrowSlice(r.room, n), column.GrowSlice(r.size, n)
}

// share takes over the input's values, which may have moved as they grew.
func (r *ranking) share() {
	n := len(r.in.column.OK)
	r.column.OK = r.column.OK.Grow(n * column.WordLanes)
	r.shown = r.shown.Grow(n * column.WordLanes)
	r.column.V = r.in.column.V
}

// rank maps x to a number that orders as x ranks; both zeros are equal.
func (r *ranking) rank(x float64) int64 {
	if x != x {
		return math.MinInt64
	}
	if r.bottom {
		x = -x
	}
	b := int64(math.Float64bits(x + 0)) // -0 + 0 is 0.
	return b ^ (b >> 63 & math.MaxInt64)
}

func (r *ranking) full(int64) error {
	if err := r.readParam(); err != nil {
		return err
	}
	r.share()
	r.chooseAll()
	copy(r.shown, r.column.OK)
	return nil
}

// readParam takes over k.
func (r *ranking) readParam() error {
	switch k := r.param.scalar; {
	case k != k || k >= math.MaxInt64/2:
		return errParameter
	case k < 1:
		r.k = 0
	default:
		r.k = int(min(k, math.MaxInt32))
	}
	return nil
}

// chooseAll chooses in all groups anew.
func (r *ranking) chooseAll() {
	r.groups.churn = false
	r.caughtUp()
	clear(r.column.OK)
	if r.k == 0 {
		return
	}
	r.layout()
	c, ids := &r.in.column, r.groups.members.id
	group, single := r.groups.only()
	for w, ok := range c.OK {
		v := c.V[w*column.WordLanes:][:column.WordLanes]
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			lane := uint32(w*column.WordLanes + i)
			if !single {
				group = ids[lane]
			}
			r.offer(group, ranked{r.rank(v[i]), lane})
		}
	}
	for group, n := range r.size {
		for _, e := range r.heaps[r.start[group]:][:n] {
			r.column.OK.Set(e.lane)
		}
	}
}

// layout gives each group room for k elements, or for somewhat more than its members, and empties it.
func (r *ranking) layout() {
	from := uint32(0)
	for group, members := range r.groups.members.count {
		r.start[group], r.size[group] = from, 0
		r.room[group] = uint32(min(r.k, 2*int(members)+2))
		from += r.room[group]
	}
	r.heaps = column.GrowSlice(r.heaps, int(from))
}

// offer takes e into group's heap if it ranks high enough.
func (r *ranking) offer(group uint32, e ranked) {
	h := r.heaps[r.start[group]:][:r.room[group]]
	n := int(r.size[group])
	if n < len(h) {
		h[n] = e
		r.size[group]++
		for n > 0 && h[n].below(h[(n-1)/2]) {
			h[n], h[(n-1)/2] = h[(n-1)/2], h[n]
			n = (n - 1) / 2
		}
		return
	}
	if h[0].below(e) {
		h[0] = e
		siftDown(h, 0)
	}
}

// siftDown brings h into order where element i may have risen.
func siftDown(h []ranked, i int) {
	for {
		worst := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].below(h[worst]) {
				worst = child
			}
		}
		if worst == i {
			return
		}
		h[i], h[worst] = h[worst], h[i]
		i = worst
	}
}

func (r *ranking) update(int64) error {
	k := r.k
	if err := r.readParam(); err != nil {
		return err
	}
	r.share()
	if r.in.synced != r.met {
		r.synced++ // The values are shared, so they were changed without marks: who keeps sums over them has to know.
	}
	if k != r.k || r.groups.churn || !r.inStep() || r.cramped() {
		r.chooseAll()
		r.mark(true)
		return nil
	}
	if r.k > 0 {
		r.follow()
	}
	r.followed()
	r.mark(false)
	return nil
}

// cramped reports whether a group has more members by now than it has room for, and is to have it.
func (r *ranking) cramped() bool {
	if r.k == 0 {
		return false
	}
	for _, w := range r.in.marks.Words() {
		for ok := r.in.column.OK[w]; ok != 0; ok &= ok - 1 {
			group := r.groups.members.id[int(w)*column.WordLanes+bits.TrailingZeros64(ok)]
			if int(r.room[group]) < min(r.k, int(r.groups.members.count[group])) {
				return true
			}
		}
	}
	return false
}

// follow brings the choice up to date with the marked words. A group is chosen anew only where a chosen member went or
// fell; one that rises stays, and one that was not chosen has to outrank the worst.
func (r *ranking) follow() {
	r.stale.clear()
	in := r.in
	for i, w := range in.marks.Words() {
		v, ok, base := in.column.V[w*column.WordLanes:], in.column.OK[w], w*column.WordLanes
		for lanes := changedLanes(in.marks.Old(i), v, ok); lanes != 0; lanes &= lanes - 1 {
			l := bits.TrailingZeros64(lanes)
			lane := base + uint32(l)
			group := r.groups.members.id[lane]
			if r.stale.has(group) {
				continue
			}
			has, e := ok>>l&1 != 0, ranked{r.rank(v[l]), lane}
			switch {
			case !r.column.OK.Has(lane):
				if has {
					r.challenge(group, e)
				}
			case !has || !r.rise(group, e):
				r.stale.add(group)
			}
		}
	}
	for _, group := range r.stale.list {
		r.choose(group)
	}
}

// challenge takes e into group if it outranks the worst, which goes.
func (r *ranking) challenge(group uint32, e ranked) {
	full := r.size[group] == r.room[group]
	worst := r.heaps[r.start[group]]
	if full && !worst.below(e) {
		return
	}
	r.offer(group, e)
	r.show(e.lane, true)
	if full {
		r.show(worst.lane, false)
	}
}

// rise moves a chosen lane of group to its new rank; false if that is lower than before.
func (r *ranking) rise(group uint32, e ranked) bool {
	h := r.heaps[r.start[group]:][:r.size[group]]
	for i := range h {
		if h[i].lane == e.lane {
			if e.rank < h[i].rank {
				return false
			}
			h[i].rank = e.rank
			siftDown(h, i)
			return true
		}
	}
	panic("BUG: a lane is chosen that is in no heap")
}

// choose chooses in one group anew.
func (r *ranking) choose(group uint32) {
	for _, e := range r.heaps[r.start[group]:][:r.size[group]] {
		r.show(e.lane, false)
	}
	r.size[group] = 0
	m, c := &r.groups.members, &r.in.column
	for lane := m.head[group]; lane != none; lane = m.next[lane] {
		if c.OK.Has(lane) {
			r.offer(group, ranked{r.rank(c.V[lane]), lane})
		}
	}
	for _, e := range r.heaps[r.start[group]:][:r.size[group]] {
		r.show(e.lane, true)
	}
}

func (r *ranking) show(lane uint32, chosen bool) {
	if chosen {
		r.column.OK.Set(lane)
	} else {
		r.column.OK.Unset(lane)
	}
	r.touched.add(lane / column.WordLanes)
}

// mark marks the words whose bitmap changed or in which a chosen lane's value did. What stood there is known from the
// input's marks.
func (r *ranking) mark(all bool) {
	c := &r.column
	for i, w := range r.in.marks.Words() {
		old := r.in.marks.Old(i)
		shown := r.shown[w]
		if shown != c.OK[w] || changedLanes(old, c.V[w*column.WordLanes:], r.in.column.OK[w])&shown != 0 {
			r.marks.Add(w, r.before(w, old), shown)
		}
		r.shown[w] = c.OK[w]
	}
	if all {
		for w := range c.OK {
			r.markBits(uint32(w))
		}
	}
	for _, w := range r.touched.list {
		r.markBits(w)
	}
	r.touched.clear()
}

// before returns the values of word w before the update: what old says, and the present ones of lanes that old does not
// know of, because they were released or nothing changed there.
func (r *ranking) before(w uint32, old *column.Word) []float64 {
	missing := r.shown[w] &^ old.OK
	if missing == 0 {
		return old.V[:]
	}
	r.spare.V = old.V
	for ; missing != 0; missing &= missing - 1 {
		l := bits.TrailingZeros64(missing)
		r.spare.V[l] = r.column.V[int(w)*column.WordLanes+l]
	}
	return r.spare.V[:]
}

// markBits marks a word whose bitmap changed; the values did not.
func (r *ranking) markBits(w uint32) {
	if shown := r.shown[w]; shown != r.column.OK[w] {
		r.marks.Add(w, r.column.V[w*column.WordLanes:], shown)
		r.shown[w] = r.column.OK[w]
	}
}

func (r *ranking) bytes() int {
	return r.groups.bytes() + 16*cap(r.heaps) + 4*(cap(r.start)+cap(r.room)+cap(r.size)) +
		8*(cap(r.column.OK)+cap(r.shown)+cap(r.seen))
}
