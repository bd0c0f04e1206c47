package engine

import (
	"fmt"
	"strings"

	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// classified is a rule with what was found out about when it is evaluated.
type classified struct {
	group *Group
	index int
	state *ruleState
	// ticksOnly says why it does not follow arrivals; empty where it does.
	ticksOnly string
	// single says that no input has to wait for another.
	single bool
	// deadlines says that it is evaluated when time alone changes its alerts.
	deadlines bool
}

func (c *classified) follows() bool { return c.ticksOnly == "" }

// classification is what was found out about all rules of a tenant.
type classification struct {
	rules []classified
	// cycles names the rules that read what they record, for people; empty where there are none.
	cycles string
}

// classify decides which rules of groups follow arrivals. It calls rest in between.
func classify(groups []*Group, rest func()) classification {
	var c classification
	var rules []*rule.Rule
	for _, g := range groups {
		why := g.whyNotStreaming()
		for i, rs := range g.rules {
			r := classified{group: g, index: i, state: rs, ticksOnly: why}
			if why == "" {
				r.deadlines = rs.rule().Kind == rule.Alerting
				r.ticksOnly = whyNotStreamed(rs.rule().Plan)
				r.single = len(rs.rule().Plan.Selectors()) < 2
			}
			c.rules = append(c.rules, r)
			rules = append(rules, rs.rule())
			rest()
		}
	}
	readers := readersOf(rules, rest)
	may := make([]bool, len(rules))
	for i := range c.rules {
		if may[i] = c.rules[i].follows(); !may[i] {
			readers[i] = nil // What it records at ticks starts nothing that goes on by itself.
		}
	}
	c.breakCycles(readers, may)
	for i, wanted := range wantedOf(rules, readers, may) {
		if may[i] && !wanted {
			c.rules[i].ticksOnly = "no rule that follows arrivals reads what it records"
		}
	}
	return c
}

// breakCycles leaves the rules of cycles to the ticks.
func (c *classification) breakCycles(readers [][]int32, may []bool) {
	for i, rs := range readers {
		kept := rs[:0]
		for _, r := range rs {
			if may[r] {
				kept = append(kept, r)
			}
		}
		readers[i] = kept
	}
	var all []string
	for _, cycle := range cyclesOf(readers) {
		names := c.names(cycle)
		all = append(all, names)
		for _, i := range cycle {
			may[i] = false
			c.rules[i].ticksOnly = "it reads, directly or through others, what it records: " + names
		}
	}
	c.cycles = strings.Join(all, "; ")
}

// maxNamed is how many rules of one cycle are named.
const maxNamed = 10

func (c *classification) names(of []int32) string {
	var names []string
	for n, i := range of {
		if n == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(of)-n))
			break
		}
		names = append(names, c.rules[i].state.rule().Name)
	}
	return strings.Join(names, ", ")
}

// whyNotStreaming returns why no rule of the group is evaluated but at ticks, empty where they may be.
func (g *Group) whyNotStreaming() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.evaluation.Strict:
		return "its group is strict"
	case g.offset(g.env.Load()) != 0:
		return "its group has a query offset"
	}
	return ""
}

// whyNotStreamed returns why p cannot follow arrivals, empty where it can.
func whyNotStreamed(p *plan.Plan) string {
	if tier, reason := p.Tier(); tier == plan.Tier0 || p.Root() == nil {
		return "its expression is left to the general engine: " + reason
	}
	return ""
}
