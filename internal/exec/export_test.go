package exec

import (
	"fmt"
	"strings"

	"github.com/tocsin/tocsin/internal/plan"
)

// Dump prints the columns of p's units, for people who look for a mistake.
func (c *Core) Dump(p *plan.Plan) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, u := range c.find(p).order {
		out := u.op.out()
		fmt.Fprintf(&b, "#%d rank %d at %d evaluated %t broken %t synced %d %s", u.id, u.rank, u.at, u.evaluated, u.broken, out.synced, u.node.Key)
		if u.node.Scalar {
			fmt.Fprintf(&b, " = %v\n", out.scalar)
			continue
		}
		for lane := range uint32(out.lanes.Len()) {
			if out.column.OK.Has(lane) {
				fmt.Fprintf(&b, "\n      %d %s %v", lane, out.labels(lane), out.column.V[lane])
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
