// Package tocsin wires the rooms of the house into one server and is the API for embedding it.
//
// Guarantees that hold for everything below it:
//
//   - What Prometheus and Alertmanager accept is accepted with the same meaning, or named in a warning.
//   - A sample, push, silence or alert state that was acknowledged is still there after a crash.
//   - Notifications are delivered at least once; one receiver's trouble does not delay another's.
//   - One bad rule, file, target or receiver harms only itself.
//
// Caveats: there is one tenant, tenant.Default, in this version, and rules run on the upstream PromQL engine at the
// times at which Prometheus would evaluate them.
//
// The package must not do any room's work itself: it opens, connects, starts and stops.
package tocsin
