package ruletest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/prometheus/util/junitxml"
)

// Report is what a run of test files showed. Files and tests stand in the order in which they were given.
type Report struct {
	Files []FileReport `json:"files"`
	// Passed and Failed count tests; a file that cannot be run counts as one that failed.
	Passed int `json:"passed"`
	Failed int `json:"failed"`
}

// FileReport is what one test file showed.
type FileReport struct {
	File string `json:"file"`
	// OK says that the file was read and that every test which ran passed, be it that none ran.
	OK bool `json:"ok"`
	// Tests are those that ran.
	Tests []TestReport `json:"tests"`
	// Errors say why the file could not be run at all; "file:line: …" each.
	Errors []string `json:"errors"`
	// Warnings are no failures: patterns in rule_files that match nothing.
	Warnings []string `json:"warnings,omitempty"`
}

// TestReport is what one test case showed.
type TestReport struct {
	Name string `json:"name"`
	// Line is where the test stands in its file, from 1; 0 where that is not known.
	Line int  `json:"line,omitempty"`
	OK   bool `json:"ok"`
	// Errors are "file:line: …" each, the line being that of the expectation which was not met. They may have several
	// lines: what was expected and what came.
	Errors []string `json:"errors"`
	// Debug is what Options.Debug asks for.
	Debug []string `json:"debug,omitempty"`
}

// OK says that nothing failed.
func (r Report) OK() bool { return r.Failed == 0 }

// count fills in the totals.
func (r *Report) count() {
	r.Passed, r.Failed = 0, 0
	for _, f := range r.Files {
		if len(f.Errors) > 0 {
			r.Failed++
		}
		for _, t := range f.Tests {
			if t.OK {
				r.Passed++
			} else {
				r.Failed++
			}
		}
	}
}

// WriteText writes the report for people: a line a file, what went wrong beneath it, and the totals.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Files {
		verdict := "ok  "
		if !f.OK {
			verdict = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %s (%s)\n", verdict, f.File, plural(len(f.Tests), "test"))
		for _, s := range f.Warnings {
			b.WriteString(indent("warning: "+s, "      "))
		}
		for _, s := range f.Errors {
			b.WriteString(indent(s, "      "))
		}
		for _, t := range f.Tests {
			for _, s := range t.Errors {
				b.WriteString(indent(s, "      "))
			}
			for _, s := range t.Debug {
				b.WriteString(indent("debug: "+t.Name+": "+s, "      "))
			}
		}
	}
	fmt.Fprintf(&b, "%d passed, %d failed\n", r.Passed, r.Failed)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJUnit writes the report as JUnit XML in the shape that promtool gives it: a suite a file, a case a test. at is
// the suites' timestamp.
func (r Report) WriteJUnit(w io.Writer, at time.Time) error {
	var doc junitxml.JUnitXML
	for _, f := range r.Files {
		suite := doc.Suite(f.File)
		suite.Settime(at.Format("2006-01-02T15:04:05"))
		for _, t := range f.Tests {
			c := suite.Case(t.Name)
			for _, e := range t.Errors {
				c.Fail(e)
			}
		}
		if len(f.Errors) > 0 {
			suite.Abort(fmt.Errorf("%s", strings.Join(f.Errors, "\n")))
		}
	}
	if _, err := io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"); err != nil {
		return err
	}
	return doc.WriteXML(w)
}

// indent puts by before every line of s and ends it with a newline.
func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by) + "\n"
}

// plural returns "1 test", "2 tests".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
