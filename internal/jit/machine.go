package jit

import (
	"errors"
	"fmt"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

// machine is what compiles for the processor at hand, and makes memory for the code.
type machine struct {
	compile func(*kernel.Program) compiled
	// arena returns memory for code, of the kind that profilers look at where asked for. It fails where code cannot be run
	// here, with the reason.
	arena func(bytes int, profilers bool) (*native.Arena, error)
}

// compiled is a program as machine code.
type compiled struct {
	bytes []byte
	spill int    // 64-byte slots
	isa   string // which instructions, for people
}

// noMachine is the machine of processors that there is no encoder for.
func noMachine(why string) machine {
	return machine{arena: func(int, bool) (*native.Arena, error) { return nil, errors.New(why) }}
}

// codeMemory is the arena of machines that can run code.
func codeMemory(bytes int, profilers bool) (*native.Arena, error) {
	if profilers {
		return native.OpenForProfilers(bytes)
	}
	return native.Open(bytes)
}

// safely compiles p. A failure of the encoder is p's affair alone.
func (m machine) safely(p *kernel.Program) (c compiled, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("the encoder failed: %v", failure)
		}
	}()
	c = m.compile(p)
	if len(c.bytes) == 0 {
		err = errors.New("the encoder made no code")
	}
	return c, err
}
