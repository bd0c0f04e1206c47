package window

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/column"
)

// TestAgainstModel lets a store follow a random history, and holds all that it says against it.
func TestAgainstModel(t *testing.T) {
	first := uint64(time.Now().UnixNano())
	if only := os.Getenv("TOCSIN_SEED"); only != "" { // to see a failure again
		first, _ = strconv.ParseUint(only, 10, 64)
	}
	rounds := uint64(12)
	if more, err := strconv.ParseUint(os.Getenv("TOCSIN_ROUNDS"), 10, 64); err == nil {
		rounds = more
	}
	for name, o := range map[string]Options{
		"in order":         {Lookback: 100, Slack: 30},
		"out of order":     {Lookback: 100, Slack: 30, OutOfOrder: true},
		"no slack":         {Lookback: 60, OutOfOrder: true},
		"few slack":        {Lookback: 100, Slack: 60, SlackSamples: 1, OutOfOrder: true},
		"hardly any bytes": {Lookback: 300, Slack: 30, MaxBytes: 1, OutOfOrder: true},
	} {
		t.Run(name, func(t *testing.T) {
			bails, checked := 0, 0
			for seed := first; seed < first+rounds; seed++ {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					w := newWorld(t, seed, o)
					for range 250 {
						w.step()
					}
					bails += w.bails
					checked += w.checked
				})
			}
			t.Logf("%d views, %d left to tier 0", checked, bails)
			require.Positive(t, checked)
			switch {
			case o.MaxBytes > 0 || o.SlackSamples > 0:
			case o.OutOfOrder: // Old samples that come while windows are filled make the latter uncertain.
				require.Less(t, bails*200, checked)
			default:
				require.Zero(t, bails)
			}
		})
	}
}

// checkFloors checks what the store says of what it has: that has to be true at all times.
func (w *world) checkFloors() {
	s := w.s
	lastT, lastV := s.Last()
	live := 0
	for _, one := range w.all {
		id, ok := s.find(one.ls, s.hash(one.ls))
		if !ok {
			continue
		}
		live++
		ts, vs := s.Samples(id)
		floor := s.Floor(id)
		kept, markers := map[int64]bool{}, 0
		for i, t := range ts {
			require.False(w.t, i > 0 && t <= ts[i-1], "not ascending: %v", ts)
			require.True(w.t, t > floor || floor == math.MaxInt64, "%s: has %v, floor %d, %+v", one.ls, ts, floor, s.series[id])
			require.Equal(w.t, math.Float64bits(one.at(t)), math.Float64bits(vs[i]))
			kept[t] = true
			if value.IsStaleNaN(vs[i]) {
				markers++
			}
		}
		require.Equal(w.t, markers, s.Markers(id))
		for _, p := range one.samples {
			require.False(w.t, p.fed && p.t > floor && !kept[p.t], "%s: the sample of %d is missing, floor %d", one.ls, p.t, floor)
		}
		if len(ts) > 0 {
			require.Equal(w.t, ts[len(ts)-1], lastT[id])
			require.Equal(w.t, math.Float64bits(vs[len(ts)-1]), math.Float64bits(lastV[id]))
		} else {
			require.Equal(w.t, int64(math.MinInt64), lastT[id])
		}
	}
	require.Equal(w.t, live, s.Stats().Series)
	w.checkLanes()
}

// at returns history's value of a time.
func (s *truth) at(t int64) float64 {
	for _, p := range s.samples {
		if p.t == t {
			return p.v
		}
	}
	return math.Inf(1)
}

func (w *world) checkLanes() {
	for _, x := range w.s.Selectors() {
		want := map[ID]bool{}
		for _, one := range w.all {
			if id, ok := w.s.find(one.ls, w.s.hash(one.ls)); ok && x.matches(one.ls) {
				want[id] = true
			}
		}
		require.GreaterOrEqual(w.t, len(x.IDs()), x.Lanes().Len())
		got := 0
		for lane := range uint32(x.Lanes().Len()) {
			if !x.Lanes().Live().Has(lane) {
				continue
			}
			got++
			require.True(w.t, want[x.IDs()[lane]])
			require.True(w.t, x.matches(x.Labels(lane)))
		}
		require.Len(w.t, want, got)
	}
}

// pulse is the moment when the store's owner evaluates.
func (w *world) pulse() {
	w.s.Expire(w.now)
	w.checkFloors()
	for _, u := range w.uses {
		w.checkMarks(u)
	}
	for _, u := range w.uses {
		for _, back := range []int64{0, w.o.Slack / 2, w.o.Slack} {
			for _, one := range w.all {
				if u.x.matches(one.ls) {
					w.checkView(u, one, w.now-back)
				}
			}
		}
	}
	w.checkNext()
	for _, x := range w.s.Selectors() {
		x.Marks().Clear()
	}
	w.pulsed = w.now
}

