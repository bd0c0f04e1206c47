//go:build linux && (amd64 || arm64)

package native

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
)

// random is seeded by the present time, or by TOCSIN_TEST_SEED to see a failure again.
func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if again := os.Getenv("TOCSIN_TEST_SEED"); again != "" {
		var err error
		seed, err = strconv.ParseUint(again, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("TOCSIN_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func opened(t testing.TB, bytes int, how func(int) (*Arena, error)) *Arena {
	t.Helper()
	a, err := how(bytes)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// openers are the ways to have an arena.
func openers(t testing.TB) map[string]func(int) (*Arena, error) {
	all := map[string]func(int) (*Arena, error){"sealed": Open, "for profilers": OpenForProfilers}
	if opened(t, 1<<20, Open).stale {
		t.Log("LOUD SKIP of OpenForProfilers: this emulator does not know the mremap that maps memory twice")
		delete(all, "for profilers")
	}
	return all
}

func add(t testing.TB, a *Arena, code []byte) *Function {
	t.Helper()
	f, err := a.Add(code)
	require.NoError(t, err)
	return f
}

// sum is the program that addParam stands for: input 0 plus parameter 0. It says to have so many inputs.
func sum(inputs int) *kernel.Program {
	b := kernel.NewBuilder()
	for i := range inputs {
		b.Load(i)
	}
	return b.Program(b.Do(kernel.Add, b.Load(0), b.Param()), b.Valid(0))
}

// block returns a block for sum(inputs): lane l of input 0 is l, and has a value where l is odd.
func block(words, inputs int) *kernel.Block {
	b := &kernel.Block{
		Words: words, Params: []float64{0.5}, In: make([]kernel.Input, inputs),
		V: make([]float64, words*kernel.WordLanes), OK: make([]uint64, words),
	}
	for i := range b.In {
		b.In[i] = kernel.Input{V: make([]float64, len(b.V)), OK: make([]uint64, words)}
	}
	for l := range b.In[0].V {
		b.In[0].V[l] = float64(l)
	}
	for w := range b.In[0].OK {
		b.In[0].OK[w] = 0xaaaaaaaaaaaaaaaa
	}
	return b
}

// requireSum holds the results of addParam on block.
func requireSum(t testing.TB, b *kernel.Block) {
	t.Helper()
	for l, v := range b.V[:b.Words*kernel.WordLanes] {
		if v != float64(l)+0.5 {
			require.Equal(t, float64(l)+0.5, v, "lane %d", l)
		}
	}
	require.Equal(t, b.In[0].OK[:b.Words], b.OK[:b.Words])
}

// codeMappings returns the lines of /proc/self/maps that show code memory.
func codeMappings(t testing.TB) []string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	var out []string
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "tocsin-code") || strings.Contains(line, "/dev/zero") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}
