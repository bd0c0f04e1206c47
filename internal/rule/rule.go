// Package rule reads rule files of every dialect into one validated rule model, and keeps each file's last good
// version while a newer one is broken.
//
// It must not know how rules are evaluated, scheduled or stored.
package rule

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/plan"
)

// Dialect names the language a rule file is written in.
type Dialect string

// The dialects: Prometheus's groups, and the flat list of simple rules.
const (
	Prometheus Dialect = "prometheus"
	Simple     Dialect = "simple"
)

// Kind says what a rule's result becomes.
type Kind string

// The kinds, spelled as the HTTP API spells them.
const (
	Alerting  Kind = "alerting"
	Recording Kind = "recording"
)

// Rule is one validated rule. It is immutable after load.
type Rule struct {
	Kind Kind
	// Name is the alert's name or the recorded metric's name.
	Name string
	Plan *plan.Plan
	// For is how long the condition holds before a pending alert fires.
	For time.Duration
	// KeepFiringFor is how long an alert fires on after its condition cleared.
	KeepFiringFor time.Duration
	// Labels are the rule's own, with the group's where the rule does not say otherwise. Values of alerting rules
	// are templates.
	Labels labels.Labels
	// Annotations are templates; empty for recording rules.
	Annotations labels.Labels
	// Line is where the rule stands in its file, from 1.
	Line int
	// Condition is the simple dialect's source text ("greater_than 80" for the operator words), empty in other
	// dialects.
	Condition string
	// Extension is what Prometheus's rules do not have; zero for most.
	Extension
	// ID is equal for two rules exactly when everything that decides their alerts' identity and timing is equal:
	// kind, name, expression, for, keep_firing_for, labels, annotations and what Extension says of clearing, missing series
	// and flapping. Alert state survives a reload when it is.
	ID string
}

// Extension is what tocsin adds to an alerting rule: a simple rule says it itself, a rule of Prometheus's in the side file
// (see SidePath).
type Extension struct {
	// Clear is hysteresis: an alert that fires resolves only when this returns its labels, once the rule's labels are
	// applied. Nil means that it resolves when Plan does not return them any more.
	Clear *plan.Plan
	// OnMissing is what becomes of an active alert whose series disappears.
	OnMissing alert.OnMissing
	// Present tells which series are there (see Present). It is set where Clear or OnMissing need it, nil otherwise.
	Present *plan.Plan
	// Flap is when an alert counts as flapping; zero means never.
	Flap Flap
	// Thresholds is the table that Plan was made with, nil where there is none.
	Thresholds *Thresholds
	// ExtendedIn is the place, file:line, of what says so in a side file.
	ExtendedIn string
}

// Flap says that an alert is flapping when it began to fire or ceased to more often than Transitions within Within.
type Flap struct {
	Transitions int
	Within      time.Duration
}

// Group is a list of rules that are evaluated together, in order, at one time.
type Group struct {
	Name string
	// File is the rule file's path as the configuration resolved it, or "builtin:<name>".
	File string
	// Interval between evaluations; zero means the configuration's default.
	Interval time.Duration
	// Limit on the alerts or series one rule may produce; zero means none.
	Limit int
	// QueryOffset moves evaluations into the past; nil means the configuration's default.
	QueryOffset *time.Duration
	Rules       []*Rule
}

// File is one loaded rule file.
type File struct {
	Path    string
	Dialect Dialect
	Groups  []*Group
	// Side is the path of the side file, empty where there is none.
	Side string
	// Hash is the hex SHA-256 of the content, with the side file's: the file's version.
	Hash string
	// LoadedAt is when a Set took this version into force; Parse, which knows no clock, leaves it zero.
	LoadedAt time.Time
	// Warnings say what was accepted and yet may not be what the author believes, one line each.
	Warnings []string
}

// RuleCount returns how many rules the file's groups hold.
func (f *File) RuleCount() int {
	n := 0
	for _, g := range f.Groups {
		n += len(g.Rules)
	}
	return n
}
