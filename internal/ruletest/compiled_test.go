package ruletest

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
)

// twofold evaluates every rule on the compiled engine and on upstream's, and collects where they differ.
type twofold struct {
	mu             sync.Mutex // guards all below: test cases run at the same time
	compiled, left int
	bails          map[string]int // of those left, what a compiled plan had to leave, by reason
	differences    []string
}

// newEval is Options.NewEval.
func (w *twofold) newEval(_ context.Context, env Env) (engine.EvalFunc, error) {
	var theirs promql.Vector
	var theirErr error
	fellBack, bails := false, map[string]int{}
	over := exec.NewOver(
		exec.Options{
			Range:        rangeOf(env.Engine, env.Storage),
			SubqueryStep: func() time.Duration { return env.EvaluationInterval },
		},
		env.Storage,
		func(context.Context, *plan.Plan, time.Time) (promql.Vector, error) {
			fellBack = true
			return theirs, theirErr
		},
	)
	return func(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
		theirs, theirErr = instant(ctx, env.Engine, env.Storage, p.String(), at)
		theirs = slices.Clone(theirs)
		fellBack = false
		ours, err := over.Eval(ctx, p, at)
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case fellBack:
			w.left++
			for reason, n := range over.Bails {
				w.bails[reason] += n - bails[reason]
				bails[reason] = n
			}
		default:
			w.compiled++
			if diff := difference(theirs, theirErr, ours, err); diff != "" {
				w.differences = append(w.differences, fmt.Sprintf("%s at %s: %s", p, at.UTC().Format(time.RFC3339), diff))
			}
		}
		return append(buf, theirs...), theirErr
	}, nil
}

// difference says how ours is not theirs: labels and presence exactly, values to a relative 1e-9. Their order is free.
func difference(theirs promql.Vector, theirErr error, ours promql.Vector, err error) string {
	switch {
	case theirErr != nil || err != nil:
		return fmt.Sprintf("errors: upstream's %v, ours %v", theirErr, err)
	case len(theirs) != len(ours):
		return fmt.Sprintf("%d elements upstream, %d compiled:\n%s\n%s", len(theirs), len(ours), theirs, ours)
	}
	byLabels := func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) }
	theirs, ours = slices.Clone(theirs), slices.Clone(ours)
	slices.SortFunc(theirs, byLabels)
	slices.SortFunc(ours, byLabels)
	for i := range theirs {
		a, b := theirs[i], ours[i]
		if !labels.Equal(a.Metric, b.Metric) || a.H != nil || !near(a.F, b.F) {
			return fmt.Sprintf("%v upstream, %v compiled", a, b)
		}
	}
	return ""
}

func near(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

// TestCorpusCompiledIsUpstream runs the corpus with every evaluation made twice. TestCorpus holds the results to what the
// tests' authors expect; this holds all of them, those that nobody looks at included, to upstream's.
func TestCorpusCompiledIsUpstream(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the corpus takes a minute of processor time")
	}
	files := slices.DeleteFunc(corpusFiles(t), func(path string) bool {
		return os.Getenv(everything) == "" && size(t, path) > small()/2
	})
	w := &twofold{bails: map[string]int{}}
	_, err := Run(t.Context(), files, Options{NewEval: w.newEval})
	require.NoError(t, err)
	t.Logf("%d evaluations compiled, %d left to tier 0, compiled plans' %v", w.compiled, w.left, w.bails)
	for _, d := range w.differences[:min(len(w.differences), 20)] {
		t.Error(d)
	}
	require.Zero(t, len(w.differences), "differences")
	require.Greater(t, w.compiled, 1000)
	require.GreaterOrEqual(t, w.compiled, 99*w.left, "at least 99%% of the evaluations are compiled")
}
