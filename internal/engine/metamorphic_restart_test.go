package engine_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
)

// afterRestart is how long things may differ after a restart: two ticks go by before arrivals are followed and states are
// restored, and what nobody marked stale is seen until it leaves the lookback.
const afterRestart = 90 * time.Second

// compareRestart compares what happens before a restart and, once an alert is again in the state that it is in without
// one, what happens to it from then on. That is after what docs/evaluation.md and Prometheus say of a start: nobody
// follows arrivals before the second tick, an alert that is kept firing ends, and the time between the last record of a
// pending alert and the second tick does not count for its "for".
func (s *scenario) compareRestart(t *testing.T, want, got *outcome) {
	t.Helper()
	at := got.restarted
	var compared, held, delayed int
	for _, key := range keysOf(want.moves, got.moves) {
		a, b := want.moves[key], got.moves[key]
		report := func(why string) {
			lines := func(o *outcome) string { return strings.Join(s.logs(o, s.inSeconds)[key], ", ") }
			t.Errorf("%s: %s\nwithout: %s\nwith:    %s\nrestart at %ds\n%s", key, why, lines(want), lines(got), s.second(at)-3600, s.story(key))
			t.Fatalf("rules:\n%s", s.rules)
		}
		if !s.sameMoves(until(a, at), until(b, at)) {
			report("differs before the restart")
		}
		b = after(b, at) // The new process knows of no alert; one that does not come back has ended without a word.
		end := at.Add(afterRestart)
		if same, ok := s.meet(a, b, end, kept(key)); ok {
			if !s.sameMoves(after(a, same), after(b, same)) {
				report(fmt.Sprintf("differs after %ds", s.second(same)-3600))
			}
			compared += len(after(a, same))
		}
		// Mixed stands what another group records, at its ticks only at first, beside what has come since.
		if was := stateAt(a, at); was != alert.Inactive && !kept(key) && !strings.HasPrefix(key, "Mixed") {
			tick := engine.NewSchedule("f", a[0].Group, s.groups[a[0].Group]).First(at)
			if len(until(a, tick)) == len(until(a, at)) && (len(b) == 0 || !b[0].At.Equal(tick)) {
				report("is not active at the first tick")
			}
			if was == alert.Firing && len(until(a, end)) == len(until(a, at)) {
				if held++; stateAt(b, end) != alert.Firing {
					report("does not fire any more")
				}
			}
			if late, ok := delay(a, b, at); ok {
				if delayed++; late < -time.Second || late > 2*s.groups[a[0].Group]+time.Second {
					report(fmt.Sprintf("the rest of its `for` took %s longer", late))
				}
			}
		}
		if last := dawn.Add(s.at[len(s.at)-1]); stateAt(a, last) != stateAt(b, last) {
			report("differs in the end")
		}
	}
	t.Logf("%d moves compared, %d alerts fired on, %d pending ones fired later", compared, held, delayed)
	require.Greater(t, compared, 20)
}

func (s *scenario) sameMoves(a, b []alert.Transition) bool {
	return slices.EqualFunc(a, b, func(a, b alert.Transition) bool { return s.inSeconds(a) == s.inSeconds(b) })
}

// delay returns how much later an alert fires that was pending at the restart and fires for long without one. What does
// not count is the time from its last record, at the last tick before or later, to the second tick.
func delay(a, b []alert.Transition, at time.Time) (time.Duration, bool) {
	rest := after(a, at)
	if stateAt(a, at) != alert.Pending || len(rest) == 0 || rest[0].To != alert.Firing {
		return 0, false
	}
	if len(rest) > 1 && rest[1].At.Before(rest[0].At.Add(afterRestart)) {
		return 0, false
	}
	for _, m := range b {
		if m.To == alert.Firing {
			return m.At.Sub(rest[0].At), true
		}
	}
	return math.MaxInt64, true
}

// kept says whether an alert is of a rule with keep_firing_for. One that does not fire again yet may miss what that
// bridges.
func kept(key string) bool {
	name, _, _ := strings.Cut(key, "{")
	return name == "Plain" || name == "Kept" || name == "Count"
}

// meet returns the first second from at on at the end of which an alert is in the same state in both, and in none that
// has a past: pending since some time or, where it is kept firing, that.
func (s *scenario) meet(a, b []alert.Transition, at time.Time, kept bool) (time.Time, bool) {
	at = dawn.Add(s.at[0] + at.Sub(dawn.Add(s.at[0])).Truncate(time.Second) - time.Nanosecond)
	for ; at.Before(dawn.Add(s.at[len(s.at)-1])); at = at.Add(time.Second) {
		if state := stateAt(a, at); state == stateAt(b, at) && state != alert.Pending && (!kept || state == alert.Inactive) {
			return at, true
		}
	}
	return time.Time{}, false
}

func until(moves []alert.Transition, at time.Time) []alert.Transition {
	for i, m := range moves {
		if m.At.After(at) {
			return moves[:i]
		}
	}
	return moves
}

func after(moves []alert.Transition, at time.Time) []alert.Transition {
	return moves[len(until(moves, at)):]
}

func stateAt(moves []alert.Transition, at time.Time) alert.State {
	if before := until(moves, at); len(before) > 0 {
		return before[len(before)-1].To
	}
	return alert.Inactive
}
