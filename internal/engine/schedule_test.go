package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/prometheus/rules"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
)

func TestSlotsArePrometheus(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	opts := &rules.ManagerOptions{Metrics: rules.NewGroupMetrics(nil)}
	for range 2000 {
		file, name := fmt.Sprint("f", r.IntN(100)), fmt.Sprint("g", r.IntN(100))
		interval := time.Duration(1 + r.Int64N(int64(2*time.Hour)))
		now := time.Unix(0, r.Int64N(2e18))
		g := rules.NewGroup(rules.GroupOptions{Name: name, File: file, Interval: interval, Opts: opts})
		s := engine.NewSchedule(file, name, interval)
		require.Equal(t, g.EvalTimestamp(now.UnixNano()), s.Slot(now))
		require.Equal(t, s.Slot(now).Add(interval), s.First(now))
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	s := engine.Schedule{Interval: 10 * time.Second, Offset: 3 * time.Second}
	at := func(seconds float64) time.Time { return time.UnixMilli(int64(1e6*1000 + seconds*1000)).UTC() }
	for name, tc := range map[string]struct {
		due, now time.Time
		want     engine.Decision
	}{
		"not yet":                      {at(3), at(1), engine.Decision{Due: at(3), Wait: 2 * time.Second}},
		"now":                          {at(3), at(3), engine.Decision{Due: at(3)}},
		"a little late":                {at(3), at(12.9), engine.Decision{Due: at(3)}},
		"one missed":                   {at(3), at(13), engine.Decision{Due: at(13), Missed: 1}},
		"several missed":               {at(3), at(47), engine.Decision{Due: at(43), Missed: 4}},
		"the clock went back a little": {at(13), at(4), engine.Decision{Due: at(13), Wait: 9 * time.Second}},
		"the clock went back far":      {at(1003), at(4), engine.Decision{Due: at(13), Wait: 9 * time.Second}},
	} {
		require.Equal(t, tc.want, s.Decide(tc.due, tc.now), name)
	}
}

// Whatever the clock does, decisions are slots, never in the future when they are to be evaluated, and never further
// off than an interval.
func FuzzDecide(f *testing.F) {
	f.Add(int64(15e9), int64(1e18), int64(0), int64(16e9), int64(-3600e9))
	f.Add(int64(1), int64(1e18), int64(5), int64(5), int64(5))
	f.Fuzz(func(t *testing.T, interval, start, a, b, c int64) {
		if interval <= 0 || interval > int64(24*time.Hour) || start < 0 || start > 4e18 {
			t.Skip()
		}
		s := engine.NewSchedule("file", "group", time.Duration(interval))
		now := time.Unix(0, start)
		due := s.First(now)
		for _, move := range []int64{a, b, c} {
			now = now.Add(time.Duration(move % int64(24*time.Hour)))
			if now.UnixNano() < int64(48*time.Hour) {
				t.Skip()
			}
			d := s.Decide(due, now)
			if d.Due != s.Slot(d.Due) {
				t.Fatalf("%s is no slot", d.Due)
			}
			if d.Missed < 0 || d.Wait < 0 || d.Wait > s.Interval {
				t.Fatalf("decision %+v", d)
			}
			if d.Wait == 0 && (d.Due.After(now) || now.Sub(d.Due) >= s.Interval) {
				t.Fatalf("evaluate %s at %s", d.Due, now)
			}
			if d.Wait > 0 && !now.Add(d.Wait).Equal(d.Due) {
				t.Fatalf("wait %s at %s for %s", d.Wait, now, d.Due)
			}
			due = d.Due
			if d.Wait == 0 {
				due = due.Add(s.Interval)
			}
		}
	})
}
