package jit

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tocsin/tocsin/internal/jit/native"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seedOf is the present time, or TOCSIN_TEST_SEED to see a failure again.
func seedOf(t testing.TB) uint64 {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d", seed)
	return seed
}

// here returns what compiles on this machine; where nothing does, the test has nothing to say.
func here(t testing.TB) machine {
	m := thisMachine()
	arena, err := m.arena(DefaultMaxCodeBytes, false)
	if err != nil {
		t.Skipf("SKIPPED: no machine code here: %v", err)
	}
	require.NoError(t, arena.Close())
	return m
}

// open returns a library on this machine that is closed with the test.
func open(t testing.TB, o Options) *Library {
	return openOn(t, o, here(t), watch())
}

func openOn(t testing.TB, o Options, m machine, clock func() time.Duration) *Library {
	l := newLibrary(o, m, clock)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func watch() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// warm waits until l has compiled all that it wants to.
func warm(t testing.TB, l *Library) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, l.WarmUp(ctx))
}

// nth returns programs that differ for all n.
func nth(n int) *kernel.Program {
	b := kernel.NewBuilder()
	x := b.Load(0)
	mask := b.Do(kernel.Less, b.Param(), x)
	value := x
	for ; n > 0; n /= 2 {
		op := kernel.Add
		if n%2 == 1 {
			op = kernel.Mul
		}
		value = b.Do(op, value, x)
	}
	return b.Program(value, b.Do(kernel.And, mask, b.Valid(0)))
}

// same runs r and the interpreter on equal columns and wants equal results.
func same(t testing.TB, random *rand.Rand, p *kernel.Program, r kernel.Runner, words int) {
	t.Helper()
	got := kerneltest.Block(random, p, words)
	want := kerneltest.Clone(got)
	r.Run(got)
	kernel.NewInterpreter(p).Run(want)
	if d := kerneltest.Differ(p, got, want); d != "" {
		t.Fatalf("%s in tier %d and interpreted: %s", r.ID(), r.Tier(), d)
	}
}

// logs is a log to look at.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.buf.String(), "\n"), "\n")
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// executable counts this process's mappings that can be executed.
func executable(t testing.TB) int {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("SKIPPED: no list of mappings: %v", err)
	}
	n := 0
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.Contains(fields[1], "x") {
			n++
		}
	}
	return n
}

// noMemory is this machine without executable memory.
func noMemory(m machine, err error) machine {
	m.arena = func(int, bool) (*native.Arena, error) { return nil, err }
	return m
}
