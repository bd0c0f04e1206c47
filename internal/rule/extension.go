package rule

import (
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/plan"
)

// extensionFields are those of Extension, in simple rules and in side files; docs/extended-rules.md describes them.
const extensionFields = "clear on_missing flap thresholds"

// The bounds of flap.
const (
	maxFlapTransitions = 100
	maxFlapWithin      = 24 * time.Hour
)

// extension is what a file says about a rule, as its author wrote it.
type extension struct {
	// nodes are the fields' values.
	nodes     map[string]*yaml.Node
	onMissing alert.OnMissing
	flap      Flap
	rows      []ThresholdRow
}

// extension reads the fields of Extension among a rule's, but for `clear`, whose language the caller knows.
func (d *reader) extension(nodes map[string]*yaml.Node, c *plan.Compiler) extension {
	x := extension{nodes: nodes}
	if n := nodes["on_missing"]; n != nil {
		var err error
		if x.onMissing, err = alert.ParseOnMissing(text(n)); err != nil {
			d.fail(n, "on_missing should be resolve, hold, fire or nodata")
		}
	}
	if n := nodes["flap"]; n != nil {
		x.flap = d.flap(n)
	}
	if n := nodes["thresholds"]; n != nil {
		x.rows = d.rows(n, c)
	}
	return x
}

func (d *reader) flap(n *yaml.Node) Flap {
	const shape = "flap should be a mapping such as {transitions: 5, within: 10m}"
	if n.Kind != yaml.MappingNode {
		d.fail(n, shape)
		return Flap{}
	}
	d.strict(n, "transitions within", "flap")
	_, transitions := field(n, "transitions")
	_, within := field(n, "within")
	if transitions == nil || within == nil {
		d.fail(n, shape)
		return Flap{}
	}
	f := Flap{Within: d.duration(within, "flap.within")}
	if transitions.Kind != yaml.ScalarNode || transitions.ShortTag() != "!!int" || transitions.Decode(&f.Transitions) != nil ||
		f.Transitions < 1 || f.Transitions > maxFlapTransitions {
		d.fail(transitions, "flap.transitions should be a whole number from 1 to %d", maxFlapTransitions)
	}
	if f.Within <= 0 || f.Within > maxFlapWithin {
		d.fail(within, "flap.within should be more than nothing and at most %s", milliseconds(maxFlapWithin.Milliseconds()))
	}
	return f
}

// rows reads a table of thresholds.
func (d *reader) rows(n *yaml.Node, c *plan.Compiler) []ThresholdRow {
	list := items(n)
	if n.Kind != yaml.SequenceNode || len(list) == 0 {
		d.fail(n, `thresholds should be a list such as [{match: '{zone="a"}', value: 90}]`)
		return nil
	}
	if len(list) > maxThresholds {
		d.fail(n, "thresholds has %d rows; %d are allowed", len(list), maxThresholds)
		return nil
	}
	var t Thresholds
	before := len(d.errs)
	for i, item := range list {
		name := fmt.Sprintf("thresholds[%d]", i)
		if item.Kind != yaml.MappingNode {
			d.fail(item, `%s should be a mapping such as {match: '{zone="a"}', value: 90}`, name)
			continue
		}
		d.strict(item, "match value", name)
		_, match := field(item, "match")
		_, value := field(item, "value")
		if match == nil || value == nil {
			d.fail(item, "%s needs match and value", name)
			continue
		}
		var row ThresholdRow
		ms, err := parseRow(text(match), c)
		if err != nil {
			offset, _ := plan.ErrorOffset(err)
			line, column := d.src.at(match, offset)
			d.failAt(line, column, fmt.Errorf("%s.match %q: %w", name, text(match), err))
		}
		row.Matchers = ms
		if v := d.number(value, name+".value"); v != nil {
			row.Value = *v
		}
		t.Rows = append(t.Rows, row)
		if len(d.errs) > before {
			continue
		}
		if j, ok := t.shadowed(i); ok {
			d.fail(match, "%s is never used: thresholds[%d] %s comes first and matches all that it does", name, j, t.Rows[j].String())
		}
	}
	return t.Rows
}

