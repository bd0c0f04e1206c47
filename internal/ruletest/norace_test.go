//go:build !race

package ruletest

// underRace says that the race detector, which makes evaluation about ten times slower, is on.
const underRace = false
