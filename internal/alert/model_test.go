package alert_test

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
)

// reading is one series at one moment: its value, or that it is not there.
type reading struct {
	there bool
	v     float64
}

// The reference rule fires over 90 and clears below 70.
func (r reading) holds() bool  { return r.there && r.v > 90 }
func (r reading) clears() bool { return r.there && r.v < 70 }

// reference is the state machine in the plainest words: it sees the series themselves, has strings for states and a map for
// the set. It shares no code with the package, and knows nothing of memory.
type reference struct {
	params alert.Params
	send   alert.SendParams
	all    map[string]*referenceAlert
	// told is what happened at the last step, sent what people were told.
	told, sent []string
}

type referenceAlert struct {
	state, basis                         string
	value                                float64
	active, fired, over, lastSent, valid time.Time
	keeping, missing                     time.Time
	clearing                             string
	changes                              []time.Time
	flappingSince                        time.Time
	memoryOnly                           bool
}

func (m *reference) step(world map[string]reading, now time.Time) error {
	m.told, m.sent = nil, nil
	active := 0
	before := map[string]referenceAlert{}
	for name, a := range m.all {
		before[name] = *a
	}
	names := slices.Sorted(keys(world))
	for _, name := range names {
		r := world[name]
		a := m.all[name]
		if a == nil {
			if !r.holds() {
				continue
			}
			a = &referenceAlert{state: "inactive"}
			m.all[name] = a
		}
		if m.one(name, a, r, now) {
			active++
		}
	}
	if m.params.Limit > 0 && active > m.params.Limit {
		m.told, m.all = nil, map[string]*referenceAlert{}
		for name, a := range before {
			if a.state != "inactive" {
				m.say(name, &a, a.state, "inactive", "limit", now, a.fired)
			}
		}
		slices.Sort(m.told)
		return fmt.Errorf("exceeded limit of %d with %d alerts", m.params.Limit, active)
	}
	slices.Sort(m.told)
	m.notify(now)
	return nil
}

// one moves one alert and reports whether it is active.
func (m *reference) one(name string, a *referenceAlert, r reading, now time.Time) bool {
	from, fromBasis, was := a.state, a.basis, *a
	m.begin(a, r, now)
	reason := ""
	if a.state != "inactive" {
		if from == "inactive" {
			reason = "condition"
		}
		if ends := m.ending(a, r, now); ends != "" {
			reason = ends
			m.finish(a, r, now)
		} else if a.basis != "hold" && a.basis != "nodata" {
			old := now.Sub(a.active) >= m.params.For
			if a.state == "pending" && old {
				a.state, a.fired = "firing", now
				if reason == "" {
					reason = "for_elapsed"
				}
			} else if a.state == "firing" && !old {
				a.state, a.fired, a.keeping, reason = "pending", time.Time{}, time.Time{}, "for_grew"
				if a.flappingSince.IsZero() {
					a.lastSent = time.Time{}
				}
			}
		}
	}
	mark := m.flapping(a, from, now)
	switch {
	case a.state != from:
		m.say(name, a, from, a.state, reason, now, was.fired)
	case a.basis == "nodata" && fromBasis != "nodata":
		m.say(name, a, from, from, "nodata", now, a.fired)
	case fromBasis == "nodata" && a.basis != "nodata":
		m.say(name, a, from, from, "data_back", now, a.fired)
	}
	if mark != "" {
		m.say(name, a, a.state, a.state, mark, now, a.fired)
	}
	m.forget(name, a, from, now)
	return a.state != "inactive"
}

// begin starts an alert whose condition holds and that is not active.
func (m *reference) begin(a *referenceAlert, r reading, now time.Time) {
	if !r.holds() {
		return
	}
	if a.state == "inactive" {
		fresh := referenceAlert{state: "pending", active: now, changes: a.changes, flappingSince: a.flappingSince}
		if !a.flappingSince.IsZero() {
			fresh.lastSent, fresh.valid = a.lastSent, a.valid
		}
		*a = fresh
	}
	a.value = r.v
}

// ending says why an active alert ends, or notes why it does not.
func (m *reference) ending(a *referenceAlert, r reading, now time.Time) string {
	gone := m.params.Presence && !r.there
	if !gone {
		a.missing = time.Time{}
	} else if a.missing.IsZero() {
		a.missing = now
	}
	if r.holds() {
		a.basis, a.keeping = "condition", time.Time{}
		return ""
	}
	clearing := !a.keeping.IsZero()
	if gone && !clearing && m.params.OnMissing != alert.MissingResolves {
		a.basis = m.params.OnMissing.String()
		return ""
	}
	silent := !r.there
	if !m.params.Presence { // The word of the clear expression is all there is.
		silent = !(m.params.Hysteresis && r.clears())
	}
	if m.params.Settling && silent {
		a.basis = "hold"
		return ""
	}
	if a.state == "pending" {
		if gone {
			return "series_missing"
		}
		return "cleared"
	}
	if m.params.Hysteresis && !gone && !r.clears() {
		a.basis, a.keeping = "hysteresis", time.Time{}
		return ""
	}
	if m.params.KeepFiringFor > 0 {
		if !clearing {
			a.keeping = now
		}
		if now.Sub(a.keeping) < m.params.KeepFiringFor {
			a.basis = "keep_firing"
			return ""
		}
	}
	switch {
	case clearing:
		return "keep_firing_ended"
	case gone:
		return "series_missing"
	case m.params.Hysteresis:
		return "hysteresis_cleared"
	}
	return "cleared"
}

