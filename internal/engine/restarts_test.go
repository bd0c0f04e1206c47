package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
)

// Killing the process and starting it again does not matter: what happens to alerts is the same with and without, but for
// what is documented of a start. That is: for two evaluations, an alert whose series is not there and whose end is not
// known stays what it is; and nobody follows arrivals before the second tick.
func TestRestartsDoNotMatter(t *testing.T) {
	seed := seedOf(t)
	for i := range storiesOf(3) {
		t.Run(fmt.Sprint(seed+i), func(t *testing.T) {
			t.Parallel()
			logs := map[bool]*history{}
			for _, kills := range []bool{false, true} {
				t.Run(fmt.Sprint("kills ", kills), func(t *testing.T) {
					l := newLives(t, "")
					l.stream = seed%2 == i%2
					l.play(t, func(l *lives) { logs[kills] = l.restarts(seed+i, kills) })
				})
			}
			if !t.Failed() {
				compareHistories(t, seed%2 == i%2, logs[false], logs[true])
			}
		})
	}
}

// history is what happened to each alert, and when the process was killed.
type history struct {
	moves map[string][]alert.Transition
	kills []time.Time
	end   time.Time
}

// restarts tells a random story of samples, and of kills where there are any.
func (l *lives) restarts(seed uint64, kills bool) *history {
	l.t.Helper()
	random, deaths := rand.New(rand.NewPCG(seed, 5)), rand.New(rand.NewPCG(seed, 6))
	for name, text := range everything {
		l.rules[name] = strings.ReplaceAll(text, "limit: 3", "limit: 99") // What one alert does is no matter of others'.
	}
	l.change = func(o *engine.Options) { o.SettleAfterStart = -1 }
	out := &history{moves: map[string][]alert.Transition{}}
	l.start()
	next := 100*second + randomSeconds(deaths, 60)
	for chapter := time.Duration(0); chapter < 30*minute; chapter += 5 * second {
		if random.IntN(4) == 0 {
			l.randomSeries(random)
		}
		l.write()
		before := randomSeconds(deaths, 5)
		time.Sleep(before)
		if chapter > next {
			next = chapter + 100*second + randomSeconds(deaths, 60)
			if kills {
				l.restart(0)
			}
			out.kills = append(out.kills, time.Now())
		}
		time.Sleep(5*second - before)
	}
	synctest.Wait()
	out.end = time.Now()
	for _, tr := range l.transitions {
		key := tr.File + "/" + tr.Group + "/" + tr.Rule + tr.RuleID + tr.Labels.String()
		out.moves[key] = append(out.moves[key], tr)
	}
	return out
}

// randomSeconds returns less than n seconds, in milliseconds.
func randomSeconds(r *rand.Rand, n int) time.Duration {
	return time.Duration(r.IntN(1000*n)) * time.Millisecond
}

// startTime is how long after a restart things may differ: three ticks of the slowest group.
const startTime = 45 * second

func compareHistories(t *testing.T, stream bool, want, got *history) {
	t.Helper()
	c := comparison{t: t, stream: stream}
	for _, key := range slices.Sorted(maps.Keys(union(want.moves, got.moves))) {
		c.alert(key, want, got)
	}
	t.Logf("%d moves compared, %d of them right after a restart, %d times alerts differed for a while", c.compared, c.close, c.parted)
	require.Greater(t, c.compared, 200)
	require.True(t, c.stream || c.close > 10)
}

func union[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

type comparison struct {
	t                       *testing.T
	stream                  bool
	compared, close, parted int
}

// alert compares what happened to one alert.
func (c *comparison) alert(key string, want, got *history) {
	a, b := want.moves[key], got.moves[key]
	at, together := time.Time{}, true
	for i := range append(slices.Clone(want.kills), want.end) {
		end := want.end
		if i < len(want.kills) {
			end = want.kills[i]
		}
		if !together {
			at, together = c.meet(key, a, b, at, end)
		}
		if together {
			c.same(key, between(a, at, end), between(b, at, end), want)
		}
		if at = end.Add(startTime); i < len(want.kills) && together && !at.After(want.end) { // The end cuts what comes late.
			x, y := between(a, end, at), between(b, end, at)
			switch together = c.undisturbed(key, x); {
			case together:
				c.close += len(x)
				c.same(key, x, y, want)
			case strings.Contains(key, "/Few") && len(x) == 1 && x[0].From == alert.Pending && x[0].To == alert.Firing: // At a tick.
				late := startTime
				if len(y) == 1 && y[0].To == alert.Firing {
					late = y[0].At.Sub(x[0].At)
				}
				require.True(c.t, 0 <= late && late < 30*second, "%s: a `for` that ends right after a restart ended %s late: %v", key, late, y)
				c.close++
			default:
				c.parted++
			}
		}
	}
}

// undisturbed reports whether all these moves right after a restart are to be the same as without it.
func (c *comparison) undisturbed(key string, moves []alert.Transition) bool {
	return !strings.Contains(key, "/Plain") && !slices.ContainsFunc(moves, func(tr alert.Transition) bool {
		return c.stream || tr.To == alert.Inactive // A series that is not there waits.
	})
}

// meet returns when, between two times, an alert is in the same state in both, and in none that has a past.
func (c *comparison) meet(key string, a, b []alert.Transition, from, to time.Time) (time.Time, bool) {
	if strings.Contains(key, "/Flap") {
		return from, false // It never forgets.
	}
	for at := from; at.Before(to); at = at.Add(second) {
		if state := stateAt(a, at); state == stateAt(b, at) && (state == alert.Inactive || state == alert.Firing && !strings.Contains(key, "/Plain")) {
			return at, true
		}
	}
	return from, false
}

func (c *comparison) same(key string, a, b []alert.Transition, want *history) {
	c.t.Helper()
	same := slices.EqualFunc(a, b, func(a, b alert.Transition) bool {
		return a.From == b.From && a.To == b.To && a.Reason == b.Reason && (!a.Clearing.Known || a.Clearing == b.Clearing) && a.At.Sub(b.At).Abs() < 10*time.Millisecond
	})
	if !same {
		lines := func(moves []alert.Transition) (text string) {
			for _, tr := range moves {
				text += fmt.Sprintf("\n  %s %s>%s %s %v", tr.At.Format("15:04:05.000"), tr.From, tr.To, tr.Reason, tr.Clearing)
			}
			return text
		}
		c.t.Fatalf("%s\nwithout restarts:%s\nwith:%s\nrestarts: %v", key, lines(a), lines(b), want.kills)
	}
	c.compared += len(a)
}

// between returns the moves after one time and up to another.
func between(moves []alert.Transition, from, to time.Time) []alert.Transition {
	return after(until(moves, to), from)
}
