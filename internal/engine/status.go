package engine

import (
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/rule"
)

// The health of a rule, spelled as the HTTP API spells it.
const (
	HealthUnknown = "unknown"
	HealthGood    = "ok"
	HealthBad     = "err"
)

// GroupStatus is one group as it was at a moment. It shares nothing that changes with the engine.
type GroupStatus struct {
	Name, File string
	Interval   time.Duration
	// Limit on the alerts or series of one rule; zero means none.
	Limit int
	// QueryOffset that evaluations use, the configuration's default included.
	QueryOffset time.Duration
	// Evaluation says when the rules are evaluated, defaults included.
	Evaluation Evaluation
	// LastEvaluation is when the last tick's evaluation began, by the clock; zero before the first.
	LastEvaluation time.Time
	// LastTimestamp is the slot that it evaluated.
	LastTimestamp time.Time
	// EvaluationTime is how long it took.
	EvaluationTime time.Duration
	// Rules in the order of the file.
	Rules []RuleStatus
}

// RuleStatus is one rule as it was at a moment.
type RuleStatus struct {
	// Rule is shared and immutable.
	Rule *rule.Rule
	// Health is HealthUnknown before the first evaluation, then HealthGood or HealthBad.
	Health string
	// LastError is why the health is bad, empty otherwise.
	LastError string
	// LastEvaluation is when the last evaluation began, by the clock; zero before the first.
	LastEvaluation time.Time
	EvaluationTime time.Duration
	// State is the most urgent of its alerts'; Inactive for recording rules.
	State alert.State
	// Alerts that are pending or firing, in the order in which they were first seen.
	Alerts []alert.Alert
	// TicksOnly says why the rule does not follow arrivals; empty where it does, and where nobody tells of them.
	TicksOnly string
}
