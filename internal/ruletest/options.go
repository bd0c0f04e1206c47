package ruletest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/plan"
)

// Options says which tests run, how, and how failures are shown. The zero value runs all of them as promtool does.
type Options struct {
	// Run keeps the tests whose name matches at least one of these regular expressions (unanchored, RE2). Empty means
	// all; a test without a name has the empty name.
	Run []string
	// Diff shows a failed comparison as one list of lines, those missing marked "-" and those not expected "+",
	// instead of both sides in full.
	Diff bool
	// Debug adds to each test's report how long it took and every sample that its storage held at the end.
	Debug bool
	// IgnoreUnknownFields admits unknown fields in rule files. Test files are always read strictly.
	IgnoreUnknownFields bool
	// Compiler parses the rules' expressions; nil means the default dialect.
	Compiler *plan.Compiler
	// NewEval makes the evaluator of one test case's rules. The context ends with the test case, and so must everything
	// that NewEval starts. Nil means what the server does: compiled rules over Env.Storage, Env.Engine for the others.
	NewEval func(ctx context.Context, env Env) (engine.EvalFunc, error)
	// Parallel bounds how many test cases run at once; 0 means GOMAXPROCS.
	Parallel int
}

// Env is what one test case gives the evaluator of its rules.
type Env struct {
	// Storage belongs to this test case. At an evaluation it holds the input series' samples up to the evaluation's
	// time and everything that rules have recorded.
	Storage storage.Storage
	// Engine is the upstream engine with the limits that promtool gives it.
	Engine promql.QueryEngine
	// Start is the time of the first evaluation; the others follow every EvaluationInterval, which is also the default
	// step of subqueries.
	Start              time.Time
	EvaluationInterval time.Duration
}

// Validate returns an error that names the field which cannot be used.
func (o Options) Validate() error {
	if o.Parallel < 0 {
		return fmt.Errorf("parallel: %d test cases at once; use 0 for one per processor, or a positive number", o.Parallel)
	}
	for _, s := range o.Run {
		if _, err := regexp.Compile(s); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	return nil
}

// withDefaults returns o with the zero fields filled in.
func (o Options) withDefaults() Options {
	if o.Compiler == nil {
		o.Compiler = plan.NewCompiler(plan.Options{})
	}
	if o.NewEval == nil {
		o.NewEval = func(_ context.Context, env Env) (engine.EvalFunc, error) {
			return compiledEval(env), nil
		}
	}
	if o.Parallel == 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	return o
}

// filter returns the predicate that Run describes. o is valid.
func (o Options) filter() func(name string) bool {
	if len(o.Run) == 0 {
		return func(string) bool { return true }
	}
	parts := make([]string, len(o.Run))
	for i, s := range o.Run {
		parts[i] = "(?:" + s + ")"
	}
	return regexp.MustCompile(strings.Join(parts, "|")).MatchString
}
