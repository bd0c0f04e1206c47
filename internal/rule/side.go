package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/plan"
)

// sideReader reads a side file into the rules of its rule file.
type sideReader struct {
	reader
	file *File
	c    *plan.Compiler
	// taken are the lines of what was said of which rule.
	taken map[*Rule]int
}

// applySide gives the rules of f, which is freshly read, what its side file says of them. Errors name the side file.
func applySide(f *File, path string, content []byte, c *plan.Compiler) []error {
	if len(content) > maxFileSize {
		return []error{&Error{File: path, Err: fmt.Errorf("%d bytes; a rule file may have %d", len(content), maxFileSize)}}
	}
	src := newSource(path, content)
	d := &sideReader{reader: reader{src: src}, file: f, c: c, taken: map[*Rule]int{}}
	switch {
	case src.syntax != nil:
		return []error{(&upstreamErrors{src: src}).ofYAML(src.syntax.Error())}
	case f.Dialect == Simple:
		d.fail(src.root, "%s holds simple rules, which have the fields %s themselves; a side file is for Prometheus's rules", f.Path, listed(extensionFields))
		return d.errs
	case src.more:
		f.Warnings = append(f.Warnings, fmt.Sprintf("%s: %s", path, multipleDocuments))
	}
	if src.root != nil && !isNull(src.root) {
		d.read(src.root)
	}
	return d.errs
}

// listed writes the words of a list of fields as a list.
func listed(fields string) string { return strings.Join(strings.Fields(fields), ", ") }

func (d *sideReader) read(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		d.fail(root, "a side file is a mapping with the field groups")
		return
	}
	d.strict(root, "groups", "a side file")
	seen := map[string]int{}
	for i, g := range d.list(root, "groups") {
		d.group = ""
		if g.Kind != yaml.MappingNode {
			d.fail(g, "groups[%d] should be a mapping with name and rules", i)
			continue
		}
		_, name := field(g, "name")
		d.group = text(name)
		d.strict(g, "name rules", "a group of a side file")
		at := slices.IndexFunc(d.file.Groups, func(known *Group) bool { return known.Name == d.group })
		switch first := seen[d.group]; {
		case d.group == "":
			d.fail(g, "a group needs the name that it has in %s", d.file.Path)
			continue
		case at < 0:
			d.fail(name, "there is no such group in %s", d.file.Path)
			continue
		case first > 0:
			d.fail(name, "the group stands there twice, first in line %d", first)
			continue
		}
		seen[d.group] = name.Line
		for j, n := range d.list(g, "rules") {
			d.rule, d.name = j+1, ""
			d.one(n, d.file.Groups[at])
		}
		d.rule, d.name = 0, ""
	}
}

// list returns the elements of a field that is a list or left out.
func (d *sideReader) list(n *yaml.Node, name string) []*yaml.Node {
	_, list := field(n, name)
	if list == nil || isNull(list) {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		d.fail(list, "%s should be a list, each element with a - before it", name)
	}
	return items(list)
}

// one reads what is said of one rule, and gives it to it.
func (d *sideReader) one(n *yaml.Node, g *Group) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, "a rule of a side file is a mapping with alert, labels where they are needed, and: %s", listed(extensionFields))
		return
	}
	nodes := map[string]*yaml.Node{}
	for _, e := range entries(n) {
		if !isNull(e.value) {
			nodes[e.key.Value] = e.value
		}
	}
	d.name = text(nodes["alert"])
	before := len(d.errs)
	d.strict(n, "alert labels "+extensionFields, "a rule of a side file")
	r := d.find(n, nodes, g)
	x := d.extension(nodes, d.c)
	clear := d.clear(nodes["clear"])
	if len(d.errs) > before {
		return
	}
	if first := d.taken[r]; first > 0 {
		d.fail(n, "the rule of line %d of %s has its fields from line %d already", r.Line, d.file.Path, first)
		return
	}
	if !slices.ContainsFunc(strings.Fields(extensionFields), func(name string) bool { return nodes[name] != nil }) {
		d.fail(n, "nothing is said of the rule; there are: %s", listed(extensionFields))
		return
	}
	d.taken[r] = n.Line
	d.extend(r, &x, clear, outermost, d.c)
	r.ExtendedIn = fmt.Sprintf("%s:%d", d.src.path, n.Line)
}

// find returns the alerting rule of g that n is about, nil where it notes an error.
func (d *sideReader) find(n *yaml.Node, nodes map[string]*yaml.Node, g *Group) *Rule {
	name := nodes["alert"]
	if d.name == "" {
		d.fail(n, "a rule needs its name in the field alert")
		return nil
	}
	wanted := d.labels(nodes["labels"])
	var found []*Rule
	var others []string
	recording := false
	for _, r := range g.Rules {
		switch {
		case r.Name == d.name && r.Kind == Recording:
			recording = true
		case r.Kind != Alerting:
		case r.Name != d.name:
			if !slices.Contains(others, r.Name) {
				others = append(others, r.Name)
			}
		case has(r.Labels, wanted):
			found = append(found, r)
		}
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(found) > 1:
		lines := make([]string, len(found))
		for i, r := range found {
			lines[i] = fmt.Sprint(r.Line)
		}
		d.fail(name, "there are several such rules in %s, in the lines %s: labels, such as labels: {severity: page}, say which is meant",
			d.file.Path, strings.Join(lines, ", "))
	case recording:
		d.fail(name, "it is a recording rule; only alerting rules have such fields")
	case len(wanted) > 0:
		d.fail(name, "there is no such alerting rule with these labels in the group in %s", d.file.Path)
	case len(others) > 0:
		d.fail(name, "there is no such alerting rule in the group in %s, which has: %s", d.file.Path, strings.Join(others, ", "))
	default:
		d.fail(name, "there is no such alerting rule in the group in %s", d.file.Path)
	}
	return nil
}

// labels reads which labels a rule has that others of its name do not have.
func (d *sideReader) labels(n *yaml.Node) map[string]string {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "labels should be a mapping of names to texts")
		return nil
	}
	d.once(n)
	out := map[string]string{}
	for _, e := range entries(n) {
		if e.value.Kind != yaml.ScalarNode {
			d.fail(e.key, "labels.%s should be a text", e.key.Value)
		}
		out[e.key.Value] = text(e.value)
	}
	return out
}

func has(ls labels.Labels, wanted map[string]string) bool {
	for name, value := range wanted {
		if ls.Get(name) != value {
			return false
		}
	}
	return true
}

// clear plans the expression at n, nil where there is none or it is not good.
func (d *sideReader) clear(n *yaml.Node) *plan.Plan {
	if n == nil {
		return nil
	}
	p, err := d.c.Compile(text(n))
	switch {
	case err != nil:
		offset, _ := plan.ErrorOffset(err)
		line, column := d.src.at(n, offset)
		d.failAt(line, column, fmt.Errorf("clear: could not parse expression: %w", err))
		return nil
	case !p.Evaluable():
		d.fail(n, "%w", errors.New("clear: the expression returns a "+p.ResultType()+"; it should be an instant vector or a scalar"))
	}
	return p
}
