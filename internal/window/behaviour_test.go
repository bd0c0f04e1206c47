package window

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

const minute = 60_000

func up(i int) labels.Labels { return labels.FromStrings("__name__", "up", "i", fmt.Sprint(i)) }

func upSelector() []*labels.Matcher {
	return []*labels.Matcher{matcher(labels.MatchEqual, "__name__", "up")}
}

// newUp returns a store in which an instant selector of up has been filled.
func newUp(o Options) (*Store, *Selector) {
	o.Lookback = 5 * minute
	s := New(o)
	x := s.Select(selectOf(0, 0, upSelector()...))
	s.SetComplete(benchStart)
	return s, x
}

func feedUp(s *Store, now int64, samples ...int64) bool {
	batch := make([]Sample, len(samples))
	for i, t := range samples {
		batch[i] = Sample{Ref: 1, Labels: up(1), T: t, V: float64(i)}
	}
	return s.Feed(batch, now)
}

func times(s *Store, id ID) []int64 {
	ts, _ := s.Samples(id)
	return ts
}

func TestOneTimeTwice(t *testing.T) {
	for _, o := range []Options{{}, {OutOfOrder: true}} {
		s, _ := newUp(o)
		at := int64(benchStart)
		require.True(t, feedUp(s, at, at+1, at+3, at+3, at+2))
		kept := []int64{at + 1, at + 3}
		if o.OutOfOrder {
			kept = []int64{at + 1, at + 2, at + 3}
		}
		require.Equal(t, kept, times(s, 0))
		_, v := s.Last()
		require.Equal(t, 1.0, v[0], "the first wins")
		require.False(t, feedUp(s, at+5, at+1))
		feedUp(s, at+5, at+2) // another batch, that was committed earlier
		require.Equal(t, []int64{at + 1, at + 2, at + 3}, times(s, 0))
	}
}

// TestExpiryIsExact: a pulse at each NextExpiry finds the series gone on the millisecond, and does not wake for nothing.
func TestExpiryIsExact(t *testing.T) {
	s, x := newUp(Options{Slack: minute})
	now := int64(benchStart)
	wakes := 0
	marked, evicted := int64(0), int64(0)
	for i := range 40 {
		feedUp(s, now, now)
		for next := s.NextExpiry(); next < now+15_000; next = s.NextExpiry() {
			wakes++
			x.Marks().Clear()
			s.Expire(next)
			require.False(t, x.Marks().Any(), "round %d", i)
		}
		x.Marks().Clear()
		now += 15_000
	}
	last := now - 15_000
	for next := s.NextExpiry(); next != 0; next = s.NextExpiry() {
		wakes++
		s.Expire(next)
		if x.Marks().Any() && marked == 0 {
			marked = next
		}
		if s.Stats().Series == 0 {
			evicted = next
		}
	}
	require.Equal(t, last+5*minute, marked)
	require.Equal(t, last+6*minute, evicted)
	require.Less(t, wakes, 20)
}

// TestEarlySampleFallsDue: a sample of a time to come is marked again when it comes into sight.
func TestEarlySampleFallsDue(t *testing.T) {
	s, x := newUp(Options{})
	feedUp(s, benchStart, benchStart-10, benchStart+500)
	x.Marks().Clear()
	s.Expire(benchStart + 499)
	require.False(t, x.Marks().Any())
	require.Equal(t, int64(benchStart+500), s.NextExpiry())
	s.Expire(benchStart + 500)
	require.True(t, x.Marks().Any())
}

// TestFloorOfNewSeries: while nothing is known of the past the floor says so; afterwards a series that appears has no
// past in sight, though others, with shorter sight, are evicted all the time.
func TestFloorOfNewSeries(t *testing.T) {
	s := New(Options{Lookback: 5 * minute, Slack: 1000})
	s.Select(selectOf(0, 0, upSelector()...))
	now := int64(benchStart)
	feedUp(s, now, now)
	require.Equal(t, int64(math.MaxInt64), s.Floor(0))
	s.SetComplete(now)
	require.Equal(t, now-5*minute-1000, s.Floor(0))

	wide := s.Select(selectOf(60*minute, 0, upSelector()[0], matcher(labels.MatchEqual, "i", "2")))
	s.SetComplete(now)
	now += 30 * minute
	s.Expire(now)
	require.Zero(t, s.Stats().Series, "evicted")
	s.Feed([]Sample{{Ref: 2, Labels: up(2), T: now, V: 1}}, now)
	id := wide.IDs()[0]
	require.Equal(t, int64(benchStart-60*minute-1000), s.Floor(id), "what is known of the wide selector's series")
	s.Feed([]Sample{{Ref: 1, Labels: up(1), T: now, V: 1}}, now)
	require.Equal(t, int64(benchStart), s.Floor(1-id), "its last sample before it was evicted")
}

func TestSelectTakesWhatIsHere(t *testing.T) {
	s, _ := newUp(Options{})
	feedUp(s, benchStart, benchStart)
	down := Sample{Ref: 9, Labels: labels.FromStrings("__name__", "down"), T: benchStart, V: 1}
	require.False(t, s.Feed([]Sample{down}, benchStart))
	require.Equal(t, 1, s.Stats().Ignored)

	all := s.Select(selectOf(0, 0, matcher(labels.MatchRegexp, "__name__", ".+")))
	require.Equal(t, 1, all.Lanes().Used())
	require.False(t, all.OneName())
	require.Zero(t, s.Stats().Ignored)
	down.T++
	require.True(t, s.Feed([]Sample{down}, benchStart))
	require.Equal(t, 2, all.Lanes().Used())
	require.Equal(t, int64(benchStart+1), all.Reached())
}

