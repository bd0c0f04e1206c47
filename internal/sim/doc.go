// Package sim is the outside world of end-to-end tests: receivers that record what they were sent and misbehave on
// command, and a scrape target whose metrics the test sets. All of them are real servers on a loopback port of their
// own or, where fake time is to be theirs, on a Network in memory.
//
// Each has New…, which listens at once, and Close, which ends its connections and goroutines and may be called twice.
// All methods may be called from several goroutines at a time.
//
// It must not know tocsin: what it checks of a payload is what the protocol's documentation says. Nothing but tests
// imports it.
package sim
