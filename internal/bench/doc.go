// Package bench measures tocsin on the machine it runs on: what the evaluation of rules costs on every tier, over the
// same samples in the same process, and how long a sample takes from the front door to a delivered notification, through
// the real binary.
//
// Every measurement of evaluations is checked: a tier whose results differ from upstream's is an error, not a figure. It
// must not know flags or where reports are written.
package bench
