package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/plan"
)

// world is a history that a store follows, kept in the simplest way there is, and what is asked of the store.
type world struct {
	t      *testing.T
	r      *rand.Rand
	o      Options
	s      *Store
	now    int64
	pulsed int64
	all    []*truth
	refs   uint64
	byRef  map[uint64]*truth
	// queue are batches that are committed and not fed yet.
	queue [][]Sample
	uses  []*use
	// settled says that no round of filling is under way.
	settled bool
	bails   int
	checked int
}

// truth is what history has of one series.
type truth struct {
	ls      labels.Labels
	ref     uint64
	samples []point
	newest  int64
	// hist is the newest histogram sample.
	hist int64
	dead bool
}

type point struct {
	t   int64
	v   float64
	fed bool
}

// use is one user of a selector.
type use struct {
	sel  *plan.Select
	x    *Selector
	only *truth // the one series that can match, if the selector was made for it
	// seen is what was visible at the last pulse, where offset is not positive and it is an instant selector.
	seen point
}

func selectOf(rng, offset int64, ms ...*labels.Matcher) *plan.Select {
	return &plan.Select{Matchers: ms, Key: fmt.Sprint(ms), Range: rng, Offset: offset}
}

func matcher(t labels.MatchType, name, v string) *labels.Matcher {
	return labels.MustNewMatcher(t, name, v)
}

func newWorld(t *testing.T, seed uint64, o Options) *world {
	w := &world{
		t: t, r: rand.New(rand.NewPCG(seed, 7)), o: o, s: New(o), now: 1_000_000, pulsed: 1_000_000, settled: true,
		byRef: map[uint64]*truth{},
	}
	w.s.hash = func(ls labels.Labels) uint64 { return ls.Hash() % 5 }
	for i := range 14 {
		ls := labels.FromStrings("__name__", string(rune('a'+i%3)), "i", fmt.Sprint(i), "x", fmt.Sprint(i%2))
		w.all = append(w.all, &truth{ls: ls, newest: math.MinInt64, hist: math.MinInt64, dead: w.r.IntN(3) == 0})
		w.renew(w.all[i])
	}
	return w
}

// renew gives a series another reference.
func (w *world) renew(s *truth) {
	w.refs += 1 + w.r.Uint64N(3000)
	s.ref = w.refs
	if w.r.IntN(10) == 0 {
		s.ref += 1 << 40
	}
	w.byRef[s.ref] = s
}

func (w *world) randomSelect() (*plan.Select, *truth) {
	rng := []int64{0, 0, 0, 50, 200, 300}[w.r.IntN(6)]
	offset := []int64{0, 0, 0, 40, 150, -30, -400}[w.r.IntN(7)]
	eq, re := labels.MatchEqual, labels.MatchRegexp
	switch w.r.IntN(8) {
	case 0:
		return selectOf(rng, offset, matcher(eq, "__name__", "a")), nil
	case 1:
		return selectOf(rng, offset, matcher(eq, "__name__", "b"), matcher(eq, "x", "1")), nil
	case 2:
		return selectOf(rng, offset, matcher(re, "__name__", "a|c")), nil
	case 3:
		return selectOf(rng, offset, matcher(eq, "x", "0")), nil
	}
	s := w.all[w.r.IntN(len(w.all))]
	return selectOf(rng, offset, matcher(eq, "__name__", s.ls.Get("__name__")), matcher(eq, "i", s.ls.Get("i"))), s
}

// commit makes history take a batch.
func (w *world) commit() {
	var batch []Sample
	inBatch := map[*truth]int64{}
	for range 1 + w.r.IntN(12) {
		s := w.all[w.r.IntN(len(w.all))]
		if s.dead {
			continue
		}
		t := w.now - w.r.Int64N(15)
		switch w.r.IntN(30) {
		case 0:
			t = w.now + w.r.Int64N(80)
		case 1, 2:
			t = w.now - w.r.Int64N(500)
		}
		v := float64(w.r.IntN(1000))
		if w.r.IntN(12) == 0 {
			v = math.Float64frombits(value.StaleNaN)
		}
		p := Sample{Ref: s.ref, Labels: s.ls, T: t, V: v}
		if !w.o.OutOfOrder && inBatch[s] == 0 && t <= s.newest {
			continue // refused
		}
		before := inBatch[s]
		if s.find(t) >= 0 && t != before {
			continue // refused, too
		}
		inBatch[s] = max(t, before)
		switch {
		case !w.o.OutOfOrder && before != 0 && t <= before:
			// Dropped at the commit, which tells nobody.
		case w.r.IntN(200) == 0:
			p.Histogram = true
			s.hist, s.newest = max(s.hist, t), max(s.newest, t)
		default:
			s.add(point{t: t, v: v})
		}
		if known := w.s.refs.get(s.ref); known >= refFirst && w.r.IntN(2) == 0 {
			p.Labels = labels.EmptyLabels()
		}
		batch = append(batch, p)
	}
	w.queue = append(w.queue, batch)
}

