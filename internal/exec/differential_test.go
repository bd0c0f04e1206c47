package exec_test

import (
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// corpus is where rule files that others wrote stand, if they do.
const corpus = "../../../shared/corpora/rules"

// corpusExpressions returns each distinct expression of the corpus that compiles.
func corpusExpressions(t testing.TB) []string {
	var texts []string
	seen := map[string]bool{}
	compiler := plan.NewCompiler(plan.Options{})
	err := filepath.WalkDir(corpus, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "ml") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		groups, _ := rulefmt.Parse(content, true, model.UTF8Validation, compiler.Parser(), slog.New(slog.DiscardHandler))
		if groups == nil {
			return nil
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if seen[r.Expr] {
					continue
				}
				seen[r.Expr] = true
				if p, err := compiler.Compile(r.Expr); err == nil && p.Root() != nil {
					texts = append(texts, r.Expr)
				}
			}
		}
		return nil
	})
	if os.IsNotExist(err) {
		t.Skip("SKIPPED: the corpus of rule files is not on this machine")
	}
	require.NoError(t, err)
	return texts
}

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

// TestCorpus runs the expressions of rules that others wrote, over samples made up for their selectors, and holds every
// tick to upstream's result. A different part of the corpus comes first each time; TOCSIN_TEST_EVERYTHING=1 runs it all.
func TestCorpus(t *testing.T) {
	texts := corpusExpressions(t)
	seed := seedOf(t)
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	switch {
	case os.Getenv("TOCSIN_TEST_EVERYTHING") != "":
	case testing.Short():
		texts = texts[:100]
	default:
		texts = texts[:400]
	}
	compared, bailed := 0, 0
	reasons := map[string]int{}
	const together = 4
	for i := 0; i < len(texts); i += together {
		w := newWorld(t, r, texts[i:min(i+together, len(texts))]...)
		w.run(25)
		compared, bailed = compared+w.compared, bailed+w.bailed
		for reason, n := range w.reasons {
			reasons[reason] += n
		}
		if t.Failed() {
			t.Fatalf("seed %d, expressions from %d", seed, i)
		}
	}
	t.Logf("%d evaluations compared, %d left to tier 0: %v", compared, bailed, reasons)
	require.Less(t, bailed, compared/20)
}

// TestShapes runs expressions that put every operator against every other.
func TestShapes(t *testing.T) {
	seed := seedOf(t)
	compared, bailed := 0, 0
	worlds := uint64(150)
	if testing.Short() {
		worlds = 40
	}
	for i := range worlds {
		r := rand.New(rand.NewPCG(seed, i))
		w := newWorld(t, r, randomExpression(r, 3), randomExpression(r, 3), randomExpression(r, 2))
		w.run(20)
		compared, bailed = compared+w.compared, bailed+w.bailed
		if t.Failed() {
			t.Fatalf("seed %d, world %d", seed, i)
		}
	}
	t.Logf("%d evaluations compared, %d left to tier 0", compared, bailed)
	require.Less(t, bailed, compared)
}

// FuzzDifferential lets the fuzzer choose expressions and samples.
func FuzzDifferential(f *testing.F) {
	f.Add(uint64(1), uint64(2), `sum by (zone) (rate(m_total[1m])) / on (zone) group_left () count by (zone) (up) > 0.5`)
	f.Add(uint64(3), uint64(4), `histogram_quantile(0.9, sum by (le, zone) (rate(h_bucket[2m])))`)
	f.Add(uint64(5), uint64(6), `up == 0 or absent(up{zone="a"})`)
	f.Fuzz(func(t *testing.T, a, b uint64, text string) {
		p, err := plan.NewCompiler(plan.Options{}).Compile(text)
		if err != nil || p.Root() == nil || len(text) > 300 {
			t.Skip()
		}
		r := rand.New(rand.NewPCG(a, b))
		w := newWorld(t, r, text, randomExpression(r, 3))
		w.run(12)
	})
}
