package jit

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Mode says when kernels are compiled.
type Mode uint8

const (
	// Eager compiles a kernel as soon as it is opened.
	Eager Mode = iota
	// Adaptive compiles a kernel once interpreting it has cost Options.HotAfter, and gives the memory of its code back
	// once it has not run for Options.ColdAfter.
	Adaptive
	// Off compiles nothing.
	Off
)

// String returns the mode's name as ParseMode reads it.
func (m Mode) String() string {
	switch m {
	case Eager:
		return "eager"
	case Adaptive:
		return "adaptive"
	case Off:
		return "off"
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode returns the mode of that name: eager, adaptive or off.
func ParseMode(s string) (Mode, error) {
	for m := Eager; m <= Off; m++ {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("there is no mode %q of the kernel compiler; write eager, adaptive or off", s)
}

// The defaults and bounds of Options.
const (
	DefaultMaxCodeBytes = 64 << 20
	DefaultMaxKernels   = 100_000
	DefaultHotAfter     = 10 * time.Millisecond
	DefaultColdAfter    = 10 * time.Minute

	maxCodeBytes = 1 << 30
	maxCPU       = 1023 // the highest number that a kernel's default CPU mask has room for
	minNice      = -20
	maxNice      = 19
)

// Options are a library's settings. The zero value is usable: it compiles eagerly.
type Options struct {
	// Mode says when kernels are compiled.
	Mode Mode
	// CompileCPUs are the processors that the compile worker's thread may run on, all that the process may where empty.
	CompileCPUs []int
	// CompileNice is the nice value of the compile worker's thread, from -20 to 19, 0 for the
	// process's own. A thread that hardly ever gets a processor can keep the collector of garbage waiting, so where
	// others keep all processors busy, prefer CompileCPUs to a high value. Both work on Linux only.
	CompileNice int
	// MaxCodeBytes bounds the memory of machine code, 64 MiB where 0. It is reserved as addresses at once, as memory when
	// code is written.
	MaxCodeBytes int64
	// MaxKernels bounds the kernels that are compiled or wait for it, 100,000 where 0. More run, but interpreted.
	MaxKernels int
	// HotAfter is how much interpreting a kernel costs before the adaptive mode compiles it, 10 ms where 0.
	HotAfter time.Duration
	// ColdAfter is for how long a compiled kernel has not run before the adaptive mode takes its code away, 10 min
	// where 0.
	ColdAfter time.Duration
	// PerfMap lets Linux perf name kernels: each one that is compiled is entered in /tmp/perf-PID.map, and code stands in
	// memory that perf looks at, see native.OpenForProfilers. One library of a process may do that.
	PerfMap bool
	// Logger is told what an operator has to know, nothing where nil.
	Logger *slog.Logger
}

// Validate says which setting is out of its bounds.
func (o Options) Validate() error {
	for _, cpu := range o.CompileCPUs {
		if cpu < 0 || cpu > maxCPU {
			return fmt.Errorf("processor %d to compile on: must be from 0 to %d", cpu, maxCPU)
		}
	}
	switch {
	case o.Mode > Off:
		return fmt.Errorf("there is no mode %d of the kernel compiler", o.Mode)
	case o.CompileNice < minNice || o.CompileNice > maxNice:
		return fmt.Errorf("nice value %d to compile with: must be from %d to %d", o.CompileNice, minNice, maxNice)
	case o.MaxCodeBytes < 0 || o.MaxCodeBytes > maxCodeBytes:
		return fmt.Errorf("%d bytes of machine code: must be from 0 (the default) to %d", o.MaxCodeBytes, maxCodeBytes)
	case o.MaxKernels < 0:
		return fmt.Errorf("%d kernels at most: must not be negative", o.MaxKernels)
	case o.HotAfter < 0 || o.ColdAfter < 0:
		return fmt.Errorf("hot after %s, cold after %s: must not be negative", o.HotAfter, o.ColdAfter)
	}
	return nil
}

// withDefaults returns o with all that is 0 by default filled in.
func (o Options) withDefaults() Options {
	if o.MaxCodeBytes == 0 {
		o.MaxCodeBytes = DefaultMaxCodeBytes
	}
	if o.MaxKernels == 0 {
		o.MaxKernels = DefaultMaxKernels
	}
	if o.HotAfter == 0 {
		o.HotAfter = DefaultHotAfter
	}
	if o.ColdAfter == 0 {
		o.ColdAfter = DefaultColdAfter
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.CompileCPUs = slices.Clone(o.CompileCPUs)
	return o
}

// pinned reports whether the compile worker needs a thread of its own.
func (o Options) pinned() bool { return len(o.CompileCPUs) > 0 || o.CompileNice != 0 }