func (m *reference) finish(a *referenceAlert, r reading, now time.Time) {
	a.memoryOnly = a.state == "pending" && a.flappingSince.IsZero()
	a.state, a.basis, a.over, a.missing, a.clearing = "inactive", "condition", now, time.Time{}, ""
	known := m.params.Presence || m.params.Hysteresis && r.clears()
	if known && r.there && !math.IsNaN(r.v) {
		a.clearing = fmt.Sprint(r.v)
	}
}

func (m *reference) flapping(a *referenceAlert, from string, now time.Time) string {
	p := m.params.Flap
	if p.Transitions == 0 {
		if a.flappingSince.IsZero() {
			a.changes = nil
			return ""
		}
		if a.state == "pending" {
			return ""
		}
		m.calm(a, now)
		return "calm"
	}
	if a.state != from && (a.state == "firing" || from == "firing") {
		a.changes = slices.DeleteFunc(slices.Clone(a.changes), func(at time.Time) bool { return now.Sub(at) >= p.Within })
		a.changes = append(a.changes, now)
		a.changes = a.changes[max(0, len(a.changes)-p.Transitions-1):]
		if a.state == "firing" && a.flappingSince.IsZero() && len(a.changes) > p.Transitions {
			a.flappingSince = now
			return "flapping"
		}
		return ""
	}
	if !a.flappingSince.IsZero() && a.state != "pending" && !m.recent(a, now) {
		m.calm(a, now)
		return "calm"
	}
	return ""
}

func (m *reference) recent(a *referenceAlert, now time.Time) bool {
	return m.params.Flap.Transitions > 0 && len(a.changes) > 0 && now.Sub(a.changes[len(a.changes)-1]) < m.params.Flap.Within
}

func (m *reference) calm(a *referenceAlert, now time.Time) {
	if a.state == "inactive" {
		a.fired, a.over = a.flappingSince, now
	}
	a.flappingSince, a.changes = time.Time{}, nil
}

// forget drops what is over for everybody. An alert is never dropped in the step in which it resolved.
func (m *reference) forget(name string, a *referenceAlert, from string, now time.Time) {
	if a.state != "inactive" || !a.flappingSince.IsZero() {
		return
	}
	if from == "inactive" && now.Sub(a.over) > alert.ResolvedRetention {
		a.memoryOnly = true
	}
	if a.memoryOnly && !m.recent(a, now) {
		delete(m.all, name)
	}
}

// say notes a transition of an alert that had been firing since fired.
func (m *reference) say(name string, a *referenceAlert, from, to, reason string, now, fired time.Time) {
	var lasted time.Duration
	if from == "firing" {
		lasted = max(0, now.Sub(fired))
	}
	clearing, flapping := "", !a.flappingSince.IsZero()
	switch {
	case reason == "limit":
		flapping = false
	case to == "inactive":
		clearing = a.clearing
	}
	m.told = append(m.told, fmt.Sprint(name, ": ", from, ">", to, " ", reason, " [", clearing, "] ", lasted, " ", flapping))
}

func (m *reference) notify(now time.Time) {
	for name, a := range m.all {
		muted := !a.flappingSince.IsZero()
		due := a.lastSent.Add(m.send.ResendDelay).Before(now)
		switch {
		case a.memoryOnly, a.state == "pending" && !muted:
			continue
		case muted:
		case a.state == "inactive" && a.over.After(a.lastSent), a.basis == "nodata" && a.missing.After(a.lastSent):
			due = true
		}
		if !due {
			continue
		}
		a.lastSent, a.valid = now, now.Add(4*max(m.send.Interval, m.send.ResendDelay))
		line := fmt.Sprint(name, " firing since ", stamp(a.fired), " until ", stamp(a.valid), " ", a.basis == "nodata" && a.state != "inactive")
		switch {
		case muted:
			line = fmt.Sprint(name, " flapping since ", stamp(a.flappingSince), " until ", stamp(a.valid))
		case a.state == "inactive":
			line = fmt.Sprint(name, " ended ", stamp(a.over), " [", a.clearing, "] ", max(0, a.over.Sub(a.fired)))
		}
		m.sent = append(m.sent, line)
	}
	slices.Sort(m.sent)
}

func (m *reference) alerts() []string {
	var out []string
	for name, a := range m.all {
		out = append(out, fmt.Sprint(name, " ", a.state, " ", a.basis, " ", a.value,
			stamp(a.active), stamp(a.fired), stamp(a.over), stamp(a.lastSent), stamp(a.missing), " ", !a.flappingSince.IsZero(), a.memoryOnly))
	}
	slices.Sort(out)
	return out
}

func keys(m map[string]reading) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
