package jit

import (
	"cmp"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Stats is what a library holds and did.
type Stats struct {
	Mode Mode
	// Kernels is how many distinct kernels are open, Shared how many runners beyond one each have them, Compiled how many
	// run in machine code, Waiting how many are to be compiled.
	Kernels, Shared, Compiled, Waiting int
	// CodeBytes is what machine code occupies, CodeReserved what the memory for it takes of the system.
	CodeBytes, CodeReserved int64
	// CompileTime is the processor time of compiling, on Linux; elsewhere it is by the clock on the wall.
	CompileTime time.Duration
	// Compiles counts the times that a kernel was compiled, Evictions those that one lost its code for want of use.
	Compiles, Evictions uint64
	// Refused counts the kernels that could not be compiled, by reason: full (Options.MaxKernels), memory
	// (Options.MaxCodeBytes, or the system has none), failed (a fault of the encoder), unsupported (nothing can be compiled
	// here). Each counts once, even if there was room for it later.
	Refused map[string]uint64
	// Interpreted and MachineCode are the work by tier.
	Interpreted, MachineCode Work
}

// Work is what was run in one tier.
type Work struct {
	Runs, Lanes uint64
	// Time is an estimate by those runs that were timed: of a runner's runs in machine code the first, for itself, and
	// every 64th after it, for 64; of interpreted runs all of 1,024 lanes and more, of the others the first, and every
	// eighth after it, for eight.
	Time time.Duration
}

// Stats returns the present numbers. It looks at every runner.
func (l *Library) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Mode: l.options.Mode, Kernels: len(l.kernels), Shared: l.runners - len(l.kernels), Compiled: l.compiled,
		CompileTime: time.Duration(l.spent.Load()), Compiles: l.compiles, Evictions: l.evictions,
		Refused: map[string]uint64{},
	}
	s.Waiting, _ = l.queue.waiting()
	if l.arena != nil {
		s.CodeBytes, s.CodeReserved = int64(l.arena.Used()), int64(l.arena.Reserved())
	}
	for why := granted + 1; why < refusals; why++ {
		s.Refused[why.String()] = l.refused[why].Load()
	}
	u, nanos := l.past, l.pastNanos
	for _, k := range l.kernels {
		for _, r := range k.runners {
			u.add(r.usage())
		}
		for t := range k.took {
			nanos[t] += k.took[t].total.Load()
		}
	}
	work := func(t int) Work {
		return Work{Runs: u[t].runs, Lanes: u[t].words * kernel.WordLanes, Time: time.Duration(nanos[t])}
	}
	s.Interpreted, s.MachineCode = work(interpreted), work(machineCode)
	return s
}

// KernelInfo is a kernel as people see it.
type KernelInfo struct {
	// ID is the kernel's, Expression what its first opener said it is for.
	ID, Expression string
	// Tier is 1 or 2. ISA is the set of instructions that it is compiled to: avx2, avx512 or neon; "" in tier 1. Reason
	// says why it is not compiled: as in Stats.Refused, off, waiting, or cold for one that is not worth it yet; "" in tier 2.
	Tier        int
	ISA, Reason string
	// Instructions is the size of the program, CodeBytes that of its machine code, 0 in tier 1.
	Instructions, CodeBytes int
	// Users is how many runners have it.
	Users int
	// Runs and Lanes are those of both tiers.
	Runs, Lanes uint64
	// NsPerLane is what a lane takes in the present tier by the runs that were timed, 0 where none was.
	NsPerLane float64
}

// Kernels describes all open kernels, in the order of their IDs.
func (l *Library) Kernels() []KernelInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]KernelInfo, 0, len(l.kernels))
	for _, k := range l.kernels {
		all = append(all, l.describe(k))
	}
	slices.SortFunc(all, func(a, b KernelInfo) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

func (l *Library) describe(k *shared) KernelInfo {
	i := KernelInfo{
		ID: k.id, Expression: k.expression, Tier: 1, Instructions: len(k.program.Code), Users: len(k.runners),
	}
	for _, u := range k.usage() {
		i.Runs += u.runs
		i.Lanes += u.words * kernel.WordLanes
	}
	t := &k.took[interpreted]
	if c := k.code.Load(); c != nil {
		i.Tier, i.ISA, i.CodeBytes = 2, c.isa, c.function.Size()
		t = &k.took[machineCode]
	} else {
		i.Reason = l.why(k)
	}
	if words := t.words.Load(); words > 0 {
		i.NsPerLane = float64(t.nanos.Load()) / float64(words*kernel.WordLanes)
	}
	return i
}

// why says why k is not compiled.
func (l *Library) why(k *shared) string {
	r := refusal(k.refusal.Load())
	switch {
	case l.options.Mode == Off:
		return "off"
	case l.arena == nil:
		return unsupported.String()
	case r != granted:
		return r.String()
	case k.waiting.Load():
		return "waiting"
	}
	return "cold"
}
