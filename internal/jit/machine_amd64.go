package jit

import (
	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

// thisMachine returns what compiles for amd64 with the instructions that this processor has.
func thisMachine() machine {
	cpu := native.Features()
	if !cpu.AVX2 {
		return noMachine("machine code wants a processor with AVX2 and an operating system that allows it")
	}
	compile := func(p *kernel.Program) compiled {
		isa, name := amd64.AVX2, "avx2"
		if cpu.AVX512 && amd64.Choose(p) == amd64.AVX512 {
			isa, name = amd64.AVX512, "avx512"
		}
		c := amd64.Compile(p, isa)
		return compiled{bytes: c.Bytes, spill: c.Spill, isa: name}
	}
	return machine{compile: compile, arena: codeMemory}
}
