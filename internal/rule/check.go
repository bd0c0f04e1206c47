package rule

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/tocsin/tocsin/internal/plan"
)

// Report is what `tocsin check rules` found.
type Report struct {
	Files []FileReport `json:"files"`
}

// OK reports whether every file is good.
func (r Report) OK() bool {
	for _, f := range r.Files {
		if !f.OK {
			return false
		}
	}
	return true
}

// FileReport is the verdict on one file. Warnings never make it fail.
type FileReport struct {
	File     string       `json:"file"`
	OK       bool         `json:"ok"`
	Dialect  Dialect      `json:"dialect,omitempty"`
	Groups   int          `json:"groups"`
	Rules    int          `json:"rules"`
	Errors   []string     `json:"errors"`
	Warnings []string     `json:"warnings,omitempty"`
	Simple   []SimpleRule `json:"simple,omitempty"`
}

// SimpleRule is what a simple rule became.
type SimpleRule struct {
	Name      string `json:"name"`
	Line      int    `json:"line"`
	Condition string `json:"condition"`
	PromQL    string `json:"promql"`
	// For is how long it must hold, in seconds.
	For float64 `json:"for,omitempty"`
}

// Check reads the files that paths name, each a file or, where there is none of that name, a pattern. What cannot be
// read, or matches nothing, is a file that is not good.
func Check(paths []string, c *plan.Compiler) Report {
	r := Report{Files: []FileReport{}}
	for _, path := range paths {
		for _, file := range filesOf(path) {
			r.Files = append(r.Files, checkFile(file, c))
		}
	}
	return r
}

// filesOf returns the files that a pattern matches, or path itself.
func filesOf(path string) []string {
	if !hasMeta(path) {
		return []string{path}
	}
	if _, err := os.Lstat(path); err == nil {
		return []string{path} // a file whose name looks like a pattern
	}
	if matches, err := filepath.Glob(path); err == nil && len(matches) > 0 {
		return matches
	}
	return []string{path}
}

func checkFile(path string, c *plan.Compiler) FileReport {
	out := FileReport{File: path, Errors: []string{}}
	content, err := readFile(path, true)
	if err != nil {
		if errors.Is(err, errVanished) {
			err = &Error{File: path, Err: errors.New("no such file, and as a pattern it matches none")}
			if !hasMeta(path) {
				err = &Error{File: path, Err: errors.New("no such file")}
			}
		}
		out.Errors = append(out.Errors, err.Error())
		return out
	}
	dialect, f, errs := parse(path, content, c)
	out.Dialect = dialect
	out.Groups, out.Rules = len(f.Groups), f.RuleCount()
	if len(errs) > 0 {
		out.Errors = texts(errs)
		return out
	}
	out.OK = true
	out.Warnings = append(f.Warnings, Lint(f)...)
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Condition != "" {
				out.Simple = append(out.Simple, SimpleRule{
					Name: r.Name, Line: r.Line, Condition: r.Condition, PromQL: r.Plan.String(), For: r.For.Seconds(),
				})
			}
		}
	}
	return out
}
