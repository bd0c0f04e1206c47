package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/ruletest"
)

type testCmd struct {
	Files         []string `arg:"" name:"file" help:"Test files."`
	Run_          []string `name:"run" help:"Run only the tests whose name matches one of these regular expressions." placeholder:"REGEXP"`
	Diff          bool     `help:"Show a failed comparison as differences."`
	Debug         bool     `help:"Show the samples that each test ended with."`
	IgnoreUnknown bool     `name:"ignore-unknown-fields" help:"Accept unknown fields in rule files."`
	Experimental  bool     `help:"Allow PromQL's experimental functions."`
	JUnit         string   `name:"junit" help:"Write a JUnit report, too." placeholder:"FILE" type:"path"`
	JSON          bool     `name:"json" help:"Print as JSON."`
}

func (c *testCmd) Help() string {
	return `The format is promtool's (https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/), and so is the
verdict; rule_files may also name files of simple rules. Exit code 1 when a test failed.`
}

func (c *testCmd) Run(ctx context.Context, s streams) error {
	report, err := ruletest.Run(ctx, c.Files, ruletest.Options{
		Run: c.Run_, Diff: c.Diff, Debug: c.Debug, IgnoreUnknownFields: c.IgnoreUnknown,
		Compiler: plan.NewCompiler(plan.Options{ExperimentalFunctions: c.Experimental}),
	})
	if err != nil {
		return err
	}
	if c.JUnit != "" {
		if err := writeJUnit(c.JUnit, report); err != nil {
			return err
		}
	}
	print := func() error { return report.WriteText(s.out) }
	if c.JSON {
		print = func() error { return printJSON(s, report) }
	}
	if err := print(); err != nil {
		return err
	}
	if !report.OK() {
		return errReported
	}
	return nil
}

func writeJUnit(path string, report ruletest.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	if err := report.WriteJUnit(f, time.Now()); err != nil {
		_ = f.Close()
		return fmt.Errorf("--junit %s: %w", path, err)
	}
	return f.Close()
}
