package ruletest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v2"
	yamlv3 "go.yaml.in/yaml/v3"
)

// located is a complaint about one line of a file.
type located struct {
	line int // From 1; 0 where it is not known.
	text string
}

// in returns the complaint as people and editors read it: file, line, text.
func (l located) in(file string) string {
	if l.line == 0 {
		return file + ": " + l.text
	}
	return file + ":" + strconv.Itoa(l.line) + ": " + l.text
}

// nouns says what the format calls each of our types, for errors that the YAML reader words with Go's names.
func nouns() *strings.Replacer {
	return strings.NewReplacer(
		"ruletest.testFile", "a test file",
		"ruletest.testCase", "a test",
		"ruletest.inputSeries", "an input series",
		"ruletest.alertTest", "an alert_rule_test",
		"ruletest.expectedAlert", "an entry of exp_alerts",
		"ruletest.exprTest", "a promql_expr_test",
		"ruletest.expectedSample", "an entry of exp_samples",
		"map[string]string", "a mapping of strings",
		"[]string", "a list of strings",
		"float64", "a number",
		"into bool", "into true or false",
		"not found in type ", "is not a field of ",
	)
}

// decodeErrors turns what the YAML reader said into complaints with lines.
func decodeErrors(err error, pos positions) []located {
	var many *yaml.TypeError
	if !errors.As(err, &many) {
		return []located{decodeError(err.Error(), pos)}
	}
	all := make([]located, len(many.Errors))
	for i, s := range many.Errors {
		all[i] = decodeError(s, pos)
	}
	return all
}

// decodeError reads the line off a message of the YAML reader; messages of our own field types have none, and are
// looked for in the document.
func decodeError(message string, pos positions) located {
	withLine := regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s+)?line (\d+): (.*)$`)
	if m := withLine.FindStringSubmatch(message); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			return located{line: line, text: nouns().Replace(m[2])}
		}
	}
	key, value := pos.find(func(key, value *yamlv3.Node) bool {
		return value.Kind == yamlv3.ScalarNode && fieldError(key.Value, value.Value) != nil
	})
	if key != nil {
		return located{line: value.Line, text: fmt.Sprintf("%s: %v", key.Value, fieldError(key.Value, value.Value))}
	}
	return located{text: nouns().Replace(message)}
}

// fieldError checks the fields whose types report errors without a line.
func fieldError(key, value string) error {
	switch key {
	case "interval", "evaluation_interval", "eval_time":
		_, err := model.ParseDuration(value)
		return err
	case "start_timestamp":
		_, err := parseStart(value)
		return err
	}
	return nil
}