// find returns the index of the sample of a time, -1 if there is none.
func (s *truth) find(t int64) int {
	return slices.IndexFunc(s.samples, func(p point) bool { return p.t == t })
}

func (s *truth) add(p point) {
	i, there := slices.BinarySearchFunc(s.samples, p.t, func(q point, t int64) int { return int(q.t - t) })
	if !there {
		s.samples = slices.Insert(s.samples, i, p)
		s.newest = max(s.newest, p.t)
	}
}

// feed tells the store of up to n committed batches, in any order.
func (w *world) feed(n int) {
	for ; n > 0 && len(w.queue) > 0; n-- {
		i := w.r.IntN(len(w.queue))
		batch := w.queue[i]
		w.queue = slices.Delete(w.queue, i, i+1)
		for i := range batch {
			if p := &batch[i]; p.Labels.IsEmpty() && w.s.refs.get(p.Ref) < refFirst {
				p.Labels = w.byRef[p.Ref].ls
			}
			s := w.byRef[batch[i].Ref]
			if k := s.find(batch[i].T); k >= 0 && !batch[i].Histogram {
				s.samples[k].fed = true
			}
		}
		w.s.Feed(batch, w.now)
	}
}

func (w *world) feedAll() { w.feed(len(w.queue)) }

// change makes a round of selecting and filling while samples come in.
func (w *world) change() {
	for range w.r.IntN(3) {
		if len(w.uses) > 0 && w.r.IntN(2) == 0 {
			i := w.r.IntN(len(w.uses))
			u := w.uses[i]
			w.uses = slices.Delete(w.uses, i, i+1)
			w.s.Release(u.x, u.sel)
		}
	}
	w.settled = false
	fresh := map[string]*plan.Select{}
	for range 1 + w.r.IntN(3) {
		sel, only := w.randomSelect()
		w.uses = append(w.uses, &use{sel: sel, x: w.s.Select(sel), only: only, seen: point{t: -1}})
		fresh[sel.Key] = sel
		w.checkFloors()
	}
	began := w.now
	w.meanwhile()
	for _, x := range slices.Clone(w.s.Selectors()) {
		if fresh[x.key] == nil {
			continue
		}
		from := began - x.Reach() - w.o.Slack - 1
		type filled struct {
			s    *truth
			ts   []int64
			vs   []float64
			hist int64
		}
		var snapshot []filled
		for _, s := range w.all {
			f := filled{s: s, hist: math.MinInt64}
			for _, p := range s.samples {
				if p.t > from {
					f.ts, f.vs = append(f.ts, p.t), append(f.vs, p.v)
				}
			}
			if s.hist > from {
				f.hist = s.hist
			}
			if x.matches(s.ls) && (len(f.ts) > 0 || s.hist > from) {
				snapshot = append(snapshot, f)
			}
		}
		for _, f := range snapshot {
			w.meanwhile()
			w.s.Fill(f.s.ls, f.ts, f.vs, from, f.hist)
			w.checkFloors()
		}
	}
	w.meanwhile()
	w.s.SetComplete(began)
	w.settled = true
	w.checkFloors()
}

func (w *world) meanwhile() {
	if w.r.IntN(3) == 0 {
		w.now += w.r.Int64N(4)
		w.commit()
		w.feed(w.r.IntN(3))
		if w.r.IntN(5) == 0 {
			w.s.Expire(w.now)
		}
	}
}

// step is a moment of the world.
func (w *world) step() {
	switch w.r.IntN(12) {
	case 0:
		s := w.all[w.r.IntN(len(w.all))]
		if s.dead = !s.dead; !s.dead && w.r.IntN(2) == 0 {
			w.renew(s)
		}
	case 1:
		if w.r.IntN(3) == 0 {
			w.change()
		}
	case 2:
		w.now += w.r.Int64N(300)
	default:
		w.now += w.r.Int64N(12)
	}
	for range w.r.IntN(3) {
		w.commit()
	}
	if w.r.IntN(3) == 0 {
		w.feed(w.r.IntN(4))
	} else {
		w.feedAll()
	}
	w.checkFloors()
	if w.r.IntN(2) == 0 {
		w.feedAll()
		w.pulse()
	}
}
