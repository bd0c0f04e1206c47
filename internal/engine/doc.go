// Package engine evaluates one tenant's rules: it keeps their groups, decides when each is due, runs them in order,
// records what they return, steps their alerts and tells who wants to know.
//
// A group is evaluated at its ticks and, unless it is strict, when samples arrive for its rules and when a `for` or
// keep_firing_for ends. docs/evaluation.md says exactly when.
//
// Semantics are Prometheus's: for a strict group, evaluation times, recorded samples, staleness markers and restored
// `for` state are the ones that its rule manager would have produced for the same files, groups and samples. Where the
// two differ on purpose, it says so at the place: Engine.Apply (state follows a rule that moved; removed alerts resolve
// at once) and Options.Notify (told after the samples are recorded, not before). Other groups are evaluated at the same
// times, and at others in between, each as Prometheus would at that time.
//
// An Engine owns goroutines between Start and Stop. A Group on its own owns none: it is evaluated when its caller says
// so, which is how rules are tested offline.
//
// The package must not know how an expression is run (that is EvalFunc, and Stream for what has arrived), how rule files
// are read, nor how a notification finds its receiver.
package engine
