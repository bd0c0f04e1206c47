//go:build linux

package native_test

import (
	"github.com/tocsin/tocsin/internal/jit/arm64"
	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

func compile(p *kernel.Program) []compiled {
	if !native.Features().NEON {
		return nil
	}
	c := arm64.Compile(p)
	return []compiled{{"NEON", c.Bytes, c.Spill}}
}
