// Package chain simulates the whole way from a sample to a receiver in a bubble of fake time: samples, the rule engine on the
// compiled one, the ledger, the notifier, and receivers on a network in memory. A seed decides what happens: which values
// come when, when receivers refuse, hang or fail, when the disk takes nothing, and when the process is killed, at any
// moment or exactly between two steps. What came of it is compared with a reference model of alerts that shares no code with
// the engine, and with what is promised of delivery.
//
// It holds tests only. TOCSIN_SIMULATE_SEEDS says how many seeds to play, SEED which is the first. A seed decides all that the
// simulation does; what the notifier decides by chance (how long it waits before it tries again) and the order of what
// happens at one time are not the seed's, so that a failure may need a few attempts to come back.
package chain
