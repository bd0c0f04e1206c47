// Package ledger is one tenant's durable record: transitions of alerts, the state that alert instances are in, what
// receivers were told, what they still have to be told, and who acknowledged what.
//
// Guarantees:
//   - What Record, Enqueue, Settle, Acknowledge and their like returned nil for is on disk, synced, and survives kill -9
//     and the loss of power. A Record is there as a whole or not at all. Concurrent calls share one sync.
//   - Attempts to deliver (RecordDelivery) are on disk 100 ms later, or sooner.
//   - While the disk is full or read-only, Record says so and keeps what it was given in bounded memory, in order; the
//     ledger tries again by itself and goes on without a restart. What does not fit is dropped and counted: first
//     attempts to deliver, then transitions, the oldest first, the latest state of instances last of all.
//   - History answers from an index in memory, in milliseconds for a million transitions; pages stay stable while new
//     transitions arrive.
//
// The store is SQLite with a write-ahead log, used narrowly: a commit is one row of the table log with the batch in the
// encoding of rowencode.go; tables hold the current state of what changes in place. See schema.go.
//
// The package must not know HTTP, rules, PromQL or receivers. The alert engine is the only writer of transitions and
// instances, the notification pipeline of deliveries and the outbox.
package ledger
