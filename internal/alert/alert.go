// Package alert is the alert state machine of one rule as a pure function.
//
// It must not know clocks, storage, templates or notifications: time, evaluated samples and expanded labels come in as
// arguments, transitions go out as values.
package alert

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// State of one alert instance.
type State int

// The states, in order of urgency, as upstream orders them.
const (
	Inactive State = iota
	Pending
	Firing
)

// String returns the state as the HTTP API spells it.
func (s State) String() string {
	switch s {
	case Inactive:
		return "inactive"
	case Pending:
		return "pending"
	case Firing:
		return "firing"
	}
	panic("BUG: unknown alert state")
}

// Alert is one instance of an alerting rule.
type Alert struct {
	State State
	// Basis is what an active alert stands on; it is zero for an inactive one.
	Basis Basis
	// Reason is why the state last changed.
	Reason Reason
	// Labels identify the instance; alertname is among them.
	Labels      labels.Labels
	Annotations labels.Labels
	// Value is the expression's at the last evaluation that returned this instance.
	Value float64
	// ActiveAt is when the condition was first seen to hold.
	ActiveAt time.Time
	// FiredAt is when the instance last went from pending to firing; zero while it has not.
	FiredAt time.Time
	// ResolvedAt is when the instance last ceased to be active; zero while it is.
	ResolvedAt time.Time
	// LastSentAt is when it was last handed to the notification pipeline.
	LastSentAt time.Time
	// ValidUntil is when a receiver may take silence for recovery.
	ValidUntil time.Time
	// KeepFiringSince is when the condition cleared while keep_firing_for holds the alert; zero otherwise.
	KeepFiringSince time.Time
	// MissingSince is since when an active alert's series is known to be gone; zero otherwise.
	MissingSince time.Time
	// Clearing is what the expression was when the alert ended. Unknown while it is active.
	Clearing Reading
	// Flap is what flap detection knows of the alert; nil where there is nothing to know. It is immutable.
	Flap *Flap
}

// Flapping reports whether flap detection has the alert muted.
func (a *Alert) Flapping() bool { return a.Flap != nil && !a.Flap.Since.IsZero() }

// NoData reports whether the alert is active, its series gone, and people are to be shown that rather than its state.
func (a *Alert) NoData() bool { return a.State != Inactive && a.Basis == OnNoData }

// Reading is a value that may not be known. The zero value is unknown.
type Reading struct {
	Value float64
	Known bool
}

// Transition is one change of one instance's state, or a mark (see Mark).
type Transition struct {
	// File, Group and Rule say which rule; RuleID its version.
	File, Group, Rule, RuleID string
	From, To                  State
	Labels, Annotations       labels.Labels
	Value                     float64
	// ActiveAt is when the condition was first seen to hold, At the evaluation time of the change.
	ActiveAt, At time.Time
	Reason       Reason
	// Clearing is what the expression was when the alert ended, where that is known.
	Clearing Reading
	// Duration is how long the alert had been firing, where it was.
	Duration time.Duration
	// Flapping tells that the alert is muted as flapping after the change.
	Flapping bool
}

// Resolved reports whether the transition ends a firing alert.
func (t Transition) Resolved() bool { return t.From == Firing && t.To == Inactive }

// Mark reports whether the state is what it was and only something else about the alert changed, which Reason says.
func (t Transition) Mark() bool { return t.From == t.To }

// Outgoing is what the notification pipeline is told about one instance.
type Outgoing struct {
	Labels, Annotations labels.Labels
	StartsAt            time.Time
	// EndsAt is when it ended or, in the future, until when it is valid without being repeated.
	EndsAt time.Time
	// GeneratorURL leads back to the expression.
	GeneratorURL string
	// Reason is why the alert is in the state that it is in.
	Reason Reason
	// Clearing and Duration are of an alert that ended: what the expression was then, and how long it fired.
	Clearing Reading
	Duration time.Duration
	// NoData tells that the alert fires and its series is gone. Flapping tells that it changes all the time and counts as
	// firing until it is calm, whatever its state is by now.
	NoData, Flapping bool
}
