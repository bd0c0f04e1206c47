package rule

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/tocsin/tocsin/internal/alert"
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
	File string `json:"file"`
	// Side is the path of its side file, empty where there is none.
	Side     string         `json:"side,omitempty"`
	OK       bool           `json:"ok"`
	Dialect  Dialect        `json:"dialect,omitempty"`
	Groups   int            `json:"groups"`
	Rules    int            `json:"rules"`
	Errors   []string       `json:"errors"`
	Warnings []string       `json:"warnings,omitempty"`
	Simple   []SimpleRule   `json:"simple,omitempty"`
	Extended []ExtendedRule `json:"extended,omitempty"`
}

// ExtendedRule is what a rule became that says what Prometheus's rules cannot say (see Extension).
type ExtendedRule struct {
	Group string `json:"group"`
	Name  string `json:"name"`
	Line  int    `json:"line"`
	// SaidIn is the place, file:line, where a side file says so; empty for simple rules.
	SaidIn string `json:"saidIn,omitempty"`
	PromQL string `json:"promql"`
	// Clear and Present are PromQL.
	Clear     string          `json:"clear,omitempty"`
	OnMissing alert.OnMissing `json:"onMissing,omitempty"`
	Present   string          `json:"present,omitempty"`
	// FlapTransitions and FlapWithin, the latter in seconds, are when an alert is flapping.
	FlapTransitions int     `json:"flapTransitions,omitempty"`
	FlapWithin      float64 `json:"flapWithin,omitempty"`
	// Notes say all of that in words, one line each, for people.
	Notes []string `json:"notes"`
}

func extendedRule(g *Group, r *Rule) ExtendedRule {
	x := ExtendedRule{
		Group: g.Name, Name: r.Name, Line: r.Line, SaidIn: r.ExtendedIn, PromQL: r.Plan.String(), OnMissing: r.OnMissing,
		FlapTransitions: r.Flap.Transitions, FlapWithin: r.Flap.Within.Seconds(), Notes: extendedNotes(r),
	}
	if r.Clear != nil {
		x.Clear = r.Clear.String()
	}
	if r.Present != nil {
		x.Present = r.Present.String()
	}
	return x
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
// read, or matches nothing, is a file that is not good. A side file is checked with its rule file, in its place.
func Check(paths []string, c *plan.Compiler) Report {
	r := Report{Files: []FileReport{}}
	var files []string
	for _, path := range paths {
		files = append(files, filesOf(path)...)
	}
	done := map[string]bool{}
	for _, file := range files {
		if base, ok := ruleFileOf(file); ok {
			if done[base] || slices.Contains(files, base) {
				continue
			}
			done[base] = true
			file = base
		}
		r.Files = append(r.Files, checkFile(file, c))
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
	v, err := readVersion(path, true)
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
	dialect, f, errs := parseVersion(path, v, c)
	out.Dialect, out.Side = dialect, f.Side
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
			if r.Extension != (Extension{}) {
				out.Extended = append(out.Extended, extendedRule(g, r))
			}
		}
	}
	return out
}
