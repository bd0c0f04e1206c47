//go:build linux && (amd64 || arm64)

package native_test

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// compiled is one encoder's code for a program.
type compiled struct {
	encoder string
	bytes   []byte
	spill   int
}

// blow is a program to run again and again, with what must come out.
type blow struct {
	compiled
	program  *kernel.Program
	block    *kernel.Block // results computed by the interpreter
	function *native.Function
}

// guard is what stands in the word after a result's last, before and after each run.
const guard = 0x5aa5c33c0ff01234

// TestHammer runs kernels as often as TOCSIN_HAMMER_CALLS says, for two seconds where it says nothing, while everything
// goes on around them that can get in the way of machine code: collections, profiling and tracing signals, dumps of all
// stacks, stacks that grow and shrink, code that comes and goes in the same memory. Each result is held to the
// interpreter's.
func TestHammer(t *testing.T) {
	h := &hammer{seed: seed(t), deadline: time.Now().Add(2 * time.Second), calls: math.MaxInt64}
	if calls := os.Getenv("TOCSIN_HAMMER_CALLS"); calls != "" {
		n, err := strconv.ParseInt(calls, 10, 64)
		require.NoError(t, err)
		h.calls, h.deadline = n, time.Now().Add(24*time.Hour)
	}
	before := codeMappings(t)
	arena, err := native.Open(4 << 20)
	require.NoError(t, err)
	h.arena = arena
	h.prepare(t)
	stop := disturb(t)
	var workers sync.WaitGroup
	for n := range uint64(6) {
		workers.Go(func() { h.work(rand.New(rand.NewPCG(h.seed, 2+n))) })
	}
	workers.Wait()
	stop()
	if wrong := h.wrong.Load(); wrong != nil {
		t.Fatal(*wrong)
	}
	t.Logf("%d calls, %d at the bottom of a grown stack, %d of code just added", h.done.Load(), h.deep.Load(), h.added.Load())
	require.Positive(t, h.deep.Load())
	require.True(t, h.added.Load() > 0 || arena.Stale())
	for i := range h.blows {
		h.blows[i].function.Free()
	}
	require.Zero(t, arena.Used())
	require.Zero(t, arena.Reserved())
	require.Equal(t, before, codeMappings(t), "no code memory is left, even before Close")
	require.NoError(t, arena.Close())
}

type hammer struct {
	seed     uint64
	deadline time.Time
	calls    int64 // as many as are wanted
	arena    *native.Arena
	blows    []blow

	done, deep, added atomic.Int64
	wrong             atomic.Pointer[string] // the first failure
}

// prepare compiles random programs, in all ways that run here.
func (h *hammer) prepare(t *testing.T) {
	r := rand.New(rand.NewPCG(h.seed, 1))
	for n := range 40 {
		p := kerneltest.Program(r, 1+r.IntN(60))
		words := 1 + r.IntN(10)
		if n%10 == 0 {
			words = 100 // long enough for many a signal to arrive in it
		}
		b := kerneltest.Block(r, p, words)
		kernel.NewInterpreter(p).Run(b)
		for _, c := range compile(p) {
			f, err := h.arena.Add(c.bytes)
			require.NoError(t, err)
			h.blows = append(h.blows, blow{c, p, b, f})
		}
	}
	if len(h.blows) == 0 {
		t.Skip("LOUD SKIP: there is no encoder for this processor")
	}
}

func (h *hammer) work(r *rand.Rand) {
	blocks := make([]*kernel.Block, len(h.blows))
	for i := range blocks {
		blocks[i] = guarded(h.blows[i].block)
	}
	for h.wrong.Load() == nil && time.Now().Before(h.deadline) && h.done.Add(64)-64 < h.calls {
		for range 64 {
			i := r.IntN(len(h.blows))
			hit, b := &h.blows[i], blocks[i]
			switch r.IntN(64) {
			case 0:
				h.fromBelow(hit, b, 20+r.IntN(400))
			case 1:
				if !h.arena.Stale() {
					h.afresh(hit, b)
				}
			default:
				h.run(hit, hit.function, b)
			}
		}
	}
}

