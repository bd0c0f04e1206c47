package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/ledger"
)

// Each test is the story of a process that is killed: see lives. After each chapter the ledger must have exactly what the
// engine has.

const (
	minute = time.Minute
	second = time.Second
)

func TestFiringGoesOn(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.start()
		l.series["x"] = 2
		l.run(30 * second)
		l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
		l.restart(30 * second)
		l.run(minute)
		l.expect(nil, []string{"A firing"})
		l.restart(30 * second)
		l.series["x"] = 0
		l.run(minute)
		l.expect([]string{"A firing>inactive cleared"}, []string{"A firing", "A resolved cleared"})
		require.Equal(l.t, alert.Reading{Known: true}, l.transitions[1].Clearing)
		require.InDelta(l.t, 150, l.transitions[1].Duration.Seconds(), 25, "it fired since before the restarts")
	})
}

// A `for` goes on, and counts the time without a process, however long the `for` and the time were.
func TestPendingGoesOn(t *testing.T) {
	for _, down := range []time.Duration{0, 25 * second, 5 * minute, 3 * time.Hour} {
		t.Run(down.String(), func(t *testing.T) {
			live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 2m}]}]`, func(l *lives) {
				l.series["x"] = 2
				l.start()
				l.run(50 * second)
				l.expect([]string{"A inactive>pending condition"}, nil)
				active := l.transitions[0].ActiveAt
				l.restart(down)
				back := time.Now()
				l.run(2 * minute)
				l.expect([]string{"A pending>firing for_elapsed"}, []string{"A firing"})
				fired := l.transitions[1]
				require.True(l.t, fired.ActiveAt.Equal(active), "%s was %s", fired.ActiveAt, active)
				want := active.Add(2 * minute)
				if want.Before(back) {
					want = back
				}
				late := fired.At.Sub(want)
				require.GreaterOrEqual(l.t, late, time.Duration(0))
				require.Less(l.t, late, 11*second)
				if l.stream && down < minute {
					require.Less(l.t, late, second, "deadlines are kept to the second")
				}
			})
		})
	}
}

func TestPendingThatClearedMeanwhileEnds(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 2m}]}]`, func(l *lives) {
		l.series["x"] = 2
		l.start()
		l.run(50 * second)
		l.series["x"] = 0
		l.restart(5 * minute)
		l.run(minute)
		l.expect([]string{"A inactive>pending condition", "A pending>inactive cleared"}, nil)
	})
}

// A series that does not come back is waited for, and then it is gone.
func TestMissingSeriesAreWaitedFor(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.series["x"], l.series["y"] = 2, 1
		l.start()
		l.run(30 * second)
		l.told()
		delete(l.series, "x")
		l.restart(5 * minute)
		back := time.Now()
		l.run(minute)
		moves, _ := l.told()
		require.Equal(l.t, []string{"A firing>inactive cleared"}, moves)
		require.WithinRange(l.t, l.transitions[1].At, back.Add(15*second), back.Add(31*second))
		l.check()

		l.series["x"] = 2
		l.run(30 * second)
		l.told()
		l.restart(5 * minute)
		for range 10 { // Never long enough to know.
			l.series["x"], l.series["y"] = 2, 1
			delete(l.series, "x")
			l.run(12 * second)
			l.restart(minute)
		}
		l.series["x"] = 2
		l.run(minute)
		l.expect(nil, []string{"A firing"})
	})
}

