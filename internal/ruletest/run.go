package ruletest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tocsin/tocsin/internal/rule"
)

// fileRun is one test file while it runs.
type fileRun struct {
	report FileReport
	file   *testFile
	pos    positions
	// cases are the places of the tests that run; report.Tests is as long.
	cases []int
	// rules are read once. They are immutable, so that the tests share them.
	rules []*rule.Group
}

// Run runs the tests of files and reports on them in the order given. The error is about o or the context alone; what
// is wrong with files and tests stands in the report.
func Run(ctx context.Context, files []string, o Options) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, fmt.Errorf("ruletest: %w", err)
	}
	o = o.withDefaults()
	runs := make([]*fileRun, len(files))
	for i, path := range files {
		runs[i] = openFile(path, o)
	}
	if err := runCases(ctx, runs, o); err != nil {
		return Report{}, err
	}
	report := Report{Files: make([]FileReport, len(runs))}
	for i, r := range runs {
		report.Files[i] = r.finish()
	}
	report.count()
	return report, nil
}

// openFile reads a test file and, where one of its tests runs, its rule files. What is wrong with them stands in the
// report of the result.
func openFile(path string, o Options) *fileRun {
	r := &fileRun{report: FileReport{File: path, Tests: []TestReport{}, Errors: []string{}}}
	content, err := os.ReadFile(path)
	if err != nil {
		r.report.Errors = append(r.report.Errors, err.Error())
		return r
	}
	f, pos, complaints := decode(content)
	if len(complaints) > 0 {
		r.fail(complaints...)
		return r
	}
	r.file, r.pos = f, pos
	ruleFiles, unmatched, err := f.resolve(filepath.Dir(path))
	if err != nil {
		r.fail(located{line: pos.line("rule_files"), text: err.Error()})
		return r
	}
	for _, pattern := range unmatched {
		warning := located{line: pos.line("rule_files"), text: fmt.Sprintf("rule_files: nothing matches %q", pattern)}
		r.report.Warnings = append(r.report.Warnings, warning.in(path))
	}
	keep := o.filter()
	for i := range f.Tests {
		if keep(f.Tests[i].Name) {
			r.cases = append(r.cases, i)
		}
	}
	if len(r.cases) == 0 {
		return r // Rule files that no test needs may be as broken as they like; promtool does not read them either.
	}
	groups, errs := loadRules(ruleFiles, f.GroupEvalOrder, o.Compiler, o.IgnoreUnknownFields)
	if len(errs) > 0 {
		r.cases = nil
		for _, e := range errs {
			r.fail(located{line: pos.line("rule_files"), text: "rule_files: " + e.Error()})
		}
		return r
	}
	r.rules = groups
	r.report.Tests = make([]TestReport, len(r.cases))
	return r
}

// fail records why the file cannot be run.
func (r *fileRun) fail(complaints ...located) {
	for _, c := range complaints {
		r.report.Errors = append(r.report.Errors, c.in(r.report.File))
	}
}

// runCases runs the tests of all files, at most o.Parallel at once, and puts each report in its place.
func runCases(ctx context.Context, runs []*fileRun, o Options) error {
	type job struct {
		run   *fileRun
		place int
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range o.Parallel {
		workers.Go(func() {
			for j := range jobs {
				j.run.report.Tests[j.place] = j.run.runCase(ctx, j.run.cases[j.place], o)
			}
		})
	}
	for _, r := range runs {
		for i := range r.cases {
			jobs <- job{r, i}
		}
	}
	close(jobs)
	workers.Wait()
	return ctx.Err()
}

// runCase runs one test. A panic becomes that test's failure: the tests of a hundred files must not be lost to one that
// trips over a bug.
func (r *fileRun) runCase(ctx context.Context, index int, o Options) (report TestReport) {
	if ctx.Err() != nil {
		return TestReport{} // Run returns the context's error in place of the report.
	}
	c := &caseRun{
		file: r.report.File, index: index, test: &r.file.Tests[index], pos: r.pos,
		interval: time.Duration(r.file.EvaluationInterval), fuzzy: r.file.FuzzyCompare, options: o,
	}
	defer func() {
		if p := recover(); p != nil {
			c.fail(fmt.Sprintf("BUG: %v\n%s", p, debug.Stack()))
		}
		report = c.report()
	}()
	c.run(ctx, r.rules)
	return report
}

// finish says whether the file passed.
func (r *fileRun) finish() FileReport {
	r.report.OK = len(r.report.Errors) == 0
	for _, t := range r.report.Tests {
		r.report.OK = r.report.OK && t.OK
	}
	return r.report
}
