package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// explanation says for each rule of the good files how it runs.
type explanation struct {
	Rules       int            `json:"rules"`
	Tiers       map[string]int `json:"tiers"`
	NotCompiled []notCompiled  `json:"not_compiled"`
	// Errors are those of the files that are not good, absent where all are.
	Errors []string `json:"errors,omitempty"`
	// Plans are the compiled rules' plans, where they were asked for.
	Plans []explainedPlan `json:"plans,omitempty"`

	files []explainedFile
}

type notCompiled struct {
	File   string `json:"file"`
	Group  string `json:"group"`
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

type explainedPlan struct {
	File  string     `json:"file"`
	Group string     `json:"group"`
	Rule  string     `json:"rule"`
	Tree  *plan.Tree `json:"tree"`
}

// explainedFile is a file of the report with what is in it, nil where it is not good.
type explainedFile struct {
	report rule.FileReport
	rules  *rule.File
}

// explain reads the good files of report again, now for their plans. What changed between the two readings such that it is
// not good any more, or can be read only once, becomes an error of the report.
func explain(report *rule.Report, c *plan.Compiler) *explanation {
	e := &explanation{Tiers: map[string]int{"0": 0, "1": 0}, NotCompiled: []notCompiled{}}
	for i := range report.Files {
		f := &report.Files[i]
		out := explainedFile{}
		if f.OK {
			var errs []string
			if out.rules, errs = readAgain(f.File, c); len(errs) > 0 {
				f.OK, f.Errors, out.rules = false, errs, nil
			}
		}
		e.Errors = append(e.Errors, f.Errors...)
		out.report = *f
		e.files = append(e.files, out)
		e.count(out.rules)
	}
	return e
}

func readAgain(file string, c *plan.Compiler) (*rule.File, []string) {
	info, err := os.Stat(file)
	if err == nil && !info.Mode().IsRegular() {
		return nil, []string{file + ": is no regular file; --explain reads files twice, so write it to one"}
	}
	f, errs := rule.ParseFile(file, c)
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return f, texts
}

// count enters f's rules.
func (e *explanation) count(f *rule.File) {
	for g, r := range eachRule(f) {
		e.Rules++
		tier, reason := r.Plan.Tier()
		e.Tiers[fmt.Sprint(int(tier))]++
		if tier == plan.Tier0 {
			e.NotCompiled = append(e.NotCompiled, notCompiled{File: g.File, Group: g.Name, Rule: r.Name, Reason: reason})
		}
	}
}

// eachRule yields the rules of f, which may be nil, with their groups.
func eachRule(f *rule.File) iter.Seq2[*rule.Group, *rule.Rule] {
	return func(yield func(*rule.Group, *rule.Rule) bool) {
		if f == nil {
			return
		}
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				if !yield(g, r) {
					return
				}
			}
		}
	}
}

// sharing looks at the plans of all files.
func (e *explanation) sharing() *plan.Sharing {
	var plans []*plan.Plan
	for _, f := range e.files {
		for _, r := range eachRule(f.rules) {
			plans = append(plans, r.Plan)
		}
	}
	return plan.NewSharing(plans)
}

// addPlans fills Plans.
func (e *explanation) addPlans() {
	sharing := e.sharing()
	for _, f := range e.files {
		for g, r := range eachRule(f.rules) {
			if tree := sharing.Explain(r.Plan, nil); tree != nil {
				e.Plans = append(e.Plans, explainedPlan{File: g.File, Group: g.Name, Rule: r.Name, Tree: tree})
			}
		}
	}
}

// print writes each file's report, and below it the plans of its rules.
func (e *explanation) print(w io.Writer) error {
	sharing := e.sharing()
	for _, f := range e.files {
		printRulesReport(w, f.report)
		for g, r := range eachRule(f.rules) {
			tier, reason := r.Plan.Tier()
			fmt.Fprintf(w, "\n      %s / %s: tier %d", g.Name, r.Name, tier)
			if reason != "" {
				fmt.Fprintf(w, ", not compiled: %s\n        %s\n", reason, strings.ReplaceAll(r.Plan.Pretty(), "\n", "\n        "))
				continue
			}
			fmt.Fprintln(w)
			if err := sharing.Explain(r.Plan, nil).WriteText(w, "        "); err != nil {
				return err
			}
		}
		if f.rules != nil && f.rules.RuleCount() > 0 {
			fmt.Fprintln(w)
		}
	}
	_, err := fmt.Fprintf(w, "%d rules: %d on tier 1, %d on tier 0\n", e.Rules, e.Tiers["1"], e.Tiers["0"])
	return err
}