func TestKeepFiringGoesOn(t *testing.T) {
	for _, down := range []time.Duration{0, 15 * second, 5 * minute} {
		t.Run(down.String(), func(t *testing.T) {
			live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, keep_firing_for: 90s}]}]`, func(l *lives) {
				l.series["x"] = 2
				l.start()
				l.run(30 * second)
				l.series["x"] = 0
				l.run(30 * second)
				l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
				since := l.engine.Snapshots()[0].KeepFiringSince
				require.False(l.t, since.IsZero())
				l.restart(down)
				back := time.Now()
				l.run(2 * minute)
				l.expect([]string{"A firing>inactive keep_firing_ended"}, []string{"A firing", "A resolved keep_firing_ended"})
				want := since.Add(90 * second)
				if want.Before(back) {
					want = back
				}
				require.WithinRange(l.t, l.transitions[1].At, want, want.Add(11*second))
			})
		})
	}
}

func side(rest string) string { return "groups: [{name: g, rules: [{alert: A, " + rest + "}]}]" }

func TestHysteresisGoesOn(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.rules["f.tocsin.yml"] = side("clear: x < 1")
		l.series["x"] = 7
		l.start()
		l.run(30 * second)
		l.series["x"] = 3
		l.run(30 * second)
		l.restart(15 * second)
		l.run(minute)
		l.restart(5 * minute)
		l.run(minute)
		l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
		l.series["x"] = 0
		l.restart(5 * minute)
		l.run(minute)
		l.expect([]string{"A firing>inactive hysteresis_cleared"}, []string{"A firing", "A resolved hysteresis_cleared"})
	})
}

func TestMissingGoesOn(t *testing.T) {
	for _, how := range []string{"hold", "fire", "nodata"} {
		t.Run(how, func(t *testing.T) {
			live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
				l.rules["f.tocsin.yml"] = side("on_missing: " + how)
				l.series["x"], l.series["y"] = 7, 0
				l.start()
				l.run(30 * second)
				delete(l.series, "x")
				l.run(minute)
				moves, sent := []string{"A inactive>firing condition"}, []string{"A firing"}
				again := []string{"A firing"}
				if how == "nodata" {
					moves, sent, again = append(moves, "A firing>firing nodata"), append(sent, "A nodata"), []string{"A nodata"}
				}
				l.expect(moves, sent)
				missing := l.engine.Snapshots()[0].MissingSince
				require.False(l.t, missing.IsZero())
				l.restart(5 * minute)
				l.run(minute)
				l.expect(nil, again)
				require.True(l.t, missing.Equal(l.engine.Snapshots()[0].MissingSince), "it is missing since before")
				l.series["x"] = 0
				l.run(minute)
				moves = []string{"A firing>inactive cleared"}
				l.expect(moves, []string{"A resolved cleared"})
			})
		})
	}
}

func TestFlappingGoesOn(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 5}]}]`, func(l *lives) {
		l.rules["f.tocsin.yml"] = side("flap: {transitions: 2, within: 10m}")
		l.start()
		for range 2 {
			l.series["x"] = 7
			l.run(30 * second)
			l.series["x"] = 0
			l.run(30 * second)
		}
		l.expect([]string{
			"A inactive>firing condition", "A firing>inactive cleared", "A inactive>firing condition", "A firing>firing flapping", "A firing>inactive cleared",
		}, []string{"A firing", "A resolved cleared", "A flapping"})
		l.restart(30 * second)
		l.series["x"] = 7
		l.run(30 * second)
		l.expect([]string{"A inactive>firing condition"}, []string{"A flapping"})
		l.series["x"] = 0
		l.run(30 * second)
		l.expect([]string{"A firing>inactive cleared"}, nil)
		l.restart(30 * second)
		l.run(20 * minute)
		l.expect([]string{"A inactive>inactive calm"}, []string{"A flapping", "A resolved cleared"})
	})
}

// What ended and what came of it is told, whenever the process died.
func TestResolvedIsTold(t *testing.T) {
	for _, down := range []time.Duration{0, 20 * minute} {
		t.Run(down.String(), func(t *testing.T) {
			live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
				l.series["x"] = 2
				l.start()
				l.run(30 * second)
				l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
				l.dieAtNotify = true
				l.series["x"] = 0
				l.run(30 * second)
				l.restart(down)
				l.run(minute)
				l.expect([]string{"A firing>inactive cleared"}, []string{"A resolved cleared"})
				l.restart(down) // What was notified then may be lost, too.
				l.run(minute)
				l.expect(nil, []string{"A resolved cleared"})
				l.run(20 * minute)
				l.check()
				require.Empty(l.t, l.engine.Snapshots())
			})
		})
	}
}

