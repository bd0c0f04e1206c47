package jit

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
)

// shared is a kernel and all who run it.
type shared struct {
	id, expression string
	program        *kernel.Program
	interpreter    *kernel.Interpreter

	// code is what runs use, nil while the kernel is interpreted. It is changed by those who hold the library's mu.
	code atomic.Pointer[code]
	// waiting says that the kernel is in the queue or is being compiled.
	waiting atomic.Bool
	// refusal is why the kernel is not compiled, granted where nothing is in the way.
	refusal atomic.Int32
	// named says that the kernel's refusal stands in the log and in the counters.
	named atomic.Bool
	// heat is the nanoseconds that interpreting cost since the kernel was last without code.
	heat atomic.Int64

	// took is what timed runs took, by tier.
	took [tiers]took

	// What follows is guarded by the library's mu.

	runners []*runner
	past    usage // of runners of this kernel that were closed
	// seenRuns and seenAt say when the kernel was last seen to have run, as the library's clock has it.
	seenRuns uint64
	seenAt   time.Duration
}

// code is what a kernel was compiled to.
type code struct {
	function *native.Function
	spill    int    // 64-byte slots
	isa      string // which instructions, for people
}

// idDigits is how many hexadecimal digits an ID has: among 10,000 kernels, two have the same in one of 20,000 libraries.
const idDigits = 10

// idOf names the kernel of that key.
func idOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "k" + hex.EncodeToString(sum[:])[:idDigits]
}

func newShared(p *kernel.Program, expression string) *shared {
	return &shared{
		id: idOf(p.Key()), expression: expression, program: p, interpreter: kernel.NewInterpreter(p),
	}
}

// tier returns 1 or 2.
func (k *shared) tier() int {
	if k.code.Load() != nil {
		return 2
	}
	return 1
}

// withdraw takes the code away from runs and returns it once none uses it. The caller holds the library's mu.
func (k *shared) withdraw() *code {
	c := k.code.Swap(nil)
	if c == nil {
		return nil
	}
	k.heat.Store(0)
	for _, r := range k.runners {
		// A run that begins now finds no code, so this is over as soon as runs that are under way are.
		for n := 0; r.busy(); n++ {
			if n < spins {
				runtime.Gosched()
			} else {
				time.Sleep(pause)
			}
		}
	}
	return c
}

// A run takes less than 100 µs, unless its goroutine waits for a processor.
const (
	spins = 100
	pause = 20 * time.Microsecond
)
