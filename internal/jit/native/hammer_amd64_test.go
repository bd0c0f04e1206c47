//go:build linux

package native_test

import (
	"github.com/tocsin/tocsin/internal/jit/amd64"
	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

func compile(p *kernel.Program) (out []compiled) {
	cpu := native.Features()
	if cpu.AVX2 {
		c := amd64.Compile(p, amd64.AVX2)
		out = append(out, compiled{"AVX2", c.Bytes, c.Spill})
	}
	if cpu.AVX512 {
		c := amd64.Compile(p, amd64.AVX512)
		out = append(out, compiled{"AVX-512", c.Bytes, c.Spill})
	}
	return out
}
