// Package notify tells people. It embeds Alertmanager's own pipeline (routing, grouping, inhibition, silences, time
// intervals, templates, notification log, all receivers) behind one Notifier a tenant, serves Alertmanager's API v2, and
// forwards to external Alertmanagers as Prometheus does.
//
// It must not know rules, samples or how an alert came to be: alerts come in as values of package alert, deliveries go
// out as values of Delivery.
//
// Guarantees:
//   - Inhibition holds with group_wait 0s: an inhibiting alert that is in the same Send or POST as its targets, or in an
//     earlier one, is known before any of those targets can be flushed (sources.go).
//   - A silence that the API accepted is on disk before the answer leaves (api.go).
//   - Apply is all or nothing. Alerts, silences and the notification log outlive it, and a delivery that is under way is
//     not repeated because of it (flights.go).
//   - A receiver that hangs holds up its own aggregation group only, and for a bounded time only (attempt.go).
//
// Caveats: alerts themselves are not stored, as in Alertmanager: whoever sends them repeats them. The notification log is
// written with a short delay, so a crash within it may repeat a notification; it never loses one.
package notify
