package rule

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
)

// simpleFields are a simple rule's; docs/simple-rules.md describes them.
const simpleFields = "id name metric condition threshold duration severity labels annotations summary description"

// simpleRule is a simple rule as its author wrote it.
type simpleRule struct {
	id, name, metric, condition, severity string
	threshold                             *float64
	duration                              time.Duration
	labels, annotations                   map[string]string
	// node is the rule's mapping; nodes are its fields' values.
	node  *yaml.Node
	nodes map[string]*yaml.Node
}

// title is the alert's name.
func (r *simpleRule) title() string {
	if r.name != "" {
		return r.name
	}
	return r.id
}

// simpleReader reads one file of simple rules and collects what is wrong with it.
type simpleReader struct {
	src  *source
	errs []error
	// rule is the place of the rule being read, from 1, 0 outside of rules; name its name once it is known.
	rule int
	name string
}

// parseSimple fills f from a file of simple rules: one group, named after the file.
func parseSimple(f *File, src *source, c *plan.Compiler) []error {
	d := &simpleReader{src: src}
	if src.syntax != nil {
		return []error{(&upstreamErrors{src: src}).ofYAML(src.syntax.Error())}
	}
	if src.more {
		f.Warnings = append(f.Warnings, fmt.Sprintf("%s: %s", f.Path, multipleDocuments))
	}
	d.strict(src.root, "rules", "the file")
	_, list := field(src.root, "rules")
	if list.Kind != yaml.SequenceNode && !isNull(list) {
		d.fail(list, "rules should be a list")
		return d.errs
	}
	group := &Group{Name: groupName(f.Path), File: f.Path}
	ids := map[string]int{}
	for i, n := range items(list) {
		d.rule, d.name = i+1, ""
		before := len(d.errs)
		def := d.read(n)
		if first := ids[def.id]; def.id != "" && first > 0 {
			d.fail(def.nodes["id"], "id %q is rule %d's already", def.id, first)
		} else {
			ids[def.id] = i + 1
		}
		if len(d.errs) > before {
			continue
		}
		if r := d.build(def, c); r != nil {
			group.Rules = append(group.Rules, r)
		}
	}
	if len(group.Rules) > 0 {
		f.Groups = []*Group{group}
	}
	return d.errs
}

// groupName is the file's name without folder and extension.
func groupName(path string) string {
	base := filepath.Base(strings.TrimPrefix(path, "builtin:"))
	if name := strings.TrimSuffix(base, filepath.Ext(base)); name != "" {
		return name
	}
	return base
}

// fail notes what is wrong at n.
func (d *simpleReader) fail(n *yaml.Node, format string, args ...any) {
	line, column := position(n)
	d.failAt(line, column, fmt.Errorf(format, args...))
}

func (d *simpleReader) failAt(line, column int, err error) {
	d.errs = append(d.errs, &Error{File: d.src.path, Line: line, Column: column, Rule: d.rule, RuleName: d.name, Err: err})
}

// strict refuses fields of n that are not among known, and fields that stand twice.
func (d *simpleReader) strict(n *yaml.Node, known, what string) {
	names := strings.Fields(known)
	for _, e := range entries(n) {
		if !slices.Contains(names, e.key.Value) || e.key.Kind != yaml.ScalarNode {
			d.fail(e.key, "unknown field %q in %s, which has: %s", e.key.Value, what, strings.Join(names, ", "))
		}
	}
	d.once(n)
}

