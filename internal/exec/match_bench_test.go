package exec

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// matchBench is two inputs of n and n/fan series whose label i, or g for fan > 1, matches.
type matchBench struct {
	name    string
	n, fan  int
	shuffle bool
	b       plan.Binary
}

func matchBenches(n int) []matchBench {
	on := func(op plan.Operator, card plan.Cardinality, include ...string) plan.Binary {
		return plan.Binary{Op: op, On: true, Labels: []string{"i"}, Card: card, Include: include}
	}
	group := func(op plan.Operator, card plan.Cardinality, include ...string) plan.Binary {
		b := on(op, card, include...)
		b.Labels = []string{"g"}
		return b
	}
	truth := on(plan.Greater, plan.OneToOne)
	truth.Bool = true
	return []matchBench{
		{"div/straight", n, 1, false, on(plan.Div, plan.OneToOne)},
		{"div/shuffled", n, 1, true, on(plan.Div, plan.OneToOne)},
		{"pow/shuffled", n, 1, true, on(plan.Pow, plan.OneToOne)},
		{"greater/shuffled", n, 1, true, on(plan.Greater, plan.OneToOne)},
		{"greaterbool/shuffled", n, 1, true, truth},
		{"mul/group_left", n, 100, true, group(plan.Mul, plan.ManyToOne, "extra")},
		{"less/group_right", n, 100, true, group(plan.Less, plan.ManyToOne)},
		{"and/shuffled", n, 1, true, on(plan.And, plan.ManyToMany)},
		{"unless/grouped", n, 100, true, group(plan.Unless, plan.ManyToMany)},
		{"or/straight", n, 1, false, on(plan.Or, plan.ManyToMany)},
		{"or/shuffled", n, 1, true, on(plan.Or, plan.ManyToMany)},
	}
}

// build makes the operator with everything in place and nine lanes of ten valued.
func (c *matchBench) build() (operator, [2]*matchInput) {
	r := rand.New(rand.NewPCG(1, 2))
	in := [2]*matchInput{newMatchInput(true, true), newMatchInput(true, true)}
	order := [2][]int{make([]int, c.n), make([]int, c.n/c.fan)}
	for s := range in {
		for i := range order[s] {
			order[s][i] = i
		}
		if c.shuffle {
			r.Shuffle(len(order[s]), func(i, j int) { order[s][i], order[s][j] = order[s][j], order[s][i] })
		}
		for _, i := range order[s] {
			g := i
			if s == 0 {
				g = i / c.fan
			}
			lane := in[s].add(labels.FromStrings("__name__", fmt.Sprint("m", s), "i", fmt.Sprint(i), "g", fmt.Sprint(g), "extra", fmt.Sprint("e", s, i)))
			if c.shuffle && r.IntN(10) == 0 {
				continue
			}
			in[s].set(lane, r.Float64())
		}
		in[s].refill()
	}
	n := &plan.Node{Op: plan.Match, Binary: &c.b}
	if c.b.Op >= plan.And {
		return newSet(n, []operator{in[0], in[1]}, nil), in
	}
	return newMatch(n, []operator{in[0], in[1]}, nil), in
}

// stir changes some values of a tenth of the words.
func (c *matchBench) stir(r *rand.Rand, in [2]*matchInput) {
	for s := range in {
		in[s].marks.Clear()
		n := in[s].own.Len()
		for range max(n/640, 1) {
			in[s].set(uint32(r.IntN(n)), r.Float64())
		}
	}
}

func TestMatchAndSetAllocateNothing(t *testing.T) {
	for _, c := range matchBenches(10_000) {
		t.Run(c.name, func(t *testing.T) {
			op, in := c.build()
			r := rand.New(rand.NewPCG(1, 3))
			run := func() {
				op.bind()
				require.NoError(t, op.full(0))
				for range 3 {
					c.stir(r, in)
					op.out().marks.Clear()
					op.bind()
					require.NoError(t, op.update(0))
				}
			}
			run() // buffers of marks grow
			for range 20 {
				run()
			}
			require.Zero(t, testing.AllocsPerRun(10, run))
		})
	}
}

func BenchmarkMatchFull(b *testing.B) {
	for _, c := range matchBenches(100_000) {
		b.Run(c.name, func(b *testing.B) {
			op, _ := c.build()
			for b.Loop() {
				op.bind()
				if err := op.full(0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.n), "ns/lane")
		})
	}
}

// BenchmarkMatchUpdate changes one lane in a tenth of the words of either side.
func BenchmarkMatchUpdate(b *testing.B) {
	for _, c := range matchBenches(100_000) {
		b.Run(c.name, func(b *testing.B) {
			op, in := c.build()
			if err := op.full(0); err != nil {
				b.Fatal(err)
			}
			r := rand.New(rand.NewPCG(1, 3))
			for b.Loop() {
				b.StopTimer()
				c.stir(r, in)
				op.out().marks.Clear()
				b.StartTimer()
				op.bind()
				if err := op.update(0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.n/64/10*2), "ns/marked-word")
		})
	}
}

// BenchmarkMatchBind binds all series of an operator that knows none.
func BenchmarkMatchBind(b *testing.B) {
	for _, c := range matchBenches(100_000) {
		b.Run(c.name, func(b *testing.B) {
			_, in := c.build()
			for b.Loop() {
				n := &plan.Node{Op: plan.Match, Binary: &c.b}
				if c.b.Op >= plan.And {
					newSet(n, []operator{in[0], in[1]}, nil)
				} else {
					newMatch(n, []operator{in[0], in[1]}, nil)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.n), "ns/lane")
		})
	}
}
