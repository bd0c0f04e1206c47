package threshold

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/kernel"
)

// Full brings all lanes to the column that v and ok are: 64 values a word of ok. It keeps no list of what changed, and
// drops the one there is.
func (x *Index) Full(v []float64, ok []uint64) {
	x.journal.clear()
	x.fit(v, ok)
	for from := 0; from < x.words; from += kernel.MaxWords {
		n := min(kernel.MaxWords, x.words-from)
		x.check(from, n, v, ok)
		for i := range n {
			x.settle(from+i, x.same[i], v, ok)
		}
	}
	if x.stale() {
		x.rebuild(v)
	}
}

// Update is Full for some words only, each given once; all others hold what they held in the last Full or Update. Lines of
// which lanes begin or cease to pass list the word as changed. The lists start anew.
//
// moved may be nil. Else it has, by given word, the lanes whose value is another than before: lines that such a lane passes
// list the word as changed, too.
func (x *Index) Update(words []uint32, moved []uint64, v []float64, ok []uint64) {
	x.journal.clear()
	x.fit(v, ok)
	x.journal.on = true
	for from := 0; from < len(words); {
		n := 1
		for from+n < len(words) && n < kernel.MaxWords && words[from+n] == words[from]+uint32(n) {
			n++
		}
		x.check(int(words[from]), n, v, ok)
		for i := range n {
			w := words[from+i]
			x.journal.begin(from + i)
			x.settle(int(w), x.same[i], v, ok)
			if moved != nil {
				x.touch(w, moved[from+i])
			}
		}
		from += n
	}
	x.journal.on = false
	x.journal.sort(words, x.lines)
	if x.stale() {
		x.rebuild(v)
	}
}

// Visit calls visit once for each line that passes in any of the given lanes of word w, as of the last Full or Update.
// It costs little more than what it finds; only lines with != are looked at one by one.
func (x *Index) Visit(w uint32, lanes uint64, visit func(*Line)) {
	x.holding(w, lanes, func(lines []*Line) {
		for _, l := range lines {
			if !l.gone {
				visit(l)
			}
		}
	})
}

// touch lists word w as changed in the lines that pass in any of the given lanes.
func (x *Index) touch(w uint32, lanes uint64) {
	x.holding(w, lanes, func(lines []*Line) {
		for _, l := range lines {
			x.journal.note(l, l.OK[w])
		}
	})
}

// holding calls visit for runs of lines that pass in any of the given lanes of word w, each line once.
func (x *Index) holding(w uint32, lanes uint64, visit func([]*Line)) {
	if lanes == 0 {
		return
	}
	slots := (*[column.WordLanes]uint32)(x.slots[int(w)*column.WordLanes:])
	visit(x.up.holding(slots, lanes))
	visit(x.down.holding(slots, lanes))
	if !x.points.empty() {
		x.points.holding(slots, w, lanes, visit)
	}
}

// fit makes room for the column.
func (x *Index) fit(v []float64, ok []uint64) {
	if len(ok) < x.words || len(v) < len(ok)*column.WordLanes {
		panic("BUG: a column is shorter than the index over it")
	}
	x.Grow(len(ok) * column.WordLanes)
}

// check finds which lanes of n words are in their slot still, into x.same.
func (x *Index) check(from, n int, v []float64, ok []uint64) {
	lane := from * column.WordLanes
	b := &x.block
	b.Words, b.OK = n, x.same
	b.In[inputValue] = kernel.Input{V: v[lane:], OK: ok[from:]}
	b.In[inputLow] = kernel.Input{V: x.lo[lane:]}
	b.In[inputHigh] = kernel.Input{V: x.hi[lane:]}
	x.run.Run(b)
	b.In[inputValue] = kernel.Input{} // The caller's memory is not kept.
}

// settle brings word w to the column. same is the lanes that are in their slot still.
func (x *Index) settle(w int, same uint64, v []float64, ok []uint64) {
	now, was := ok[w], x.present[w]
	checked := uint64(bits.OnesCount64(now))
	x.stats.Checked += checked
	x.stats.Answered += checked * uint64(len(x.lines))
	dirty := now&^same | was&^now
	if dirty == 0 {
		return
	}
	lane := w * column.WordLanes
	values := (*[column.WordLanes]float64)(v[lane:])
	slots := (*[column.WordLanes]uint32)(x.slots[lane:])
	lo, hi := (*[column.WordLanes]float64)(x.lo[lane:]), (*[column.WordLanes]float64)(x.hi[lane:])
	changed := false
	for ; dirty != 0; dirty &= dirty - 1 {
		i := bits.TrailingZeros64(dirty)
		from, to := slots[i], uint32(slotAbsent)
		if now>>i&1 != 0 {
			to = x.scale.slot(values[i])
		}
		if to == from {
			continue // NaN still
		}
		changed = true
		x.stats.Moved++
		slots[i] = to
		lo[i], hi[i] = x.scale.bounds[to][0], x.scale.bounds[to][1]
		x.move(from, to, 1<<i)
	}
	if changed {
		x.present[w] = now
		x.apply(uint32(w), was^now)
	}
}

// move takes down that the lanes of mask go from one slot to another.
func (x *Index) move(from, to uint32, mask uint64) {
	x.up.move(from, to, mask)
	x.down.move(from, to, mask)
	x.points.move(from, to, mask)
}

// apply changes the lines of word w by what was taken down. present is the lanes that began or ceased to have a value.
func (x *Index) apply(w uint32, present uint64) {
	x.stats.Toggles += uint64(x.up.apply(w, &x.journal) + x.down.apply(w, &x.journal) + x.points.apply(w, present, &x.journal))
}
