package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/tocsin/tocsin"
	"github.com/tocsin/tocsin/internal/bench"
)

type benchCmd struct {
	Eval    benchEvalCmd    `cmd:"" help:"What evaluating rules costs, on every tier, over the same samples."`
	Latency benchLatencyCmd `cmd:"" help:"How long a sample takes from the front door to a delivered notification."`
	Jit     benchJitCmd     `cmd:"" help:"What machine code buys rules and costs them, each way from a cold process."`
	Report  benchReportCmd  `cmd:"" hidden:"" help:"Run everything and write BENCHMARKS.md."`
}

type benchEvalCmd struct {
	Quick  bool     `help:"A small profile that ends within 40 seconds: 1,000 and 100,000 series, few ticks, no churn, no arrivals."`
	JSON   bool     `name:"json" help:"Print as JSON."`
	Series []int    `help:"Numbers of series (default 1000,100000,1000000)." placeholder:"N,…"`
	Rules  int      `help:"Rules of each class (default 1000; over many series fewer, above all with --quick)." placeholder:"N"`
	Ticks  int      `help:"Ticks that are timed (default 5, with --quick 3)." placeholder:"N"`
	Seed   uint64   `help:"Seed of the made-up samples." default:"1"`
	Files  []string `arg:"" optional:"" name:"file" help:"Rule files to evaluate whole, over series that are made up for them."`
}

func (c *benchEvalCmd) Help() string {
	return `Five classes of rules (threshold, rate, ratio of sums, histogram_quantile, join with group_left) over made-up series with
5 minutes of samples, 15 seconds apart. The upstream engine (tier 0) and every further tier run in this one process over the
same samples; new ones come between any two ticks. The figures are medians over the ticks. Afterwards, the tiers' results are
compared: exit code 1 where they differ.

` + bench.ClassWords() + `

Without --quick there are also: whole rule files, churn (1 % of the hosts replaced at each interval) and arrivals (batches that
change 1, 100 and 10,000 of 100,000 series). bytes/series is, for tier 0, the head of the history; for the others, what they keep
beside it.`
}

func (c *benchEvalCmd) options(s streams) bench.EvalOptions {
	return bench.EvalOptions{
		Quick: c.Quick, Series: c.Series, Rules: c.Rules, Ticks: c.Ticks, Seed: c.Seed, Files: c.Files, Progress: progress(s.err),
	}
}

func (c *benchEvalCmd) Run(ctx context.Context, s streams) error {
	r, err := bench.RunEval(ctx, c.options(s))
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s, r)
	}
	fmt.Fprintln(s.out, benchVersions())
	r.WriteText(s.out)
	return nil
}

type benchLatencyCmd struct {
	Quick      bool          `help:"End within 40 seconds: 4 seconds at each background."`
	JSON       bool          `name:"json" help:"Print as JSON."`
	Duration   time.Duration `help:"How long probes are sent at each background (default 1m, with --quick 4s)." placeholder:"TIME"`
	Background []int         `help:"Samples per second in the background (default 0,50000,200000)." placeholder:"N,…"`
	Reload     int           `help:"Also measure a reload that brings so many new rules, each with a kernel of its own, beside 50,000 samples per second." placeholder:"N"`
}

func (c *benchLatencyCmd) Help() string {
	return `Starts this binary as a server with data of its own, and takes the time from just before the POST of a sample that breaches a
rule to the hit of a webhook in this process, ten times a second. A probe that is not heard of within 5 seconds is lost: exit
code 1.`
}

func (c *benchLatencyCmd) Run(ctx context.Context, s streams) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	r, err := bench.RunLatency(ctx, bench.LatencyOptions{
		Binary: binary, Quick: c.Quick, Duration: c.Duration, Background: c.Background, Reload: c.Reload, Progress: progress(s.err),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s, r)
	} else {
		fmt.Fprintln(s.out, benchVersions())
		r.WriteText(s.out)
	}
	if err != nil {
		return err
	}
	if n := r.Lost(); n > 0 {
		fmt.Fprintf(s.err, "tocsin: bench latency: %d probes were lost\n", n)
		return errReported
	}
	return nil
}

type benchReportCmd struct {
	Out      string        `help:"File to write." default:"BENCHMARKS.md"`
	Quick    bool          `help:"The quick profiles."`
	Duration time.Duration `help:"How long probes are sent at each background." placeholder:"TIME"`
	Files    []string      `arg:"" optional:"" name:"file" help:"Rule files."`
}

func (c *benchReportCmd) Run(ctx context.Context, s streams) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	d := bench.Document{Versions: benchVersions(), Made: time.Now(), Commands: c.commands()}
	if d.Eval, err = bench.RunEval(ctx, bench.EvalOptions{Quick: c.Quick, Files: c.Files, Progress: progress(s.err)}); err != nil {
		return err
	}
	d.Latency, err = bench.RunLatency(ctx, bench.LatencyOptions{Binary: binary, Quick: c.Quick, Duration: c.Duration, Progress: progress(s.err)})
	if err != nil {
		return err
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	d.WriteMarkdown(f)
	return f.Close()
}

// commands are those that do the same one by one.
func (c *benchReportCmd) commands() []string {
	eval, latency := []string{"tocsin bench eval"}, []string{"tocsin bench latency"}
	if c.Quick {
		eval, latency = append(eval, "--quick"), append(latency, "--quick")
	}
	if c.Duration > 0 {
		latency = append(latency, "--duration "+c.Duration.String())
	}
	return []string{strings.Join(append(eval, c.Files...), " "), strings.Join(latency, " ")}
}

func benchVersions() string {
	v := tocsin.BuildVersion()
	return fmt.Sprintf("tocsin %s, upstream engine of prometheus %s, %s", v, v.Prometheus, runtime.Version())
}

// progress writes what is being done to w, so that a long run does not look dead.
func progress(w io.Writer) func(string) {
	began := time.Now()
	return func(what string) { fmt.Fprintf(w, "%7.1fs  %s\n", time.Since(began).Seconds(), what) }
}
