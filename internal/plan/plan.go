// Package plan turns PromQL text into an immutable plan that says for itself on which tier it runs.
//
// It is the only importer of the upstream parser. It is pure: it must not know series, samples, clocks or storage.
package plan

import (
	"errors"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Tier names how a plan runs.
type Tier int

// The tiers.
const (
	// Tier0 is the upstream PromQL engine over history; it takes anything valid.
	Tier0 Tier = 0
	// Tier1 is vectorised Go over columns of recent samples.
	Tier1 Tier = 1
)

// Options configures a Compiler. The zero value accepts what Prometheus accepts without feature flags.
type Options struct {
	// ExperimentalFunctions admits the functions that Prometheus hides behind a feature flag.
	ExperimentalFunctions bool
}

// Compiler parses and plans expressions. It is immutable and safe for concurrent use.
type Compiler struct {
	parser parser.Parser
}

// NewCompiler returns a compiler for the dialect that o describes.
func NewCompiler(o Options) *Compiler {
	return &Compiler{parser: parser.NewParser(parser.Options{
		EnableExperimentalFunctions: o.ExperimentalFunctions,
		ExperimentalDurationExpr:    true, // No longer an experiment, for all its name: Prometheus has it on.
	})}
}

// Paced returns a Compiler that is c, but calls rest before each expression, and so does its Parser: for loading many of
// them beside work that somebody waits for.
func (c *Compiler) Paced(rest func()) *Compiler {
	return &Compiler{parser: pacedParser{c.parser, rest}}
}

type pacedParser struct {
	parser.Parser
	rest func()
}

// ParseExpr implements parser.Parser.
func (p pacedParser) ParseExpr(text string) (parser.Expr, error) {
	p.rest()
	return p.Parser.ParseExpr(text)
}

// Parser returns the parser itself, for upstream components (rule files, HTTP API, engine) that want one.
func (c *Compiler) Parser() parser.Parser { return c.parser }

// Plan is one expression, ready to run. It is immutable.
type Plan struct {
	expr parser.Expr
	text string
	root *Node // nil on tier 0
	// subqueries says that some node below root is a Subwindow.
	subqueries bool
	tier       Tier
	reason     string
}

// Compile parses text. Errors are the upstream parser's, positions within text included; ErrorOffset reads them.
//
// Like upstream's rule loader, it takes expressions of every type. One that is neither an instant vector nor a scalar
// (see ResultType) loads as a rule and fails at each evaluation.
func (c *Compiler) Compile(text string) (*Plan, error) {
	expr, err := c.parser.ParseExpr(text)
	if err != nil {
		return nil, err
	}
	p := &Plan{expr: expr, text: expr.String(), tier: Tier1}
	if p.root, err = lower(expr); err != nil {
		p.tier = Tier0
		p.reason = err.Error()
		if not, ok := errors.AsType[*NotCompiled](err); ok {
			p.reason = not.Reason
		}
	}
	if p.root != nil {
		p.root.Walk(func(n *Node) { p.subqueries = p.subqueries || n.Op == Subwindow })
	}
	return p, nil
}

// HasSubqueries reports whether a subquery is part of the compiled plan.
func (p *Plan) HasSubqueries() bool { return p.subqueries }

// Root returns the plan's nodes, nil on tier 0.
func (p *Plan) Root() *Node { return p.root }

// String returns the expression in the upstream printer's canonical form, made once.
func (p *Plan) String() string { return p.text }

// Pretty returns the expression indented for people.
func (p *Plan) Pretty() string { return parser.Prettify(p.expr) }

// Expr returns the syntax tree. Callers must not change it.
func (p *Plan) Expr() parser.Expr { return p.expr }

// Tier returns the tier that the plan runs on and, if that is Tier0, why.
func (p *Plan) Tier() (Tier, string) { return p.tier, p.reason }

// Selectors returns the matchers of every vector selector in the expression, __name__ included.
func (p *Plan) Selectors() [][]*labels.Matcher { return parser.ExtractSelectors(p.expr) }
