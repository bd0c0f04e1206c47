package engine

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// silence is a Stream that tells of nothing.
type silence struct{}

func (silence) Wake() <-chan struct{}                                          { return nil }
func (silence) Stream([]*plan.Plan)                                            {}
func (silence) Pulse(_ int64, b []exec.Touched) ([]exec.Touched, int64)        { return b, 0 }
func (silence) Reached(*plan.Plan, int64) bool                                 { return false }
func (silence) Result(*plan.Plan, int64, promql.Vector) (promql.Vector, error) { return nil, nil }

// A clock that is set back by an hour holds nobody up for an hour.
func TestClockSetBack(t *testing.T) {
	s := newStreamer(Options{Stream: silence{}}.withDefaults(), newMetrics(nil, nil))
	g := newGroup(Options{}.withDefaults(), newMetrics(nil, nil), newEnvironment(Config{}), Config{}, &rule.Group{
		Name: "g", File: "f", Rules: []*rule.Rule{testRule(t, rule.Alerting, "A", "a > on () b")},
	})
	g.follow(s)
	s.seatAll([]*Group{g})
	g.arrivals.take(0)

	// The wheel gets up whenever a coarse slot begins, for some of the day long before the deadline: not so in the hours
	// that follow this.
	const turn = int64(1) << 40
	start := time.UnixMilli(turn).Add(time.Hour + time.Second)
	s.rewind(start.UnixMilli())
	s.now = start.UnixMilli()
	s.wheel.Advance(s.now, s.ring)
	seat := g.rules[0].seat.Load()
	require.Equal(t, 1, seat.source.seatsWith(seat))
	s.decide(seat, touch{why: byArrival, at: s.now, changed: true})
	s.setDeadline(seat, s.now+5000)
	require.LessOrEqual(t, s.rest(start), DefaultSettle)
	require.Negative(t, g.arrivals.next(0))

	back := start.Add(-time.Hour)
	require.LessOrEqual(t, s.rest(back), 2*time.Millisecond)
	s.now = back.UnixMilli() + 100
	s.wheel.Advance(s.now, s.ring)
	require.Zero(t, g.arrivals.next(0), "what waited is evaluated")
	s.pulseDue = 0
	require.Greater(t, s.rest(back.Add(200*time.Millisecond)), 30*time.Minute, "and the deadline is when it was")
}

func (s *source) seatsWith(one *seat) (n int) {
	for _, other := range s.seats {
		if other == one {
			n++
		}
	}
	return n
}
