package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/tocsin/tocsin/internal/bench/cold"
	"github.com/tocsin/tocsin/internal/bench/loops"
)

type benchJitCmd struct {
	Rules   string `help:"Measure the rules of this file, over series that are made up for them, instead of the built-in profiles." placeholder:"FILE"`
	Series  int    `help:"Series: of --rules (default 10000, with --quick 2000), or of the larger profile (default 100000, with --quick 10000)." placeholder:"N"`
	Batches int    `help:"Batches after the first evaluation (default 1000 over 3 rules, with --quick 300; otherwise 100, with --quick 40)." placeholder:"N"`
	Out     string `help:"Write latency.csv, latency.svg and latency.png into this directory." placeholder:"DIR"`
	JSON    bool   `name:"json" help:"Print as JSON."`
	Quick   bool   `help:"Small profiles that end within 40 seconds: 3 rules over 100 series, 1,000 rules over 10,000 series."`
	// Scenario has the command be one of the processes that it starts.
	Scenario string `hidden:""`
}

func (c *benchJitCmd) Help() string {
	return `What compiling rules to machine code buys and costs. Every scenario runs in a process of its own that starts from nothing:
  warm      kernels are compiled, and have run once, before the process is ready
  nojit     kernels are interpreted (tier 1)
  cold      kernels are compiled beside the first evaluations
  adaptive  a kernel is compiled once interpreting it has cost 10 ms
  upstream  the upstream PromQL engine over history (tier 0), timed for 30 seconds (with --quick 1) and in the last batch

` + cold.MixWords + `

--rules FILE takes a file of Prometheus's or of the simple format instead. Its series are spread evenly over its selectors.

A process is ready once all rules are loaded; making up samples before that is not counted. Then all rules are evaluated once in
full (first eval) and batches follow, each with a new sample of every series: the latency of a batch is giving it to the engine,
letting it run through the rules and reading the result of those it touched, not writing it to history. avg to max are of the
batches without the first evaluation, evals/s evaluations of a rule per second of that, CPU s the processor time of the process,
without making up samples and writing them. Compiling pays after so many evaluations of a rule: the processor time of compiling by
what an evaluation takes less than with nojit. The results of the last batch are compared: exit code 1 where they differ.

All scenarios but upstream run three times (with --quick up to four, small profiles three times as often), in turn, so that what
disturbs the machine disturbs all alike. Of each the run counts whose batches took the least time, but of the times until ready
and of the first evaluations the least.

The second table is kernels by themselves, over columns in memory: against tier 1 and against C where there is a compiler.`
}

// Validate is called with the command line.
func (c *benchJitCmd) Validate() error {
	return cold.Options{Rules: c.Rules, Series: c.Series, Batches: c.Batches}.Validate()
}

// benchJitReport is what --json prints.
type benchJitReport struct {
	Scenarios []cold.Result  `json:"scenarios"`
	Kernels   []loops.Result `json:"kernels"`
}

func (c *benchJitCmd) Run(ctx context.Context, s streams) error {
	if c.Scenario != "" {
		return c.runScenario(ctx, s)
	}
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	if c.Out != "" { // Before minutes of measuring, not after.
		if err := os.MkdirAll(c.Out, 0o755); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		probe, err := os.CreateTemp(c.Out, ".probe-")
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	p := newJitProgress(s.err)
	defer p.end()
	report, wrong := cold.Run(ctx, cold.Options{
		Binary: binary, Args: []string{"bench", "jit", "--scenario"},
		Rules: c.Rules, Series: c.Series, Batches: c.Batches, Quick: c.Quick,
		Progress: func(what string, done float64) { p.tell(what, 0.9*done) },
	})
	if report == nil {
		return wrong
	}
	kernels, err := loops.Measure(ctx, loops.Options{
		Quick: c.Quick, Progress: func(what string) { p.tell("kernels: "+what, 0.9) },
	})
	if err != nil {
		return fmt.Errorf("kernels: %w", err)
	}
	p.end()
	if err := c.write(s, report, kernels); err != nil {
		return err
	}
	return wrong
}

func (c *benchJitCmd) write(s streams, report *cold.Report, kernels []loops.Result) error {
	var names []string
	if c.Out != "" {
		var err error
		if names, err = report.WriteFiles(c.Out); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(s, benchJitReport{Scenarios: report.Results(), Kernels: kernels})
	}
	fmt.Fprintln(s.out, benchVersions())
	if err := report.WriteText(s.out); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nKernels by themselves: the least of all rounds; × tier 1: how many times as fast; × C: how many times C's time\n\n")
	if err := loops.WriteText(s.out, kernels); err != nil {
		return err
	}
	if len(names) > 0 {
		fmt.Fprintln(s.out)
	}
	for _, name := range names {
		fmt.Fprintln(s.out, "wrote", name)
	}
	return nil
}

// runScenario is what a process does that a run starts.
func (c *benchJitCmd) runScenario(ctx context.Context, s streams) error {
	var spec cold.Spec
	if err := json.Unmarshal([]byte(c.Scenario), &spec); err != nil {
		return fmt.Errorf("--scenario: %w", err)
	}
	out, err := cold.RunScenario(ctx, spec, cold.Process{
		CPU: processorTime, Progress: func(done float64) { fmt.Fprint(s.err, cold.ProgressLine(done)) },
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(s.out).Encode(out)
}

// processorTime is that of this process so far; 0 where the system does not say.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// jitProgress says how far a run is: with a bar on a terminal, in lines elsewhere.
type jitProgress struct {
	lines func(string)
	bar   *progressbar.ProgressBar
	last  string
}

// barSteps is the resolution of the bar.
const barSteps = 1000

func newJitProgress(w io.Writer) *jitProgress {
	p := &jitProgress{lines: progress(w)}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(barSteps,
			progressbar.OptionSetWriter(f), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(true))
	}
	return p
}

// tell says what is being done and which part of everything is, from 0 to 1.
func (p *jitProgress) tell(what string, done float64) {
	if p.bar == nil {
		if what != p.last {
			p.last = what
			p.lines(what)
		}
		return
	}
	p.bar.Describe(fmt.Sprintf("%-45.45s", what))
	_ = p.bar.Set(min(int(done*barSteps), barSteps-1)) // A bar that cannot be drawn is no reason to stop.
}

// end takes the bar away.
func (p *jitProgress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
