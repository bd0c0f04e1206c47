package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSettle(t *testing.T) {
	t.Parallel()
	p := pace{settle: 50}
	arrived := func(at int64, complete bool) touch {
		return touch{why: byArrival, at: at, changed: true, complete: complete}
	}
	var w waiting

	w, d := w.touched(touch{why: byArrival, at: 90, complete: true}, p, 100)
	require.Equal(t, decision{}, d, "nothing to see")
	require.Equal(t, waiting{}, w)

	w, d = w.touched(arrived(90, true), p, 100)
	require.Equal(t, decision{evaluate: true, why: byArrival, since: 100}, d)
	require.Equal(t, waiting{}, w)

	// Waits, and what it waits for comes.
	w, d = w.touched(arrived(190, false), p, 200)
	require.Equal(t, decision{wake: 250}, d)
	require.EqualValues(t, 190, w.bar(arrived(999, false)), "later samples do not raise the bar")
	w, d = w.touched(arrived(195, false), p, 210)
	require.Equal(t, decision{wake: 250, joined: true}, d)
	w, d = w.touched(touch{why: byArrival, at: 196, complete: true}, p, 220)
	require.Equal(t, decision{evaluate: true, why: byArrival, since: 200, settled: true}, d, "a touch without change ends a wait")

	// Waits in vain; time and deadlines join.
	w, _ = w.touched(arrived(290, false), p, 300)
	w, d = w.touched(touch{why: byTime, changed: true}, p, 310)
	require.Equal(t, decision{wake: 350, joined: true}, d)
	w, d = w.touched(touch{why: byDeadline, changed: true}, p, 320)
	require.True(t, d.joined)
	w, d = w.due(p, 349)
	require.Equal(t, decision{wake: 350}, d, "too early")
	w, d = w.due(p, 350)
	require.Equal(t, decision{evaluate: true, why: byArrival | byTime | byDeadline, since: 300, timedOut: true}, d)
	_, d = w.due(p, 360)
	require.Equal(t, decision{}, d)

	// Spacing: the first at once, the last not lost.
	p.spacing = 50
	w, d = waiting{}.touched(arrived(400, true), p, 400)
	require.True(t, d.evaluate)
	w, d = w.touched(arrived(401, true), p, 401)
	require.Equal(t, decision{wake: 450}, d)
	w, d = w.touched(arrived(402, false), p, 449)
	require.Equal(t, decision{wake: 451, joined: true}, d)
	_, d = w.due(p, 451)
	require.True(t, d.evaluate && d.timedOut)

	// Put off.
	w = waiting{}.again(byArrival|byRetry, 500, 501)
	_, d = w.due(p, 500)
	require.Equal(t, decision{wake: 501}, d)
	_, d = w.due(p, 501)
	require.Equal(t, decision{evaluate: true, why: byArrival | byRetry, since: 500}, d)
}

// Whatever happens: an evaluation comes within settle of the first touch, or when it is no longer held back; never
// earlier than that; and never for nothing.
func TestSettleIsBounded(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		p := pace{settle: int64(r.IntN(3) * 20), spacing: int64(r.IntN(2) * 30)}
		var w waiting
		first, hold, wake := int64(0), int64(0), int64(0)
		for now := int64(1); now < 500; now++ {
			var d decision
			switch {
			case wake != 0 && now >= wake:
				w, d = w.due(p, now)
			case r.IntN(8) == 0:
				changed := r.IntN(2) == 0
				if changed && first == 0 {
					first = now
				}
				w, d = w.touched(touch{why: byArrival, at: now, changed: changed, complete: r.IntN(3) == 0}, p, now)
			default:
				continue
			}
			wake = d.wake
			if d.evaluate {
				require.NotZero(t, first, "for nothing")
				require.LessOrEqual(t, now, max(first+p.settle, hold))
				require.GreaterOrEqual(t, now, hold)
				require.Equal(t, first, d.since)
				first, hold = 0, now+p.spacing
			} else if first != 0 {
				require.NotZero(t, wake, "forgotten")
			}
		}
	}
}

func TestRuleClock(t *testing.T) {
	t.Parallel()
	slot := func(ms float64) time.Time { return time.Unix(0, int64(ms*1e6)).UTC() }
	const interval = time.Second
	var c ruleClock
	require.Equal(t, slot(5000.4), c.tick(slot(5000.4), interval))
	require.Equal(t, slot(5000.4), c.tick(slot(5000.4), interval), "ticks are taken at their word")
	require.Equal(t, slot(4000.4), c.tick(slot(4000.4), interval))
	c.tick(slot(5000.4), interval)

	_, retry, ok := c.arrival(5000, interval)
	require.False(t, ok)
	require.EqualValues(t, 5001, retry)
	ts, _, ok := c.arrival(5001, interval)
	require.True(t, ok)
	require.Equal(t, slot(5001), ts)
	_, retry, ok = c.arrival(5001, interval)
	require.False(t, ok)
	require.EqualValues(t, 5002, retry)

	// A slot that is not later than an arrival.
	require.Equal(t, slot(5002), c.tick(slot(5001.9), interval))
	require.Equal(t, slot(5003), c.tick(slot(4500), interval))
	require.Equal(t, slot(6001.9), c.tick(slot(6001.9), interval))

	// The clock was set back by more than an interval.
	c.arrival(9000, interval)
	_, retry, ok = c.arrival(8000, interval)
	require.False(t, ok)
	require.Zero(t, retry)
	require.Equal(t, slot(7001.9), c.tick(slot(7001.9), interval))
	_, _, ok = c.arrival(7100, interval)
	require.True(t, ok)
}
