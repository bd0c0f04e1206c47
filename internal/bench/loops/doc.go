// Package loops measures kernels by themselves: a few expressions over columns in memory, in vectorised Go (tier 1), as
// machine code (tier 2), and as loops in C where there is a compiler.
//
// All of them run in turn, round by round, on the same columns, so that what disturbs the machine disturbs them alike, and
// their results are compared before anything is timed. It must not know rules, series or where reports are written.
package loops
