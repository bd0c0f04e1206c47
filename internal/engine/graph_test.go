package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

func testRule(t testing.TB, kind rule.Kind, name, expr string, ls ...string) *rule.Rule {
	p, err := plan.NewCompiler(plan.Options{}).Compile(expr)
	require.NoError(t, err)
	return &rule.Rule{Kind: kind, Name: name, Plan: p, Labels: labels.FromStrings(ls...)}
}

func TestReaders(t *testing.T) {
	t.Parallel()
	rules := []*rule.Rule{
		testRule(t, rule.Recording, "a:r", "in", "team", "blue"),
		testRule(t, rule.Recording, "b:r", `a:r + a:r{x="1"} + a:r{team=~"b.*"}`),
		testRule(t, rule.Recording, "c:r", `a:r{team="red"}`),
		testRule(t, rule.Alerting, "A", `{__name__=~"[ab]:r"} > 1`, "severity", "page", "level", "{{ $value }}"),
		testRule(t, rule.Alerting, "B", `ALERTS{alertname="A", severity="page", level="7", alertstate="firing"}`),
		testRule(t, rule.Alerting, "C", `ALERTS_FOR_STATE{alertname!="A"}`),
		testRule(t, rule.Recording, "d:r", `{severity="info"}`),
		testRule(t, rule.Recording, "e:r", `{x="1"}`),
		testRule(t, rule.Recording, "f:r", `absent(c:r) or sum_over_time(b:r[5m:1m])`),
	}
	require.Equal(t, [][]int32{
		{1, 3, 6, 7},   // a:r
		{3, 6, 7, 8},   // b:r
		{6, 7, 8},      // c:r
		{4, 7},         // A: its severity is known not to be info
		{5, 6, 7},      // B
		{5, 6, 7},      // C
		{6, 7},         // d:r
		{6, 7}, {6, 7}, // e:r, f:r
	}, readersOf(rules, func() {}))
}

func TestCycles(t *testing.T) {
	t.Parallel()
	require.Empty(t, cyclesOf([][]int32{{1}, {2}, {}}))
	require.Equal(t, [][]int32{{0, 2, 3}, {5}}, cyclesOf([][]int32{{3}, {0}, {0, 4}, {2}, {}, {5}}))

	// Against the definition: a rule is in a cycle where it reaches itself.
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		n := 1 + r.IntN(12)
		edges := make([][]int32, n)
		for range r.IntN(2 * n) {
			from := r.IntN(n)
			edges[from] = append(edges[from], int32(r.IntN(n)))
		}
		got := map[int32]int{}
		for i, c := range cyclesOf(edges) {
			for _, m := range c {
				got[m] = i
			}
		}
		reach := func(from, to int32) bool { return reaches(edges, from, to, map[int32]bool{}) }
		for i := range int32(n) {
			_, in := got[i]
			require.Equal(t, reach(i, i), in, "%d in %v", i, edges)
			for j := range int32(n) {
				if _, also := got[j]; in && also && i != j {
					require.Equal(t, reach(i, j) && reach(j, i), got[i] == got[j], "%d and %d in %v", i, j, edges)
				}
			}
		}
	}
}

func reaches(edges [][]int32, from, to int32, seen map[int32]bool) bool {
	for _, next := range edges[from] {
		if next == to {
			return true
		}
		if !seen[next] {
			seen[next] = true
			if reaches(edges, next, to, seen) {
				return true
			}
		}
	}
	return false
}

func TestWanted(t *testing.T) {
	t.Parallel()
	rules := []*rule.Rule{
		testRule(t, rule.Recording, "a:r", "in"),
		testRule(t, rule.Recording, "b:r", "a:r"),
		testRule(t, rule.Alerting, "A", "b:r"),
		testRule(t, rule.Recording, "c:r", "in"),
		testRule(t, rule.Recording, "d:r", "c:r"),
		testRule(t, rule.Recording, "e:r", "in"),
		testRule(t, rule.Alerting, "S", "e:r"), // may not
	}
	may := []bool{true, true, true, true, true, true, false}
	require.Equal(t, []bool{true, true, true, false, false, false, false}, wantedOf(rules, readersOf(rules, func() {}), may))
}

// A chain as long as a large configuration does not exhaust anything.
func TestLongChains(t *testing.T) {
	t.Parallel()
	const n = 20_000
	var rules []*rule.Rule
	for i := range n {
		rules = append(rules, testRule(t, rule.Recording, fmt.Sprintf("r%d", i), fmt.Sprintf("r%d", (i+1)%n)))
	}
	start := time.Now()
	cycles := cyclesOf(readersOf(rules, func() {}))
	require.Len(t, cycles, 1)
	require.Len(t, cycles[0], n)
	require.Less(t, time.Since(start), 10*time.Second)
}

func TestBitset(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var b bitset
	model := map[int]bool{}
	for range 5000 {
		i := r.IntN(300)
		if r.IntN(2) == 0 {
			b.set(i)
			model[i] = true
		} else {
			b.unset(i)
			delete(model, i)
		}
		require.Equal(t, model[i], b.has(i))
		require.Equal(t, len(model), b.count())
		require.Equal(t, len(model) == 0, b.empty())
	}
	var all []int
	for i := b.next(0); i >= 0; i = b.next(i + 1) {
		all = append(all, i)
	}
	require.Len(t, all, len(model))
	require.True(t, slices.IsSorted(all))
}
