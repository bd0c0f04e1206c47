package wheel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// model is the wheel as a plain map.
type model struct {
	now int64
	at  map[uint32]int64
}

func (m *model) schedule(id uint32, at int64) { m.at[id] = max(at, m.now) }

func (m *model) earliest() (at int64, ok bool) {
	at = math.MaxInt64
	for _, a := range m.at {
		at, ok = min(at, a), true
	}
	return at, ok
}

type harness struct {
	t     *testing.T
	r     *rand.Rand
	w     *Wheel
	m     model
	ids   uint32
	span  int64
	fired int
}

func newHarness(t *testing.T, now int64, ids uint32, span int64) *harness {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return &harness{
		t: t, r: rand.New(rand.NewPCG(seed, 1)), w: New(now), ids: ids, span: span,
		m: model{now: now, at: map[uint32]int64{}},
	}
}

// distance returns how far away something is scheduled, over all magnitudes up to span, at times in the past.
func (h *harness) distance() int64 {
	if h.r.IntN(16) == 0 {
		return -h.r.Int64N(1000)
	}
	top := 1 + h.r.Int64N(int64(math.Log2(float64(h.span))))
	return h.r.Int64N(int64(1) << top)
}

func (h *harness) change() {
	id := h.r.Uint32N(h.ids)
	if h.r.IntN(4) == 0 {
		h.w.Cancel(id)
		delete(h.m.at, id)
		return
	}
	at := h.m.now + h.distance()
	h.w.Schedule(id, at)
	h.m.schedule(id, at)
}

// advance moves both to now and compares what fires with what is due. What fire schedules and cancels meanwhile is
// followed by the model at the same moment.
func (h *harness) advance(now int64) {
	stale := map[uint32]bool{} // due at the start of the call, or again since: those of the latter kind must wait
	last := int64(math.MinInt64)
	h.w.Advance(now, func(id uint32) {
		h.fired++
		at, ok := h.m.at[id]
		require.True(h.t, ok, "id %d fired, nobody scheduled it", id)
		require.False(h.t, stale[id], "id %d fires again in one call", id)
		require.Equal(h.t, at, h.w.Due(id))
		require.LessOrEqual(h.t, at, max(now, h.m.now))
		require.GreaterOrEqual(h.t, at, last, "fired out of order")
		last = at
		h.m.now = max(h.m.now, at)
		require.Equal(h.t, h.m.now, h.w.Now())
		delete(h.m.at, id)
		for range h.r.IntN(3) {
			other := h.r.Uint32N(h.ids)
			if h.r.IntN(2) == 0 {
				h.w.Cancel(other)
				delete(h.m.at, other)
				delete(stale, other)
				continue
			}
			at := h.m.now + h.distance()
			h.w.Schedule(other, at)
			h.m.schedule(other, at)
			stale[other] = at <= h.m.now
		}
	})
	h.m.now = max(h.m.now, now)
	for id, at := range h.m.at {
		require.True(h.t, at > h.m.now || stale[id], "id %d of %d was not fired at %d", id, at, h.m.now)
		require.Equal(h.t, at, h.w.Due(id))
	}
	require.Equal(h.t, h.m.now, h.w.Now())
	require.Equal(h.t, len(h.m.at), h.w.Len())
	h.checkNext()
}

func (h *harness) checkNext() {
	want, ok := h.m.earliest()
	got, gotOK := h.w.Next()
	require.Equal(h.t, ok, gotOK)
	if !ok {
		return
	}
	want = max(want, h.m.now) // What became due during an Advance fires at the next one.
	require.LessOrEqual(h.t, got, want)
	require.GreaterOrEqual(h.t, got, h.m.now)
	if want>>digit == h.m.now>>digit {
		require.Equal(h.t, want, got)
	}
}

func TestAgainstModel(t *testing.T) {
	for name, c := range map[string]struct {
		now  int64
		ids  uint32
		span int64
	}{
		"near":             {1_700_000_000_000, 50, 2000},
		"hours":            {1_700_000_000_000, 500, 1 << 23},
		"far":              {1_700_000_000_000, 500, 1 << 60},
		"around zero":      {-5000, 50, 1 << 16},
		"at the beginning": {math.MinInt64, 50, 1 << 40},
		"level boundary":   {1<<36 - 3, 50, 1 << 12},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.now, c.ids, c.span)
			for range 3000 {
				for range h.r.IntN(20) {
					h.change()
				}
				h.checkNext()
				step := h.distance()
				if next, ok := h.w.Next(); ok && h.r.IntN(2) == 0 {
					step = next - h.m.now
				}
				h.advance(h.m.now + min(step, math.MaxInt64/4096))
			}
			require.Positive(t, h.fired)
		})
	}
}

// TestNextBecomesExact: who sleeps until Next each time is there on the millisecond, after few wakes.
func TestNextBecomesExact(t *testing.T) {
	for _, at := range []int64{1, 511, 512, 513, 1 << 18, 1<<27 - 1, 1<<27 + 1, 1 << 36, 1<<62 + 12345, math.MaxInt64} {
		w := New(0)
		w.Schedule(7, at)
		wakes, firedAt := 0, int64(-1)
		for w.Len() > 0 {
			next, ok := w.Next()
			require.True(t, ok)
			w.Advance(next, func(uint32) { firedAt = next })
			wakes++
		}
		require.Equal(t, at, firedAt)
		require.LessOrEqual(t, wakes, levels, "at %d", at)
	}
}

func TestWhatIsDueFiresOnce(t *testing.T) {
	w := New(1000)
	w.Schedule(1, 5)
	w.Schedule(2, 1000)
	w.Schedule(3, 999)
	w.Cancel(3)
	var fired []uint32
	fire := func(id uint32) {
		fired = append(fired, id)
		w.Schedule(id, 0) // due again, but not in this call
	}
	w.Advance(1000, fire)
	require.Equal(t, []uint32{1, 2}, fired)
	w.Advance(900, fire)
	require.Equal(t, []uint32{1, 2, 1, 2}, fired)
	require.Equal(t, int64(1000), w.Now())
}

func TestOrder(t *testing.T) {
	w := New(0)
	r := rand.New(rand.NewPCG(1, 2))
	for id := range uint32(10_000) {
		w.Schedule(id, r.Int64N(1<<40))
	}
	var at []int64
	w.Advance(1<<40, func(id uint32) { at = append(at, w.Due(id)) })
	require.Len(t, at, 10_000)
	require.True(t, slices.IsSorted(at))
}

func BenchmarkScheduleAdvance(b *testing.B) {
	const ids = 1 << 20
	w := New(1_700_000_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	for id := range uint32(ids) {
		w.Schedule(id, w.Now()+r.Int64N(300_000))
	}
	b.ReportAllocs()
	fired := 0
	now := w.Now()
	fire := func(id uint32) { fired++; w.Schedule(id, now+300_000) }
	for fired < b.N {
		now++
		w.Advance(now, fire)
	}
}