// span returns the time that u sees at a time.
func (w *world) span(u *use, at int64) (from, to int64) {
	to = at - u.sel.Offset
	if u.sel.Range == 0 {
		return to - w.o.Lookback, to
	}
	return to - u.sel.Range, to
}

// view returns what of samples lies in a time.
func (s *truth) view(from, to int64) (points []point) {
	for _, p := range s.samples {
		if p.t > from && p.t <= to {
			points = append(points, p)
		}
	}
	return points
}

// checkView compares what an evaluation at a time sees of a series with what history has.
func (w *world) checkView(u *use, one *truth, at int64) {
	from, to := w.span(u, at)
	want := one.view(from, to)
	id, ok := w.s.find(one.ls, w.s.hash(one.ls))
	if !ok {
		require.Empty(w.t, want, "%s is not here, and is seen at %d", one.ls, at)
		require.LessOrEqual(w.t, one.hist, from)
		return
	}
	if one.hist > from && one.hist > w.s.Floor(id) {
		require.Equal(w.t, one.hist, w.s.Histograms(id))
		require.True(w.t, w.s.AnyHistogram())
		return
	}
	w.checked++
	ts, vs := w.s.Samples(id)
	var got []point
	for i, t := range ts {
		if t > from && t <= to {
			got = append(got, point{t: t, v: vs[i]})
		}
	}
	floor := w.s.Floor(id)
	if u.sel.Range == 0 {
		if len(got) > 0 {
			got, want = got[len(got)-1:], want[len(want)-1:]
			from = got[0].t
		}
	}
	if floor > from {
		w.bails++
		return
	}
	require.Len(w.t, got, len(want), "%s from %d to %d: %v of %v", one.ls, from, to, got, want)
	for i := range got {
		require.Equal(w.t, want[i].t, got[i].t)
		require.Equal(w.t, math.Float64bits(want[i].v), math.Float64bits(got[i].v))
	}
}

// checkMarks checks that what a user could see change since the last pulse is marked. It looks at selectors of one
// series, whose lane is 0, so that no other series can have marked the word.
func (w *world) checkMarks(u *use) {
	if u.only == nil {
		return
	}
	marked := u.x.Marks().Has(0)
	from, to := w.span(u, w.now)
	if u.sel.Range == 0 && u.sel.Offset <= 0 {
		now := point{t: -2}
		if seen := u.only.view(from, to); len(seen) > 0 {
			now = seen[len(seen)-1]
			now.fed = false
		}
		if now.t != u.seen.t && u.seen.t != -1 {
			require.True(w.t, marked, "%s: what is seen changed from %d to %d, now %d", u.only.ls, u.seen.t, now.t, w.now)
		}
		u.seen = now
	}
	for _, p := range u.only.samples {
		if p.t > w.pulsed {
			return // It was newer when it was fed, so the others' horizons did not matter.
		}
	}
	if n := len(u.only.samples); n > 0 && u.x.Lanes().Used() > 0 {
		was, _ := w.span(u, w.pulsed)
		if last := u.only.samples[n-1].t; last > was && last <= from {
			require.True(w.t, marked, "%s went out of sight unmarked, now %d", u.only.ls, w.now)
		}
	}
}

// checkNext checks that nothing happens before NextExpiry.
func (w *world) checkNext() {
	next := w.s.NextExpiry()
	earliest := int64(math.MaxInt64)
	for _, u := range w.uses {
		for lane := range uint32(u.x.Lanes().Len()) {
			if !u.x.Lanes().Live().Has(lane) {
				continue
			}
			id := u.x.IDs()[lane]
			ts, _ := w.s.Samples(id)
			from, _ := w.span(u, 0)
			early := max(0, -u.sel.Offset)
			for i, t := range ts {
				if t-early > w.now {
					earliest = min(earliest, t-early)
				} else if last := i == len(ts)-1 || ts[i+1]-early > w.now; last && t-from > w.now {
					earliest = min(earliest, t-from)
				}
			}
		}
	}
	if w.s.Stats().Series > 0 {
		require.NotZero(w.t, next)
	}
	if earliest < math.MaxInt64 {
		require.LessOrEqual(w.t, next, earliest)
		require.NotZero(w.t, next)
	}
}

func TestEmptyStore(t *testing.T) {
	s := New(Options{Lookback: 300_000})
	require.Zero(t, s.NextExpiry())
	s.Expire(1_700_000_000_000)
	require.Zero(t, s.NextExpiry())
	require.False(t, s.Feed([]Sample{{Ref: 1, Labels: labels.FromStrings("a", "b"), T: 1, V: 1}}, 5))
	require.Equal(t, 1, s.Stats().Ignored)
	var words []uint32
	for _, x := range s.Selectors() {
		words = append(words, x.Marks().Words()...)
	}
	require.Empty(t, words)
	require.Zero(t, column.Words(0))
}
