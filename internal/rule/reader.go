package rule

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"
)

// reader reads what is tocsin's own in a file, strictly, and collects what is wrong with it.
type reader struct {
	src  *source
	errs []error
	// group is the group being read where the file has groups; rule is the place of the rule being read, from 1, 0 outside
	// of rules; name its name once it is known.
	group string
	rule  int
	name  string
}

// fail notes what is wrong at n.
func (d *reader) fail(n *yaml.Node, format string, args ...any) {
	line, column := position(n)
	d.failAt(line, column, fmt.Errorf(format, args...))
}

func (d *reader) failAt(line, column int, err error) {
	d.errs = append(d.errs, &Error{File: d.src.path, Line: line, Column: column, Group: d.group, Rule: d.rule, RuleName: d.name, Err: err})
}

// strict refuses fields of n that are not among known, and fields that stand twice.
func (d *reader) strict(n *yaml.Node, known, what string) {
	names := strings.Fields(known)
	for _, e := range entries(n) {
		if !slices.Contains(names, e.key.Value) || e.key.Kind != yaml.ScalarNode {
			d.fail(e.key, "unknown field %q in %s, which has: %s", e.key.Value, what, strings.Join(names, ", "))
		}
	}
	d.once(n)
}

// once refuses keys that stand twice in a mapping.
func (d *reader) once(n *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first := seen[key.Value]; first > 0 {
			d.fail(key, "%q is given twice, first in line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
	}
}

// number reads a field that is a number, nil where there is none.
func (d *reader) number(n *yaml.Node, name string) *float64 {
	if n == nil {
		return nil
	}
	var v float64
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil {
		d.fail(n, "%s should be a number, without quotes or units", name)
		return nil
	}
	if math.IsNaN(v) {
		d.fail(n, "%s is not a number, and nothing compares to that", name)
	}
	return &v
}

// duration reads seconds, a Prometheus duration (5m, 1h30m, 1d) or a Go duration (1.5h, 500ms). The result is in whole
// milliseconds, as everything that PromQL knows of time.
func (d *reader) duration(n *yaml.Node, name string) time.Duration {
	if n == nil {
		return 0
	}
	out, err := parseDuration(text(n))
	if err != nil {
		d.fail(n, "%s %q: %w", name, text(n), err)
	}
	return out
}

func parseDuration(s string) (time.Duration, error) {
	const limit = 100 * 365 * 24 * time.Hour
	out := time.Duration(0)
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		if !(math.Abs(seconds) <= limit.Seconds()) { // NaN too
			return 0, errors.New("is longer than a hundred years")
		}
		out = time.Duration(seconds * float64(time.Second))
	} else if p, err := model.ParseDuration(s); err == nil {
		out = time.Duration(p)
	} else if out, err = time.ParseDuration(s); err != nil {
		return 0, errors.New("should be seconds, such as 300, or a duration, such as 5m, 1h30m or 1d")
	}
	switch out = out.Round(time.Millisecond); {
	case out < 0:
		return 0, errors.New("should not be negative")
	case out > limit:
		return 0, errors.New("is longer than a hundred years")
	}
	return out, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
