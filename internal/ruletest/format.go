package ruletest

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v2"
)

// defaultInterval is how often rules are evaluated where a test file does not say.
const defaultInterval = model.Duration(time.Minute)

// testFile is one file of rule tests. The field names are the format's.
type testFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	Tests              []testCase     `yaml:"tests"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare"`
}

// testCase is input series and what rules and expressions make of them.
type testCase struct {
	Name           string         `yaml:"name"`
	Interval       model.Duration `yaml:"interval"`
	InputSeries    []inputSeries  `yaml:"input_series"`
	Alerts         []alertTest    `yaml:"alert_rule_test"`
	Exprs          []exprTest     `yaml:"promql_expr_test"`
	ExternalLabels labels.Labels  `yaml:"external_labels"`
	ExternalURL    string         `yaml:"external_url"`
	Start          startTime      `yaml:"start_timestamp"`
}

// inputSeries is one series in the notation of promqltest's load command.
type inputSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

// alertTest lists the alerts of one name that fire at one time.
type alertTest struct {
	EvalTime  model.Duration  `yaml:"eval_time"`
	Alertname string          `yaml:"alertname"`
	Expected  []expectedAlert `yaml:"exp_alerts"`
}

// expectedAlert is one firing alert; alertname need not be among its labels.
type expectedAlert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// exprTest is one instant query and its result.
type exprTest struct {
	Expr     string           `yaml:"expr"`
	EvalTime model.Duration   `yaml:"eval_time"`
	Expected []expectedSample `yaml:"exp_samples"`
}

// expectedSample is one element of an instant vector. Histogram, where not empty, is in the series notation; Value is
// then to be left out.
type expectedSample struct {
	Labels    string  `yaml:"labels"`
	Value     float64 `yaml:"value"`
	Histogram string  `yaml:"histogram"`
}

// startTime is the time of a test's first sample: RFC 3339, or seconds since 1970.
type startTime struct{ time.Time }

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *startTime) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	at, err := parseStart(s)
	t.Time = at
	return err
}

// parseStart reads a start_timestamp.
func parseStart(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || math.Abs(f) >= math.MaxInt64 {
			return time.Time{}, fmt.Errorf("start_timestamp %q is out of range", s)
		}
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(frac*float64(time.Second))).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("start_timestamp %q is neither a time as RFC 3339 has it nor a number of seconds", s)
	}
	return at, nil
}

// decode reads a test file's content strictly and fills in the defaults. Its errors carry lines where the content has
// any to name. The reader is yaml v2 because promtool's is: what one takes for a number the other must not take for text.
func decode(content []byte) (*testFile, positions, []located) {
	pos := newPositions(content)
	f := &testFile{}
	if err := yaml.UnmarshalStrict(content, f); err != nil {
		return nil, pos, decodeErrors(err, pos)
	}
	if f.EvaluationInterval == 0 {
		f.EvaluationInterval = defaultInterval
	}
	seen := make(map[string]bool, len(f.GroupEvalOrder))
	for i, name := range f.GroupEvalOrder {
		if seen[name] {
			return nil, pos, []located{{
				line: pos.line("group_eval_order", i),
				text: fmt.Sprintf("group_eval_order names group %q twice", name),
			}}
		}
		seen[name] = true
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Interval == 0 {
			t.Interval = f.EvaluationInterval
		}
	}
	return f, pos, nil
}

// resolve returns the rule files that the patterns of f match, relative ones taken from dir, and the patterns (with
// dir) that match nothing.
func (f *testFile) resolve(dir string) (files, unmatched []string, err error) {
	for _, pattern := range f.RuleFiles {
		if pattern != "" && !filepath.IsAbs(pattern) {
			pattern = filepath.Join(dir, pattern)
		}
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, nil, fmt.Errorf("rule_files: %q: %w", pattern, err)
		}
		if len(found) == 0 {
			unmatched = append(unmatched, pattern)
		}
		files = append(files, found...)
	}
	return files, unmatched, nil
}

// title is the case's name, or its place in the file where it has none.
func (t *testCase) title(index int) string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprintf("unnamed#%d", index)
}

// start is the time of the first evaluation.
func (t *testCase) start() time.Time {
	if t.Start.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.Start.Time
}

// length is how long the case runs: its latest eval_time.
func (t *testCase) length() time.Duration {
	var latest model.Duration
	for _, a := range t.Alerts {
		latest = max(latest, a.EvalTime)
	}
	for _, e := range t.Exprs {
		latest = max(latest, e.EvalTime)
	}
	return time.Duration(latest)
}

// loadCommand returns the input series as a load command of promqltest's language.
func (t *testCase) loadCommand() string {
	var b strings.Builder
	fmt.Fprintf(&b, "load %s\n", t.Interval)
	for _, s := range t.InputSeries {
		fmt.Fprintf(&b, "  %s %s\n", s.Series, s.Values)
	}
	return b.String()
}
