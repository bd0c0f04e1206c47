package chain

import (
	"fmt"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
)

// The reference model: alerts in the plainest words. It is given what the process could see and when it ran, works out at
// what times rules are evaluated, and says what becomes of each alert.

// modelRule is a rule as the model sees it: it fires over 90.
type modelRule struct {
	name, group         string
	hold, keep          time.Duration
	hysteresis          bool // it clears under 70
	interval, staleness time.Duration
}

// span is a life of the process. The last one has not ended.
type span struct{ began, ended time.Time }

// seen is a sample.
type seen struct {
	at    time.Time
	value float64
}

// modelAlert is the state of one alert.
type modelAlert struct {
	state           alert.State
	active, keeping time.Time
}

// step moves an alert to now, at which its series has a value or is not there.
func (r *modelRule) step(a modelAlert, v float64, there, justStarted bool, now time.Time) modelAlert {
	switch {
	case there && v > 90:
		if a.state == alert.Inactive {
			a = modelAlert{state: alert.Pending, active: now}
		}
		a.keeping = time.Time{}
		if now.Sub(a.active) >= r.hold {
			a.state = alert.Firing
		}
		return a
	case a.state == alert.Inactive:
		return a
	case justStarted && !there: // It may only not be back yet.
		return a
	case a.state == alert.Firing && r.hysteresis && there && v >= 70:
		return a
	case a.state == alert.Firing && r.keep > 0:
		if a.keeping.IsZero() {
			a.keeping = now
		}
		if now.Sub(a.keeping) < r.keep {
			return a
		}
	}
	return modelAlert{}
}

// due returns when the time alone changes an alert.
func (r *modelRule) due(a modelAlert) time.Time {
	switch {
	case a.state == alert.Pending:
		return a.active.Add(r.hold)
	case !a.keeping.IsZero():
		return a.keeping.Add(r.keep)
	}
	return time.Time{}
}

// moment is an occasion to evaluate a rule.
type moment struct {
	at          time.Time
	justStarted bool
	// torn says that the process was killed at that very time: what came of it may be on disk or not.
	torn bool
}

// moments returns when a rule is evaluated because it is time for it, or because a sample came: at each tick, and with
// each sample once a life has seen two ticks. Deadlines are between them.
func (r *modelRule) moments(lives []span, samples []seen, end time.Time) (out []moment) {
	schedule := engine.NewSchedule("f.yml", r.group, r.interval)
	for i, life := range lives {
		ended := end
		if i < len(lives)-1 {
			ended = life.ended
		}
		tick := schedule.First(life.began)
		second := tick.Add(r.interval)
		for ; !tick.After(ended); tick = tick.Add(r.interval) {
			out = append(out, moment{at: tick, justStarted: i > 0 && !tick.After(second)})
		}
		for _, s := range samples {
			if s.at.After(second) && !s.at.After(ended) {
				out = append(out, moment{at: s.at})
			}
		}
		for j := range out {
			out[j].torn = out[j].torn || i < len(lives)-1 && out[j].at.Equal(ended)
		}
	}
	slices.SortFunc(out, func(a, b moment) int { return a.at.Compare(b.at) })
	return out
}

// candidate is a way in which things may have gone: what became of the alert, and how many of the recorded moves that
// explains.
type candidate struct {
	alert     modelAlert
	explained int
}

// explain reports whether the recorded moves of one alert are what the model says, to a second. Where the process was
// killed in the middle of an evaluation there is more than one way.
func (r *modelRule) explain(lives []span, samples []seen, moves []alert.Transition, end time.Time) error {
	ways := []candidate{{}}
	for _, m := range r.moments(lives, samples, end) {
		var next []candidate
		var why error
		for _, c := range ways {
			for _, e := range r.evaluate(c, m, lives, samples, moves, &why) {
				if !slices.Contains(next, e) {
					next = append(next, e)
				}
			}
		}
		if len(next) == 0 {
			return why
		}
		ways = next
	}
	for _, c := range ways {
		if c.explained == len(moves) {
			return nil
		}
	}
	return fmt.Errorf("%s is one too many", line(&moves[ways[0].explained]))
}

// evaluate returns how c goes on at m, and before it at deadlines that were watched.
func (r *modelRule) evaluate(c candidate, m moment, lives []span, samples []seen, moves []alert.Transition, why *error) []candidate {
	for at := r.due(c.alert); !at.IsZero() && at.Before(m.at); at = r.due(c.alert) {
		life, warm := r.lifeAt(lives, at)
		if !warm {
			break
		}
		v, there := r.at(samples, at)
		torn := at.Equal(life.ended)
		next, ok := r.move(c, moment{at: at, torn: torn}, v, there, moves, why)
		if torn {
			return append(r.evaluateOnly(c, m, samples, moves, why), r.evaluateOnlyIf(ok, next, m, samples, moves, why)...)
		}
		if !ok {
			return nil
		}
		c = next
	}
	return r.evaluateOnly(c, m, samples, moves, why)
}

func (r *modelRule) evaluateOnlyIf(ok bool, c candidate, m moment, samples []seen, moves []alert.Transition, why *error) []candidate {
	if !ok {
		return nil
	}
	return r.evaluateOnly(c, m, samples, moves, why)
}

func (r *modelRule) evaluateOnly(c candidate, m moment, samples []seen, moves []alert.Transition, why *error) (out []candidate) {
	v, there := r.at(samples, m.at)
	if next, ok := r.move(c, m, v, there, moves, why); ok {
		out = append(out, next)
	}
	if m.torn {
		out = append(out, c)
	}
	return out
}

// move is one evaluation. It is false where the move that it makes was not recorded, or another was.
func (r *modelRule) move(c candidate, m moment, v float64, there bool, moves []alert.Transition, why *error) (candidate, bool) {
	was := c.alert.state
	c.alert = r.step(c.alert, v, there, m.justStarted, m.at)
	if c.alert.state == was {
		return c, true
	}
	if c.explained == len(moves) {
		*why = fmt.Errorf("%s>%s at %s is missing", was, c.alert.state, m.at.UTC().Format(stampFormat))
		return c, false
	}
	got := &moves[c.explained]
	if got.From != was || got.To != c.alert.state || got.At.Sub(m.at).Abs() > time.Second {
		*why = fmt.Errorf("%s>%s at %s is expected, not %s", was, c.alert.state, m.at.UTC().Format(stampFormat), line(got))
		return c, false
	}
	c.explained++
	return c, true
}

const stampFormat = "15:04:05.000"

func line(tr *alert.Transition) string {
	return fmt.Sprintf("%s>%s at %s (%s)", tr.From, tr.To, tr.At.UTC().Format(stampFormat), tr.Reason)
}

// at returns the value that is seen at a time.
func (r *modelRule) at(samples []seen, at time.Time) (v float64, there bool) {
	for _, s := range samples {
		if !s.at.After(at) && at.Sub(s.at) < r.staleness {
			v, there = s.value, true
		}
	}
	return v, there
}

// lifeAt returns the life that a time is in, and whether it has seen two ticks by then.
func (r *modelRule) lifeAt(lives []span, at time.Time) (life span, warm bool) {
	for i, l := range lives {
		if !at.Before(l.began) && (i == len(lives)-1 || !at.After(l.ended)) {
			life = l
			break // It died at that time, where the next was born at the same.
		}
	}
	second := engine.NewSchedule("f.yml", r.group, r.interval).First(life.began).Add(r.interval)
	return life, !life.began.IsZero() && at.After(second)
}
