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
//   - A receiver that hangs holds up its own aggregation group only, and for a bounded time only (attempt.go); with a
//     ledger, it holds up nothing but the messages of its own lanes.
//
// With Options.Ledger there is an outbox between Alertmanager's pipeline and the integrations (outbox.go), and messages
// are delivered at least once, in order for each integration and aggregation group. The first attempt begins at once. Where
// it fails, takes more than 25 ms or cannot begin yet, the message is written to the ledger, in one commit with what the
// notification log will say of it (told.go); where it ends well before, only the latter is. The pipeline goes on when that
// commit is synced or the message is delivered, whichever is first. What was delivered is taken out of the ledger. After
// kill -9:
//
//   - before the commit is synced, the message is in no record: the alert is, and the pipeline tells of it anew;
//   - after it, and before the receiver took it, the message is delivered by the next process, and nothing else tells of it;
//   - after the receiver took it, and before that is synced, it is delivered a second time. This window, a few
//     milliseconds from the receiver's answer on, is the only one in which people are told twice, together with an
//     attempt that was under way: nobody can know what the receiver made of that one.
//   - after that, nothing is left to do, and the notification log knows.
//
// A message of a lane is never delivered after a later one of the same lane was. Where the ledger cannot write, the
// pipeline keeps the message until it is delivered, as in Alertmanager; what the ledger lacks then is written as soon as it
// can write again (outbox_owed.go), so that only a crash before that may tell it twice, or lose a "resolved".
//
// An integration that fails is asked less and less often (backoff.go), all of its lanes together when it fails again and
// again (circuit.go), and not before the time that its Retry-After names (retryafter.go). What it refuses is tried on, too,
// but holds up nothing behind it. What it does not take for Settings.DeadLetterAfter is a dead letter, and goes to the
// fallback receiver, if there is one (deadletter.go).
//
// Alerts that ended, have no data or are flapping carry annotations of ours (annotate.go).
//
// Caveats: alerts themselves are not stored here, as in Alertmanager: whoever sends them repeats them. Without a ledger,
// the notification log is written with a short delay, so a crash within it may repeat a notification; it never loses one.
package notify