// once refuses keys that stand twice in a mapping.
func (d *simpleReader) once(n *yaml.Node) {
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

// read takes a rule's fields apart.
func (d *simpleReader) read(n *yaml.Node) *simpleRule {
	r := &simpleRule{node: n, nodes: map[string]*yaml.Node{}}
	if n == nil || n.Kind != yaml.MappingNode {
		d.fail(n, "a rule is a mapping with the fields %s", strings.Join(strings.Fields(simpleFields), ", "))
		return r
	}
	for _, e := range entries(n) {
		if !isNull(e.value) { // `severity:` with nothing behind it is a field left out
			r.nodes[e.key.Value] = e.value
		}
	}
	r.name, r.id = d.text(r, "name"), d.text(r, "id")
	d.name = r.title()
	d.strict(n, simpleFields, "a rule")
	if r.title() == "" {
		d.fail(n, "a rule needs an id or a name")
	}
	r.metric = d.text(r, "metric")
	if v := r.nodes["metric"]; v != nil && (r.metric == "" || strings.ContainsAny(r.metric, "{}") || !utf8.ValidString(r.metric)) {
		d.fail(v, `metric %q is no metric's name; label tests belong into the condition: instance == "a"`, r.metric)
	}
	if r.condition = d.text(r, "condition"); r.nodes["condition"] == nil {
		d.fail(n, "a rule needs a condition")
	}
	r.severity = d.text(r, "severity")
	r.threshold = d.threshold(r)
	r.duration = d.duration(r)
	r.labels = d.texts(r, "labels")
	r.annotations = d.texts(r, "annotations")
	d.shorthand(r, "severity", "labels", &r.labels)
	d.shorthand(r, "summary", "annotations", &r.annotations)
	d.shorthand(r, "description", "annotations", &r.annotations)
	return r
}

// text reads a field that is one text.
func (d *simpleReader) text(r *simpleRule, name string) string {
	n := r.nodes[name]
	if n != nil && n.Kind != yaml.ScalarNode {
		d.fail(n, "%s should be a text", name)
	}
	return text(n)
}

// texts reads a field that maps names to texts.
func (d *simpleReader) texts(r *simpleRule, name string) map[string]string {
	out := map[string]string{}
	n := r.nodes[name]
	if n == nil {
		return out
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s should be a mapping of names to texts", name)
		return out
	}
	d.once(n)
	for _, e := range entries(n) {
		if e.value.Kind != yaml.ScalarNode || isNull(e.value) {
			d.fail(e.key, "%s.%s should be a text", name, e.key.Value)
			continue
		}
		out[e.key.Value] = e.value.Value
	}
	return out
}

// shorthand puts a field that stands for a label or annotation among those.
func (d *simpleReader) shorthand(r *simpleRule, name, in string, m *map[string]string) {
	n := r.nodes[name]
	if n == nil {
		return
	}
	value := d.text(r, name)
	if other, ok := (*m)[name]; ok && other != value {
		d.fail(n, "%s is given here and, with another value, among the %s", name, in)
	}
	(*m)[name] = value
}

func (d *simpleReader) threshold(r *simpleRule) *float64 {
	n := r.nodes["threshold"]
	if n == nil {
		return nil
	}
	var v float64
	if tag := n.ShortTag(); n.Kind != yaml.ScalarNode || tag != "!!int" && tag != "!!float" || n.Decode(&v) != nil {
		d.fail(n, "threshold should be a number, without quotes or units")
		return nil
	}
	if math.IsNaN(v) {
		d.fail(n, "threshold is not a number, and nothing compares to that")
	}
	return &v
}

// duration reads seconds, a Prometheus duration (5m, 1h30m, 1d) or a Go duration (1.5h, 500ms). The result is in whole
// milliseconds, as everything that PromQL knows of time.
func (d *simpleReader) duration(r *simpleRule) time.Duration {
	n := r.nodes["duration"]
	if n == nil {
		return 0
	}
	out, err := parseDuration(text(n))
	if err != nil {
		d.fail(n, "duration %q: %w", text(n), err)
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

// shorthandNode finds the field of its own that a message about a label or annotation means.
func (r *simpleRule) shorthandNode(msg string) *yaml.Node {
	for _, name := range []string{"severity", "summary", "description"} {
		if strings.Contains(msg, strconv.Quote(name)+":") {
			return r.nodes[name]
		}
	}
	return nil
}
