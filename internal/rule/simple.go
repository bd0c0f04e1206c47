package rule

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
)

// simpleFields are a simple rule's; docs/simple-rules.md describes them.
const simpleFields = "id name metric condition threshold duration severity labels annotations summary description " + extensionFields + " within"

// simpleRule is a simple rule as its author wrote it.
type simpleRule struct {
	id, name, metric, condition, severity string
	threshold                             *float64
	duration                              time.Duration
	labels, annotations                   map[string]string
	// node is the rule's mapping; nodes are its fields' values.
	node  *yaml.Node
	nodes map[string]*yaml.Node
	// extension is what the rule says beyond Prometheus; clear and within are its fields of these names.
	extension extension
	clear     string
	within    time.Duration
}

// title is the alert's name.
func (r *simpleRule) title() string {
	if r.name != "" {
		return r.name
	}
	return r.id
}

// simpleReader reads one file of simple rules and collects what is wrong with it.
type simpleReader struct{ reader }

// parseSimple fills f from a file of simple rules: one group, named after the file.
func parseSimple(f *File, src *source, c *plan.Compiler) []error {
	d := &simpleReader{reader{src: src}}
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
		def := d.read(n, c)
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

// read takes a rule's fields apart.
func (d *simpleReader) read(n *yaml.Node, c *plan.Compiler) *simpleRule {
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
	r.threshold = d.number(r.nodes["threshold"], "threshold")
	r.duration = d.duration(r.nodes["duration"], "duration")
	r.within = d.duration(r.nodes["within"], "within")
	r.clear = d.text(r, "clear")
	r.extension = d.extension(r.nodes, c)
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

// shorthandNode finds the field of its own that a message about a label or annotation means.
func (r *simpleRule) shorthandNode(msg string) *yaml.Node {
	for _, name := range []string{"severity", "summary", "description"} {
		if strings.Contains(msg, strconv.Quote(name)+":") {
			return r.nodes[name]
		}
	}
	return nil
}