func TestReleaseLetsGo(t *testing.T) {
	sel := selectOf(0, 0, upSelector()...)
	s, x := newUp(Options{})
	feedUp(s, benchStart, benchStart)
	require.Same(t, x, s.Select(selectOf(0, 0, upSelector()...)))
	s.Release(x, sel)
	require.Equal(t, 1, s.Stats().Series)
	s.Release(x, sel)
	st := s.Stats()
	require.Zero(t, st.Series)
	require.Equal(t, uint64(1), st.Released)
	require.Empty(t, s.Selectors())
	require.Panics(t, func() { s.Release(x, sel) })
	require.False(t, feedUp(s, benchStart+1, benchStart+1))
}

// TestInstantKeepsFew: of a series that is only looked at for its latest sample, no more is kept than Slack asks for.
func TestInstantKeepsFew(t *testing.T) {
	s, _ := newUp(Options{Slack: 30_000})
	now := int64(benchStart)
	for range 1000 {
		now += 15_000
		feedUp(s, now, now)
	}
	require.LessOrEqual(t, len(times(s, 0)), 4)
	require.LessOrEqual(t, times(s, 0)[0], now-30_000)
	require.Less(t, s.Floor(0), times(s, 0)[0])
}

func TestMemoryLimit(t *testing.T) {
	s := New(Options{Lookback: 5 * minute, MaxBytes: 400_000})
	s.Select(selectOf(1000*minute, 0, upSelector()...))
	s.SetComplete(benchStart)
	now := int64(benchStart)
	for range 20_000 {
		now += 1000
		feedUp(s, now, now)
	}
	st := s.Stats()
	require.LessOrEqual(t, st.BufferBytes, int64(400_000))
	require.Positive(t, st.Truncated)
	ts := times(s, 0)
	require.Equal(t, ts[0]-1000, s.Floor(0))
	require.Equal(t, now, ts[len(ts)-1])
	require.Equal(t, uint64(20_000), st.Truncated+uint64(st.Samples))
}

func TestReferences(t *testing.T) {
	var r refs
	for _, ref := range []uint64{1, 2, 4095, 4096, 1 << 31, 1 << 40, math.MaxUint64} {
		require.Equal(t, uint32(refUnknown), r.get(ref))
		r.set(ref, refFirst+uint32(ref%7))
		require.Equal(t, refFirst+uint32(ref%7), r.get(ref))
	}
	pages := r.pages
	require.Equal(t, 5, pages)
	r.set(1<<20, refIgnored)
	require.Equal(t, pages+1, r.pages)
	r.forget()
	require.Equal(t, pages, r.pages)
	for range 4 { // Nobody looks at it any more.
		r.set(1<<20, refIgnored)
		r.sweep()
		r.sweep()
		require.Equal(t, pages+1, r.pages)
		require.Equal(t, uint32(refIgnored), r.get(1<<20))
		r.sweep()
		require.Equal(t, pages+1, r.pages, "looked at lately")
		r.sweep()
		r.sweep()
		r.sweep()
		require.Equal(t, pages, r.pages)
	}
	for _, ref := range []uint64{1, 2, 4095, 4096, 1 << 31, 1 << 40, math.MaxUint64} {
		r.set(ref, refUnknown)
	}
	require.Zero(t, r.pages)
	require.Zero(t, r.ignored)
}

func TestResolve(t *testing.T) {
	known := map[uint64]labels.Labels{5: up(5)}
	for _, o := range []Options{{}, {Resolve: func(ref uint64) labels.Labels { return known[ref] }}} {
		s, _ := newUp(o)
		touched := s.Feed([]Sample{{Ref: 5, T: benchStart}, {Ref: 6, T: benchStart}}, benchStart)
		require.Equal(t, o.Resolve != nil, touched)
		require.Equal(t, 2-s.Stats().Series, int(s.Stats().Dropped.Unresolved))
	}
}

// TestBuffersGiveBack: memory of buffers that are not in use goes back, but for a little.
func TestBuffersGiveBack(t *testing.T) {
	b := buffers{}
	type buffer struct {
		class uint8
		block uint32
	}
	var all []buffer
	for i := range 5000 {
		c := uint8(i % 13)
		block, ok := b.take(c)
		require.True(t, ok)
		ts, vs := b.whole(c, block)
		require.Len(t, ts, int(capacity(c)))
		ts[0], vs[0], ts[len(ts)-1] = int64(i), float64(i), int64(i)
		all = append(all, buffer{c, block})
		if i%3 == 2 {
			b.give(all[i/2].class, all[i/2].block)
			all[i/2].block = math.MaxUint32
		}
	}
	for i, k := range all {
		if k.block == math.MaxUint32 {
			continue
		}
		ts, vs := b.whole(k.class, k.block)
		require.Equal(t, int64(i), ts[len(ts)-1])
		require.True(t, len(ts) > 1 && ts[0] == int64(i) && vs[0] == float64(i))
		b.give(k.class, k.block)
	}
	require.LessOrEqual(t, b.bytes, int64(len(b.classes)*chunkSamples*sampleBytes))
}

func TestAgendaIsOrdered(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var a agenda
	for range 50 {
		for range r.IntN(200) {
			a.push(event{at: r.Int64N(100)})
		}
		last := int64(-1)
		for range r.IntN(len(a) + 1) {
			at := a.pop().at
			require.GreaterOrEqual(t, at, last)
			last = at
		}
	}
}
