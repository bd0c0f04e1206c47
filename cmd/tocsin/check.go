package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/ingest/host"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

type checkCmd struct {
	Config checkConfigCmd `cmd:"" help:"Check configuration files: tocsin's, Prometheus's or Alertmanager's."`
	Rules  checkRulesCmd  `cmd:"" help:"Check rule files: Prometheus's groups or simple rules."`
	Data   checkDataCmd   `cmd:"" help:"Check what tocsin keeps on disk, and say what a repair would do."`
}

type checkConfigCmd struct {
	Files []string `arg:"" name:"file" help:"Files to check."`
	JSON  bool     `name:"json" help:"Print as JSON."`
}

func (c *checkConfigCmd) Help() string {
	return `What a file is, is found out from its content. Warnings name what is accepted and yet may not be what you think: sections of
Prometheus that tocsin does not have, a group_wait that holds back alerts. Exit code 1 when a file has errors.`
}

func (c *checkConfigCmd) Run(s streams) error {
	ok := true
	reports := make([]config.Report, 0, len(c.Files))
	for _, f := range c.Files {
		r := config.Check(f, config.LoadOptions{})
		if r.OK && (r.Kind == config.KindTocsin || r.Kind == config.KindPrometheus) {
			if err := checkBeyond(&r); err != nil {
				return err
			}
		}
		reports = append(reports, r)
		ok = ok && r.OK
	}
	if c.JSON {
		if err := printJSON(s, map[string]any{"files": reports}); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			printConfigReport(s.out, r)
		}
	}
	if !ok {
		return errReported
	}
	return nil
}

// checkBeyond adds to the report of a good configuration what the configuration's own room cannot know: whether the rule
// files that it names are good, and whether the collectors exist.
func checkBeyond(r *config.Report) error {
	c, err := config.Load(r.File, config.LoadOptions{})
	if err != nil {
		return err
	}
	fail := func(file, message string) {
		r.OK = false
		r.Errors = append(r.Errors, &config.Error{File: file, Message: message})
	}
	compiler := plan.NewCompiler(plan.Options{ExperimentalFunctions: c.Tocsin.Query.ExperimentalFunctions})
	for _, pattern := range c.Prometheus.RuleFiles {
		files, err := filepath.Glob(pattern)
		if err != nil {
			fail(r.File, fmt.Sprintf("rule_files: %q: %v", pattern, err))
			continue
		}
		for _, f := range rule.Check(files, compiler).Files {
			for _, e := range f.Errors {
				fail("", e) // it begins with the file
			}
		}
	}
	if len(c.Tocsin.Host.Collectors) > 0 {
		if _, err := host.NewGatherer(host.Options{Collectors: c.Tocsin.Host.Collectors}); err != nil {
			fail(r.File, err.Error())
		}
	}
	return nil
}

func printConfigReport(w io.Writer, r config.Report) {
	fmt.Fprintf(w, "%s  %s (%s)\n", verdict(r.OK), r.File, r.Kind)
	for _, e := range r.Errors {
		fmt.Fprintf(w, "      error: %s\n", e)
	}
	for _, wa := range r.Warnings {
		fmt.Fprintf(w, "      warning: %s\n", wa)
	}
}

func verdict(ok bool) string {
	if ok {
		return "ok  "
	}
	return "FAIL"
}

type checkRulesCmd struct {
	Files        []string `arg:"" name:"file" help:"Rule files to check."`
	Experimental bool     `help:"Allow PromQL's experimental functions."`
	Explain      bool     `help:"Show how each rule runs: its tier, and its plan or why it has none."`
	Trees        bool     `help:"With --explain --json: the plans as well."`
	JSON         bool     `name:"json" help:"Print as JSON."`
}

func (c *checkRulesCmd) Help() string {
	return `For each simple rule, the PromQL that it became is shown. Exit code 1 when a file has errors.

With --explain, a rule on tier 1 is shown as what is computed for it, one operation a line with its inputs below it. Every
operation has a number; "shared by 7" says that 7 of the rules in the given files use it, and that it is computed once for
all of them. A rule on tier 0 runs on Prometheus's own engine, for the reason shown. That is no error.`
}

// Validate refuses what would be ignored.
func (c *checkRulesCmd) Validate() error {
	if c.Trees && !(c.Explain && c.JSON) {
		return errors.New("--trees is for --explain --json")
	}
	return nil
}

func (c *checkRulesCmd) Run(s streams) error {
	compiler := plan.NewCompiler(plan.Options{ExperimentalFunctions: c.Experimental})
	report := rule.Check(c.Files, compiler)
	if c.Explain {
		return c.explain(s, report, compiler)
	}
	if c.JSON {
		if err := printJSON(s, report); err != nil {
			return err
		}
	} else {
		for _, f := range report.Files {
			printRulesReport(s.out, f)
		}
	}
	if !report.OK() {
		return errReported
	}
	return nil
}

func (c *checkRulesCmd) explain(s streams, report rule.Report, compiler *plan.Compiler) error {
	e := explain(&report, compiler)
	if c.JSON && c.Trees {
		e.addPlans()
	}
	var err error
	if c.JSON {
		err = printJSON(s, e)
	} else {
		err = e.print(s.out)
	}
	if err == nil && !report.OK() {
		return errReported
	}
	return err
}

func printRulesReport(w io.Writer, f rule.FileReport) {
	fmt.Fprintf(w, "%s  %s (%d groups, %d rules)\n", verdict(f.OK), f.File, f.Groups, f.Rules)
	if f.Side != "" {
		fmt.Fprintf(w, "      with %s\n", f.Side)
	}
	for _, e := range f.Errors {
		fmt.Fprintf(w, "      error: %s\n", strings.ReplaceAll(e, "\n", "\n             "))
	}
	for _, wa := range f.Warnings {
		fmt.Fprintf(w, "      warning: %s\n", wa)
	}
	for _, r := range f.Simple {
		fmt.Fprintf(w, "      %s: %s\n        became: %s\n", r.Name, r.Condition, r.PromQL)
	}
	for _, x := range f.Extended {
		fmt.Fprintf(w, "      %s\n", x.Name)
		for _, note := range x.Notes {
			fmt.Fprintf(w, "        %s\n", note)
		}
	}
}
