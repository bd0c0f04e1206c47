package jit

import (
	"github.com/tocsin/tocsin/internal/jit/arm64"
	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

// thisMachine returns what compiles for arm64.
func thisMachine() machine {
	if !native.Features().NEON {
		return noMachine("machine code wants a processor with NEON")
	}
	compile := func(p *kernel.Program) compiled {
		c := arm64.Compile(p)
		return compiled{bytes: c.Bytes, spill: c.Spill, isa: "neon"}
	}
	return machine{compile: compile, arena: codeMemory}
}
