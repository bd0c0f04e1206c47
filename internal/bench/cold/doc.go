// Package cold measures what compiling rules to machine code buys and costs, each way of running them in a process of its
// own that starts from nothing.
//
// Run starts the processes one after the other and collects; RunScenario is what such a process does. Package chart draws
// what they measured. It must not know flags or terminals.
package cold