// An end is told also where the alert is pending again by the time at which the process dies, or was and is over.
func TestResolvedIsToldOfWhatIsPendingAgain(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		for _, down := range []time.Duration{0, 20 * minute} {
			t.Run(fmt.Sprint(forgotten, " ", down), func(t *testing.T) {
				live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 1m}]}]`, func(l *lives) {
					l.series["x"] = 2
					l.start()
					l.run(2 * minute)
					l.series["x"] = 0
					l.run(30 * second)
					l.series["x"] = 2
					l.run(20 * second)
					moves := []string{"A inactive>pending condition", "A pending>firing for_elapsed", "A firing>inactive cleared", "A inactive>pending condition"}
					if forgotten {
						l.series["x"] = 0
						l.run(20 * second)
						moves = append(moves, "A pending>inactive cleared")
					}
					l.expect(moves, []string{"A firing", "A resolved cleared"})
					fired, ended := l.transitions[1].At, l.transitions[2].At
					var again []alert.Outgoing
					l.change = func(o *engine.Options) {
						notify := o.Notify
						o.Notify = func(ctx context.Context, all []alert.Outgoing) {
							again = append(again, all...)
							notify(ctx, all)
						}
					}
					l.restart(down)
					_, sent := l.told()
					require.Equal(l.t, []string{"A resolved cleared"}, sent)
					require.True(l.t, again[0].StartsAt.Equal(fired) && again[0].EndsAt.Equal(ended), "%+v", again[0])
					require.NotEmpty(l.t, again[0].GeneratorURL)
				})
			})
		}
	}
}

func TestFiringIsTold(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.series["x"] = 2
		l.dieAtNotify = true
		l.start()
		l.run(30 * second)
		l.expect([]string{"A inactive>firing condition"}, nil)
		l.restart(5 * minute)
		l.run(minute)
		l.expect(nil, []string{"A firing"})
	})
}

func TestLimitAfterRestart(t *testing.T) {
	live(t, `groups: [{name: g, limit: 2, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.series[`x{i="1"}`], l.series[`x{i="2"}`] = 2, 2
		l.start()
		l.run(30 * second)
		l.told()
		l.restart(5 * second)
		l.series[`x{i="3"}`] = 2
		l.run(minute)
		moves, _ := l.told()
		require.Equal(l.t, []string{`A{i="1"} firing>inactive limit`, `A{i="2"} firing>inactive limit`}, moves)
		l.check()
		l.restart(5 * second)
		l.series[`x{i="3"}`] = 0
		l.run(minute)
		moves, _ = l.told()
		require.Equal(l.t, []string{`A{i="1"} inactive>firing condition`, `A{i="2"} inactive>firing condition`}, moves)
		l.check()
	})
}

// What cannot be is left out, and nothing else.
func TestBrokenInstances(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.series[`x{i="1"}`] = 2
		l.start()
		l.run(30 * second)
		l.told()
		at := time.Now()
		for i, broken := range []alert.Alert{
			{State: alert.Firing, ActiveAt: at},
			{State: alert.Inactive, ActiveAt: at},
			{State: alert.Pending, ActiveAt: at, ResolvedAt: at},
		} {
			broken.Labels = labels.FromStrings("alertname", "A", "i", fmt.Sprint("broken", i))
			require.NoError(l.t, l.ledger.Record(nil, []ledger.Instance{{File: "f.yml", Group: "g", Rule: "A", Alert: broken}}, nil))
			broken.Labels = labels.FromStrings("alertname", "C", "i", fmt.Sprint("broken", i))
			require.NoError(l.t, l.ledger.Record(nil, []ledger.Instance{{File: "f.yml", Group: "g", Rule: "C", Alert: broken}}, nil))
		}
		l.restart(minute)
		l.run(minute)
		l.expect(nil, []string{`A{i="1"} firing`})
	})
}

// A reload within the time in which series come back takes that time over.
func TestReloadWhileSettling(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`, func(l *lives) {
		l.series["x"], l.series["y"] = 2, 1
		l.start()
		l.run(30 * second)
		l.told()
		l.restart(5 * minute)
		delete(l.series, "x")
		l.run(5 * second)
		l.rules["f.yml"] = `groups: [{name: g, rules: [{alert: A, expr: x > 1.5}, {alert: B, expr: y > 7}]}]`
		l.apply()
		l.run(5 * second)
		l.rules["f.yml"] = `groups: [{name: h, rules: [{alert: A, expr: x > 1.5}]}]`
		l.apply()
		l.run(3 * second)
		l.expect(nil, []string{"A firing"})
		l.series["x"] = 2
		l.run(30 * second)
		l.expect(nil, nil)
	})
}

// A ledger that is new knows nothing: then history is asked, and the ledger gets what it said.
func TestFreshLedger(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 20m}]}]`, func(l *lives) {
		l.series["x"] = 2
		l.change = func(o *engine.Options) { o.Ledger = nil }
		l.start()
		l.run(15 * minute)
		moves, _ := l.told()
		require.Len(l.t, moves, 1)
		active := l.transitions[0].ActiveAt
		l.kill()
		l.dir += "fresh"
		l.change = nil
		l.start()
		l.run(minute)
		l.told()
		l.check()
		restored := l.engine.Snapshots()[0].ActiveAt
		require.WithinDuration(l.t, active.Add(5*minute), restored, minute, "five minutes are left, and grace is ten")
		l.restart(minute)
		l.run(9 * minute)
		l.expect([]string{"A pending>firing for_elapsed"}, []string{"A firing"})
	})
}
