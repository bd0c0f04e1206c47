package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What becomes of alerts when rules go, move, change or have the name of another.

// What a rule leaves behind that is gone ends, and that is told, whenever the process died and the rule went.
func TestRuleGone(t *testing.T) {
	const rules = `groups: [{name: g, rules: [{alert: A, expr: x > 1}]}]`
	const none = `groups: [{name: h, rules: [{alert: B, expr: x > 100}]}]`
	gone := []string{"A firing>inactive rule_gone"}
	prologue := func(l *lives) {
		l.series["x"] = 2
		l.start()
		l.run(30 * second)
		l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
	}
	t.Run("while down", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.rules["f.yml"] = none
			l.restart(5 * minute)
			l.run(minute)
			l.expect(gone, []string{"A resolved rule_gone"})
			l.restart(5 * minute)
			l.run(minute)
			l.expect(nil, []string{"A resolved rule_gone"})
			l.run(16 * minute)
			l.check()
			require.Empty(l.t, l.engine.Snapshots())
			l.restart(minute)
			l.run(minute)
			l.expect(nil, nil)
		})
	})
	t.Run("while down and killed before it is told", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.rules["f.yml"] = none
			l.kill()
			l.dieAtNotify = true
			l.start()
			l.run(minute)
			l.expectTold(gone, nil)
			l.restart(minute)
			l.run(minute)
			l.expect(nil, []string{"A resolved rule_gone"})
		})
	})
	t.Run("by a reload, killed before it is told", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.rules["f.yml"] = none
			l.dieAtNotify = true
			l.apply()
			l.run(5 * second)
			l.expectTold(gone, nil)
			l.restart(minute)
			l.run(minute)
			l.expect(nil, []string{"A resolved rule_gone"})
		})
	})
	t.Run("while down, resolved before and not told", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.dieAtNotify = true
			l.series["x"] = 0
			l.run(30 * second)
			l.rules["f.yml"] = none
			l.restart(minute)
			l.run(minute)
			l.expect([]string{"A firing>inactive cleared"}, []string{"A resolved cleared"})
			l.run(20 * minute)
			l.check()
		})
	})
	t.Run("by a reload, resolved before", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.series["x"] = 0
			l.run(30 * second)
			l.expect([]string{"A firing>inactive cleared"}, []string{"A resolved cleared"})
			l.rules["f.yml"] = none
			l.apply()
			l.run(minute)
			l.expect(nil, nil)
			l.rules["f.yml"] = rules
			l.series["x"] = 2
			l.apply() // What the rule leaves behind now is its own again.
			l.run(30 * second)
			l.expect([]string{"A inactive>firing condition"}, []string{"A firing"})
			l.run(20 * minute)
			l.check()
		})
	})
	t.Run("by a reload, and back without firing", func(t *testing.T) {
		live(t, rules, func(l *lives) {
			prologue(l)
			l.rules["f.yml"] = none
			l.apply()
			l.series["x"] = 0
			l.run(30 * second)
			l.rules["f.yml"] = rules
			l.apply()
			l.run(20 * minute)
			l.expect(gone, []string{"A resolved rule_gone"})
		})
	})
}

// A rule that was moved while nothing ran, or is by a reload, keeps its alerts.
func TestRuleMoved(t *testing.T) {
	const rules = `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 1m}, {alert: B, expr: x > 1}]}]`
	places := map[string]map[string]string{
		"another group": {"f.yml": `groups: [{name: h, rules: [{alert: B, expr: x > 1}, {alert: A, expr: x > 1, for: 1m}]}]`},
		"another file":  {"other.yml": rules},
		"both": {
			"f.yml":     `groups: [{name: h, rules: [{alert: A, expr: x > 1, for: 1m}]}]`,
			"other.yml": `groups: [{name: i, rules: [{alert: B, expr: x > 1}]}]`,
		},
	}
	for name, place := range places {
		for _, how := range []string{"reload", "restart"} {
			t.Run(name+" by "+how, func(t *testing.T) {
				live(t, rules, func(l *lives) {
					l.series["x"] = 2
					l.start()
					l.run(40 * second)
					l.told()
					l.rules = place
					if how == "reload" {
						l.apply()
						l.check()
					} else {
						l.restart(10 * second)
						l.check()
					}
					l.restart(5 * second)
					l.check()
					l.run(minute)
					l.expect([]string{"A pending>firing for_elapsed"}, []string{"B firing", "A firing"})
					require.Equal(l.t, "A", l.transitions[2].Rule)
					require.InDelta(l.t, 60, l.transitions[2].At.Sub(l.transitions[2].ActiveAt).Seconds(), 11)
				})
			})
		}
	}
}

