package loops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/kernel"
)

// Options say how thoroughly to measure.
type Options struct {
	// Quick ends within six seconds: fewer rounds, and no C where compiling it takes long.
	Quick bool
	// Rounds is how often each loop is timed, 0 for 500, or 60 where Quick.
	Rounds int
	// Dir is where the C program is built, in a directory of its own that is removed; the system's for temporary files
	// where empty. Programs must be allowed to run there.
	Dir string
	// Progress, if any, is told what is being done.
	Progress func(string)
}

const (
	defaultRounds = 500
	quickRounds   = 60
	// Quick gives the C compiler quickBuild, and after quickTime no more rounds than fewRounds.
	quickBuild = 3 * time.Second
	quickTime  = 1500 * time.Millisecond
	fewRounds  = 3
	// build is how long the C compiler may take otherwise.
	build = 20 * time.Second
)

// laneCounts are the lengths that are measured: one word, columns in the first cache, and the longest run.
func laneCounts() []int { return []int{kernel.WordLanes, 1024, maxLanes} }

// Result is what one tier needs for an expression over so many lanes.
type Result struct {
	Expr  string `json:"expr"`
	Lanes int    `json:"lanes"`
	// NsPerLane is processor time in nanoseconds, the least of all rounds: what the machine takes when nothing disturbs it.
	NsPerLane float64 `json:"ns_per_lane"`
	Tier      int     `json:"tier"`
	// RatioToTier1 is how many times faster than tier 1 it is.
	RatioToTier1 float64 `json:"ratio_to_tier1"`
	// RatioToC is how many times C's time it takes, nil where there is no C to compare with.
	RatioToC *float64 `json:"ratio_to_c"`

	// MedianNs is the median over the rounds, CNs the least of C, which it is the ratio to.
	MedianNs float64 `json:"-"`
	CNs      float64 `json:"-"`
}

// Measure times every expression over every number of lanes: tier 1 always, tier 2 where this machine runs machine code,
// both against C where there is a compiler. The results come in that order. It fails where two of them do not compute the
// same. The calling goroutine holds a thread for as long as it takes.
func Measure(ctx context.Context, o Options) (_ []Result, err error) {
	o = o.withDefaults()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in, es := columns(), expressions()
	dir, err := os.MkdirTemp(o.Dir, "tocsin-loops-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c, err := o.startC(ctx, dir, &in, es)
	if err != nil {
		return nil, err
	}
	if c != nil {
		defer c.close()
	}
	library := jit.New(jit.Options{})
	defer func() { err = errors.Join(err, library.Close()) }()
	var runners []kernel.Runner
	for _, e := range es {
		runners = append(runners, library.Open(e.program(), e.text))
		defer runners[len(runners)-1].Close()
	}
	if err := library.WarmUp(ctx); err != nil {
		return nil, err
	}
	var cells []*cell
	for i, e := range es {
		for _, lanes := range laneCounts() {
			x := &cell{number: i, expression: e, lanes: lanes}
			if err := x.enter(&in, runners[i], c); err != nil {
				return nil, fmt.Errorf("%s, %d lanes: %w", e.text, lanes, err)
			}
			cells = append(cells, x)
		}
	}
	if err := rounds(ctx, o, cells); err != nil {
		return nil, err
	}
	var out []Result
	for _, x := range cells {
		out = append(out, x.results()...)
	}
	return out, nil
}

func (o Options) withDefaults() Options {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Rounds <= 0 {
		o.Rounds = defaultRounds
		if o.Quick {
			o.Rounds = quickRounds
		}
	}
	return o
}

// startC returns the loops in C, nil where there are none to be had.
func (o Options) startC(ctx context.Context, dir string, in *[inputs]kernel.Input, es []expression) (*cProgram, error) {
	o.Progress("compiling the loops in C")
	patience := build
	if o.Quick {
		patience = quickBuild
	}
	c, err := startC(ctx, dir, patience, in, es)
	switch {
	case errors.Is(err, errNoC):
		o.Progress(err.Error())
		return nil, nil
	case err != nil:
		return nil, err
	}
	o.Progress("comparing with C: " + c.compiler)
	return c, nil
}

// rounds times all cells in turn.
func rounds(ctx context.Context, o Options, cells []*cell) error {
	const reports = 5
	begin := time.Now()
	for i := range o.Rounds {
		if o.Quick && i >= fewRounds && time.Since(begin) > quickTime {
			return nil
		}
		if i%max(o.Rounds/reports, 1) == 0 {
			o.Progress(fmt.Sprintf("round %d of %d", i+1, o.Rounds))
		}
		for _, x := range cells {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := x.round(); err != nil {
				return err
			}
		}
	}
	return nil
}

// median returns the value in the middle of xs, which has one.
func median(xs []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(xs), cmp.Compare)
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
