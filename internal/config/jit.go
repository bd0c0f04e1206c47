package config

import "fmt"

// JITMode says what is compiled to machine code.
type JITMode string

// The modes.
const (
	JITEager    JITMode = "eager"
	JITAdaptive JITMode = "adaptive"
	JITOff      JITMode = "off"
)

// The bounds of what can be asked for.
const (
	maxJITSize       = 1 * GiB
	maxCompileCPU    = 1023
	minNice, maxNice = -20, 19
)

// shorthand is the field that is meant where a scalar stands for the section.
func (*JIT) shorthand() string { return "mode" }

func (j JIT) problems() (out []problem) {
	bad := func(field, format string, args ...any) {
		out = append(out, problem{"jit." + field, fmt.Sprintf(format, args...)})
	}
	if j.Mode != JITEager && j.Mode != JITAdaptive && j.Mode != JITOff {
		bad("mode", "is %q where eager, adaptive or off is wanted", j.Mode)
	}
	for i, cpu := range j.CompileCPUs {
		if cpu < 0 || cpu > maxCompileCPU {
			bad(fmt.Sprintf("compile_cpus[%d]", i), "is %d; processors are numbered from 0 to %d", cpu, maxCompileCPU)
		}
	}
	if j.CompileNice < minNice || j.CompileNice > maxNice {
		bad("compile_nice", "is %d where a number from %d to %d is wanted", j.CompileNice, minNice, maxNice)
	}
	if j.MaxSize <= 0 || j.MaxSize > maxJITSize {
		bad("max_size", "must be more than 0 and at most 1GiB; use mode: off to have no machine code")
	}
	if j.HotAfter <= 0 {
		bad("hot_after", "must be more than 0; use mode: eager to compile everything")
	}
	if j.ColdAfter <= 0 {
		bad("cold_after", "must be more than 0")
	}
	return out
}
