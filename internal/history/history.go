// Package history keeps one tenant's samples in an embedded Prometheus TSDB and runs the upstream PromQL engine over
// them: queries for people, and tier 0 for rules.
//
// It must not know where samples come from, what rules are, or who is told.
package history