// run runs the function over b, and looks at every lane.
func (h *hammer) run(hit *blow, f *native.Function, b *kernel.Block) {
	for i := range b.OK {
		b.OK[i] = guard
	}
	for i := range b.V {
		b.V[i] = math.Float64frombits(guard)
	}
	f.Run(b, hit.program, hit.spill)
	diff := kerneltest.Differ(hit.program, hit.block, b)
	for _, v := range b.V[min(len(b.V), b.Words*kernel.WordLanes):] {
		if math.Float64bits(v) != guard {
			diff = "a run wrote values behind its last word\n" + hit.program.String()
		}
	}
	if b.OK[b.Words] != guard {
		diff = "a run wrote a bitmap behind its last word\n" + hit.program.String()
	}
	if diff != "" {
		diff = hit.encoder + ": " + diff
		h.wrong.CompareAndSwap(nil, &diff)
	}
}

// fromBelow runs at the bottom of a recursion in a new goroutine, whose stack grows on the way.
func (h *hammer) fromBelow(hit *blow, b *kernel.Block, depth int) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		descend(depth, func() { h.run(hit, hit.function, b) })
	}()
	<-done
	h.deep.Add(1)
}

//go:noinline
func descend(depth int, then func()) byte {
	var frame [200]byte
	frame[depth%len(frame)] = byte(depth)
	if depth == 0 {
		then()
		return frame[0]
	}
	return descend(depth-1, then) + frame[depth%len(frame)]
}

// afresh runs a copy of the code, in memory that other code may have just left.
func (h *hammer) afresh(hit *blow, b *kernel.Block) {
	f, err := h.arena.Add(hit.bytes)
	if err != nil {
		why := err.Error()
		h.wrong.CompareAndSwap(nil, &why)
		return
	}
	h.run(hit, f, b)
	f.Free()
	h.added.Add(1)
}

// guarded returns b with results of its own, a word longer than the run.
func guarded(b *kernel.Block) *kernel.Block {
	c := kerneltest.Clone(b)
	c.OK = make([]uint64, b.Words+1)
	if c.V != nil {
		c.V = make([]float64, (b.Words+1)*kernel.WordLanes)
	}
	return c
}

// disturb starts all that may get in the way, and returns what ends it.
func disturb(t *testing.T) (stop func()) {
	var profile bytes.Buffer
	runtime.SetCPUProfileRate(1000) // StartCPUProfile wants another rate, complains that this one is set, and keeps it.
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Logf("LOUD: no CPU profile of this test's own: %v", err)
	}
	if err := trace.Start(io.Discard); err != nil {
		t.Logf("LOUD: no execution trace of this test's own: %v", err)
	}
	var over atomic.Bool
	var all sync.WaitGroup
	forever := func(what func()) {
		all.Go(func() {
			for !over.Load() {
				what()
			}
		})
	}
	forever(runtime.GC)
	garbage := make([][]byte, 64)
	n := 0
	forever(func() {
		garbage[n%len(garbage)] = make([]byte, 1+n%10_000)
		if n++; n%100 == 0 {
			time.Sleep(50 * time.Microsecond)
		}
	})
	stacks := make([]byte, 1<<20)
	forever(func() {
		runtime.Stack(stacks, true)
		time.Sleep(5 * time.Millisecond)
	})
	return func() {
		over.Store(true)
		all.Wait()
		trace.Stop()
		pprof.StopCPUProfile()
	}
}

// codeMappings returns the lines of /proc/self/maps that show code memory.
func codeMappings(t *testing.T) (out []string) {
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "tocsin-code") {
			out = append(out, line)
		}
	}
	return out
}

// seed is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return seed
}