// extend gives r, which is freshly made, what x says; clear is x's expression or nil. table says where in r's expression
// the comparison is that thresholds are for.
func (d *reader) extend(r *Rule, x *extension, clear *plan.Plan, table func(*plan.Node) (*tabled, error), c *plan.Compiler) {
	base := r.Plan
	if len(x.rows) > 0 {
		d.tabulate(r, x, table, c)
	}
	r.Clear, r.OnMissing, r.Flap = clear, x.onMissing, x.flap
	if r.Clear != nil || r.OnMissing != alert.MissingResolves {
		var err error
		if r.Present, err = Present(base, c); err != nil {
			at := x.nodes["clear"]
			if at == nil {
				at = x.nodes["on_missing"]
			}
			d.fail(at, "clear and on_missing have to tell a series that is gone from a condition that is false, which they cannot here: %w", err)
		}
	}
	r.ID = contentID(r)
}

// tabulate puts x's table in the place of the comparison in r's expression.
func (d *reader) tabulate(r *Rule, x *extension, table func(*plan.Node) (*tabled, error), c *plan.Compiler) {
	at := x.nodes["thresholds"]
	root, err := taken(r.Plan, c)
	if err != nil {
		d.fail(at, "thresholds: %w", err)
		return
	}
	place, err := table(root)
	if err != nil {
		d.fail(at, "%w", err)
		return
	}
	t := &Thresholds{Op: place.op.String(), Default: place.number, Rows: x.rows}
	promql, err := t.promQL(place.compared)
	if err != nil {
		d.fail(at, "thresholds %w", err)
		return
	}
	p, err := c.Compile(place.wrap(promql))
	if err != nil {
		d.fail(at, "thresholds became PromQL that does not parse, which is a fault of tocsin's: %w", err)
		return
	}
	r.Plan, r.Thresholds = p, t
}

// tabled is the comparison that a table takes the place of.
type tabled struct {
	compared *plan.Node
	op       plan.Operator
	number   float64
	// suffix is what the comparison is compared with once more.
	suffix string
}

func (t *tabled) wrap(promql string) string {
	if t.suffix == "" {
		return promql
	}
	return "(" + promql + ")" + t.suffix
}

// outermost finds the comparison of a rule of Prometheus's.
func outermost(n *plan.Node) (*tabled, error) {
	var t tabled
	var ok bool
	if t.compared, t.op, t.number, ok = comparison(n); ok {
		return &t, nil
	}
	hint := ""
	switch {
	case n.Op == plan.Arithmetic && n.Binary.Bool:
		hint = "; without bool"
	case n.Op == plan.Match && n.Binary.Op.Comparison():
		hint = "; this one compares series with each other"
	}
	return nil, fmt.Errorf("thresholds are for an expression whose outermost operation compares with a number, such as x > 80%s", hint)
}

// extendedNotes says in words what r's extension is, one line each.
func extendedNotes(r *Rule) []string {
	var out []string
	if t := r.Thresholds; t != nil {
		rows := make([]string, 0, len(t.Rows)+1)
		for i := range t.Rows {
			rows = append(rows, fmt.Sprintf("%s %s for %s", t.Op, formatNumber(t.Rows[i].Value), t.Rows[i].String()))
		}
		out = append(out, "thresholds: "+strings.Join(append(rows, t.Op+" "+formatNumber(t.Default)+" otherwise"), ", "))
	}
	if r.Clear != nil {
		out = append(out, "clears when: "+r.Clear.String())
	}
	if r.OnMissing != alert.MissingResolves {
		out = append(out, "when its series is gone: "+r.OnMissing.String())
	}
	if r.Present != nil {
		out = append(out, "its series is there while: "+r.Present.String())
	}
	if f := r.Flap; f.Transitions > 0 {
		out = append(out, fmt.Sprintf("flapping: more than %d transitions within %s", f.Transitions, milliseconds(f.Within.Milliseconds())))
	}
	return out
}
