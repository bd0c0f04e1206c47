// Package jit is the library of kernels: whoever has a kernel.Program opens it here, and gets a runner that computes in
// machine code as soon as there is some, in vectorised Go until then.
//
// Programs of equal key share one kernel. A kernel always has its interpreter, and so always runs; compiling happens in
// one worker goroutine, off the evaluation path, and what it made is swapped in between two runs. Code may be taken away
// again at any time, by a change of settings, for want of use, or with the kernel's last runner: never under a run, whose
// results are the same bit for bit with and without. What cannot be compiled is counted by reason, named once in the log,
// and interpreted. Without executable memory, or on a processor that no encoder serves, that holds for everything.
//
// The package must not know rules, expressions (but as text for people), labels, time of samples, or what columns mean;
// nor how instructions are encoded and code memory is made: that is known to amd64, arm64 and native.
package jit
