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
}

// Transition is one change of one instance's state.
type Transition struct {
	// File, Group and Rule say which rule; RuleID its version.
	File, Group, Rule, RuleID string
	From, To                  State
	Labels, Annotations       labels.Labels
	Value                     float64
	// ActiveAt is when the condition was first seen to hold, At the evaluation time of the change.
	ActiveAt, At time.Time
}

// Resolved reports whether the transition ends a firing alert.
func (t Transition) Resolved() bool { return t.From == Firing && t.To == Inactive }

// Outgoing is what the notification pipeline is told about one instance.
type Outgoing struct {
	Labels, Annotations labels.Labels
	StartsAt            time.Time
	// EndsAt is when it ended or, in the future, until when it is valid without being repeated.
	EndsAt time.Time
	// GeneratorURL leads back to the expression.
	GeneratorURL string
}