// Rules that say something else than before keep alerts that have their name and labels.
func TestRuleChangedWhileDown(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: x > 1, for: 1m, labels: {severity: page}}]}]`, func(l *lives) {
		l.series["x"] = 3
		l.start()
		l.run(90 * second)
		l.told()
		l.rules["f.yml"] = `groups: [{name: g, rules: [{alert: A, expr: x > 2, for: 30s, labels: {severity: page}}]}]`
		l.restart(minute)
		l.run(minute)
		l.expect(nil, []string{`A{severity="page"} firing`})
		l.rules["f.yml"] = `groups: [{name: g, rules: [{alert: A, expr: x > 2, labels: {severity: ticket}}]}]`
		l.restart(minute)
		l.run(minute)
		l.expect([]string{`A{severity="page"} firing>inactive rule_gone`, `A{severity="ticket"} inactive>firing condition`},
			[]string{`A{severity="page"} resolved rule_gone`, `A{severity="ticket"} firing`})
	})
}

// Rules of one name keep what is theirs, whichever of them might have it by its labels.
func TestRulesOfOneName(t *testing.T) {
	live(t, `
groups:
- name: g
  rules:
  - {alert: A, expr: 'x > 1'}
  - {alert: A, expr: 'y > 1', labels: {severity: page}}
  - {alert: A, expr: 'y > 2', for: 1m, labels: {severity: page}}
  - {alert: A, expr: 'y > 1', labels: {severity: '{{ if gt $value 2.0 }}high{{ else }}low{{ end }}'}}
`, func(l *lives) {
		l.series[`x{severity="page"}`], l.series["y"] = 0, 1.5
		l.start()
		l.run(30 * second)
		l.told()
		l.check()
		l.restart(10 * second)
		l.run(50 * second)
		l.expect(nil, []string{`A{severity="page"} firing`, `A{severity="low"} firing`})
		l.series["y"] = 3
		l.restart(10 * second)
		l.run(40 * second)
		moves, _ := l.told()
		slices.Sort(moves)
		require.Equal(l.t, []string{
			`A{severity="high"} inactive>firing condition`, `A{severity="low"} firing>inactive cleared`, `A{severity="page"} inactive>pending condition`,
		}, moves)
		l.check()
		l.restart(10 * second)
		l.run(minute)
		moves, _ = l.told()
		require.Equal(l.t, []string{`A{severity="page"} pending>firing for_elapsed`}, moves)
		l.check()
	})
}

// Two rules of one group may have alerts of the same name and labels: what becomes of the one's is no matter of the other's.
func TestTwinAlerts(t *testing.T) {
	live(t, `groups: [{name: g, rules: [{alert: A, expr: 'sum(x) > 1'}, {alert: A, expr: 'sum(y) > 1', for: 1m}]}]`, func(l *lives) {
		l.series["x"], l.series["y"] = 2, 2
		l.start()
		l.run(90 * second)
		l.check()
		l.series["x"] = 0
		l.run(30 * second)
		l.check()
		l.told()
		l.restart(10 * second)
		l.run(minute)
		moves, _ := l.told()
		require.Empty(l.t, moves)
		l.rules["f.yml"] = `groups: [{name: g, rules: [{alert: A, expr: 'sum(y) > 1', for: 1m}]}]`
		l.apply()
		l.check()
		l.restart(10 * second)
		l.run(minute)
		moves, _ = l.told()
		require.Empty(l.t, moves)
	})
}

// Rules of one name that change places while nothing runs take what is theirs along.
func TestRulesChangePlaces(t *testing.T) {
	const one, other = `{alert: A, expr: 'sum(x) > 1', for: 1m}`, `{alert: A, expr: 'sum(y) > 1'}`
	places := func(a, b string) string {
		return fmt.Sprintf("groups: [{name: g, rules: [%s]}, {name: h, rules: [%s]}]", a, b)
	}
	live(t, places(one, other), func(l *lives) {
		l.series["x"], l.series["y"] = 2, 2
		l.start()
		l.run(40 * second)
		l.told()
		l.rules["f.yml"] = places(other, one)
		l.restart(second)
		l.check()
		l.restart(5 * second)
		l.run(30 * second)
		moves, _ := l.told()
		require.Equal(l.t, []string{"A pending>firing for_elapsed"}, moves)
	})
}
