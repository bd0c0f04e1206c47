package cold

import (
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// Profile is rules and the series that they are about.
type Profile struct {
	// Name is simple, many or file.
	Name string `json:"name"`
	// File is the rule file of profile file.
	File string `json:"file,omitempty"`
	// Rules and Series are how many there are; those of a file are known once it is read.
	Rules  int `json:"rules"`
	Series int `json:"series"`
	// Batches is how many come after the first evaluation, each with a sample of every series.
	Batches int `json:"batches"`
}

// The profiles' names.
const (
	Simple = "simple"
	Many   = "many"
	File   = "file"
)

const (
	// perMetric is how many series a metric of profile many has.
	perMetric = 100
	// layers is after how many rules a metric of profile many begins again with the first kind.
	layers = 10
)

// MixWords says, for people, what the built-in profiles are made of.
const MixWords = `Profile "simple": the rules cpu_usage > 80, memory_usage > 90 and disk_io > 95 over 100 series.

Profile "many": 10,000 rules over 100,000 series, 100 of each of 1,000 metrics, ten rules a metric m, constants c all different:
  4 of 10  m > c                          (answered by the index of thresholds, not by kernels)
  3 of 10  (1 - m / n) * 100 > c          (n is another metric; one kernel for all)
  1 of 10  m > c and m < d and m != e     (one kernel for all)
  2 of 10  five operations in an order that no other rule has, and a comparison: most have a kernel of their own
About one element in fifty is over its line.`

// rules writes the profile's rules; none for a file.
func (p Profile) rules() []string {
	switch p.Name {
	case Simple:
		return []string{"cpu_usage > 80", "memory_usage > 90", "disk_io > 95"}
	case Many:
		out := make([]string, p.Rules)
		for i := range out {
			out[i] = manyRule(i, p.metrics())
		}
		return out
	}
	return nil
}

// metrics is how many metrics profile many has.
func (p Profile) metrics() int { return (p.Series + perMetric - 1) / perMetric }

// metricName is that of the m-th metric of profile many.
func metricName(m int) string {
	return fmt.Sprintf("%s_%d", [3]string{"cpu_usage", "memory_usage", "disk_io"}[m%3], m)
}

// manyRule writes the i-th rule of profile many. Gauges are between 0 and 100, evenly.
func manyRule(i, metrics int) string {
	m, layer := i%metrics, i/metrics
	name := metricName(m)
	share := float64(i%9_973) / 9_973 // Another one for each of many rules in a row.
	switch kind := (i + layer) % layers; {
	case kind < 4:
		return fmt.Sprintf("%s > %.4f", name, 96+3*share)
	case kind < 7:
		return fmt.Sprintf("(1 - %s / %s) * 100 > %.4f", name, metricName((m+1+layer)%metrics), 94+4*share)
	case kind < 8:
		return fmt.Sprintf("%s > %.4f and %s < %.4f and %s != %d", name, 95+2*share, name, 98+2*share, name, i%100)
	}
	return ownRule(name, i)
}

// ownOperations is how many operations a rule with arithmetic of its own has before the comparison.
const ownOperations = 5

// ownRule writes a rule whose operations are the digits of i in base 8.
func ownRule(name string, i int) string {
	expr, top := name, 96.5 // top is what becomes of a value that few are above.
	for n, left := 0, i; n < ownOperations; n, left = n+1, left/8 {
		k := 1.25 + float64((i+n)%7)/8
		switch left % 8 {
		case 0:
			expr, top = fmt.Sprintf("(%s + %g)", expr, k), top+k
		case 1:
			expr, top = fmt.Sprintf("(%s - %g)", expr, k), top-k
		case 2:
			expr, top = fmt.Sprintf("(%s * %g)", expr, k), top*k
		case 3:
			expr, top = fmt.Sprintf("(%s / %g)", expr, k), top/k
		case 4:
			expr, top = fmt.Sprintf("abs(%s)", expr), math.Abs(top)
		case 5:
			expr, top = fmt.Sprintf("sqrt(%s)", expr), math.Sqrt(top)
		case 6:
			expr, top = fmt.Sprintf("floor(%s)", expr), math.Floor(top)
		default:
			expr, top = fmt.Sprintf("ceil(%s)", expr), math.Ceil(top)
		}
	}
	return fmt.Sprintf("%s > %.4f", expr, top)
}

// compile makes plans of rules.
func compile(rules []string) ([]*plan.Plan, error) {
	c := plan.NewCompiler(plan.Options{})
	out := make([]*plan.Plan, 0, len(rules))
	for _, text := range rules {
		p, err := c.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", text, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// readRules makes plans of a rule file of any dialect.
func readRules(path string) ([]*plan.Plan, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("rule file: %w", err)
	}
	f, errs := rule.Parse(path, content, plan.NewCompiler(plan.Options{}))
	if len(errs) > 0 {
		var lines []string
		for _, err := range errs {
			lines = append(lines, err.Error())
		}
		return nil, fmt.Errorf("rule file:\n%s", strings.Join(lines, "\n"))
	}
	var plans []*plan.Plan
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			plans = append(plans, r.Plan)
		}
	}
	if len(plans) == 0 {
		return nil, fmt.Errorf("rule file: %s has no rules", path)
	}
	return plans, nil
}

// plans compiles the profile's rules.
func (p Profile) plans() ([]*plan.Plan, error) {
	if p.Name == File {
		return readRules(p.File)
	}
	return compile(p.rules())
}
