package jit

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

// nasty is numbers and bits that go wrong easily, of which columns are cut: to make new ones for every program would take
// longer than to run it.
type nasty struct {
	v  []float64
	ok []uint64
}

func newNasty(r *rand.Rand) *nasty {
	n := &nasty{v: make([]float64, 4*kernel.MaxWords*kernel.WordLanes), ok: make([]uint64, 4*kernel.MaxWords)}
	for i := range n.v {
		n.v[i] = kerneltest.Number(r)
	}
	for i := range n.ok {
		n.ok[i] = r.Uint64()
		switch r.IntN(8) {
		case 0:
			n.ok[i] = 1<<64 - 1
		case 1:
			n.ok[i] = 0
		}
	}
	return n
}

// block returns a block of so many lanes. Where they fill no whole words, the last bits of OK are clear, as in columns.
func (n *nasty) block(r *rand.Rand, p *kernel.Program, lanes int) *kernel.Block {
	words := (lanes + kernel.WordLanes - 1) / kernel.WordLanes
	b := &kernel.Block{Words: words, OK: make([]uint64, words)}
	for range p.Inputs {
		at := r.IntN(len(n.v) - words*kernel.WordLanes)
		in := kernel.Input{V: n.v[at:][:words*kernel.WordLanes]}
		in.OK = append(in.OK, n.ok[r.IntN(len(n.ok)-words):][:words]...)
		if part := lanes % kernel.WordLanes; part != 0 {
			in.OK[words-1] &= 1<<part - 1
		}
		b.In = append(b.In, in)
	}
	for range p.Params {
		b.Params = append(b.Params, n.v[r.IntN(len(n.v))])
	}
	if p.Value != kernel.None {
		b.V = make([]float64, words*kernel.WordLanes)
	}
	return b
}

// compare runs p through r and the interpreter. Sometimes the results stand where an input stands.
func (n *nasty) compare(r *rand.Rand, p *kernel.Program, runner kernel.Runner, oracle *kernel.Interpreter, lanes int) string {
	want := n.block(r, p, lanes)
	got := kerneltest.Clone(want)
	if r.IntN(4) == 0 {
		got.In = append([]kernel.Input(nil), got.In...)
		in := &got.In[r.IntN(len(got.In))]
		in.V, in.OK = append([]float64(nil), in.V...), append([]uint64(nil), in.OK...)
		if got.V != nil {
			got.V = in.V
		}
		got.OK = in.OK
	}
	oracle.Run(want)
	runner.Run(got)
	return kerneltest.Differ(p, want, got)
}

// TestDifferential runs random programs in machine code and interpreted, at 0, 1, 2, 16 and sometimes 1,024 words, the last
// of which is often partial: 100,000 programs, none twice, or as many as TOCSIN_DIFFERENTIAL says.
func TestDifferential(t *testing.T) {
	programs := 100_000
	if testing.Short() || raceDetector {
		programs = 5_000
	}
	if more := os.Getenv("TOCSIN_DIFFERENTIAL"); more != "" {
		var err error
		programs, err = strconv.Atoi(more)
		require.NoError(t, err)
	}
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	n := newNasty(r)
	l := open(t, Options{})
	const batch = 500
	lanes, instructions := uint64(0), 0
	known := map[string]bool{}
	for done := 0; done < programs; done += batch {
		ps, runners := make([]*kernel.Program, batch), make([]kernel.Runner, batch)
		for i := range ps {
			for ps[i] == nil || known[idOf(ps[i].Key())] {
				ps[i] = kerneltest.Program(r, 1+r.IntN(100))
			}
			known[idOf(ps[i].Key())] = true
			instructions += len(ps[i].Code)
			runners[i] = l.Open(ps[i], "random")
		}
		warm(t, l)
		for i, p := range ps {
			if runners[i].Tier() != 2 {
				t.Fatalf("not compiled:\n%s", p)
			}
			sizes := []int{0, 1, []int{63, 64, 65}[r.IntN(3)], []int{128, 127}[r.IntN(2)], []int{1023, 1024, 1000}[r.IntN(3)]}
			if (done+i)%500 == 0 {
				sizes = append(sizes, []int{65_535, 65_536}[r.IntN(2)])
			}
			oracle := kernel.NewInterpreter(p)
			for _, size := range sizes {
				lanes += uint64(size)
				if d := n.compare(r, p, runners[i], oracle, size); d != "" {
					t.Fatalf("seed %d, program %d, %d lanes, interpreted and compiled: %s", seed, done+i, size, d)
				}
			}
			runners[i].Close()
		}
	}
	s := l.Stats()
	require.Equal(t, uint64(programs), s.Compiles)
	require.Zero(t, s.Interpreted.Runs)
	require.Zero(t, s.CodeBytes)
	t.Logf("%d programs of %d instructions, %d lanes compared", programs, instructions, lanes)
}

// FuzzDifferential is the same for what a fuzzer chooses.
func FuzzDifferential(f *testing.F) {
	n := newNasty(rand.New(rand.NewPCG(10, 10)))
	for i := range uint64(8) {
		f.Add(i, uint16(i*40), uint16(i*i*i))
	}
	l := open(f, Options{})
	f.Fuzz(func(t *testing.T, seed uint64, size, lanes uint16) {
		r := rand.New(rand.NewPCG(seed, uint64(size)))
		p := kerneltest.Program(r, 1+int(size%400))
		runner := l.Open(p, "fuzzed")
		defer runner.Close()
		warm(t, l)
		if runner.Tier() != 2 {
			t.Fatalf("not compiled:\n%s", p)
		}
		if d := n.compare(r, p, runner, kernel.NewInterpreter(p), int(lanes)); d != "" {
			t.Fatal(d)
		}
	})
}
