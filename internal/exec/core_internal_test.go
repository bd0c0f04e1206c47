package exec

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/plan"
)

// faulty is an operator with a mistake in it.
type faulty struct{ operator }

func (faulty) full(int64) error   { panic("BUG: on purpose") }
func (faulty) update(int64) error { panic("BUG: on purpose") }

// TestAPanicHarmsOnlyItsRules: they are left to tier 0, others go on.
func TestAPanicHarmsOnlyItsRules(t *testing.T) {
	c := New(Options{})
	bad, err := plan.NewCompiler(plan.Options{}).Compile(`up + 1`)
	require.NoError(t, err)
	good, err := plan.NewCompiler(plan.Options{}).Compile(`up == 0`)
	require.NoError(t, err)
	c.replace([]*plan.Plan{bad, good})
	for _, r := range c.roots {
		r.filled = true
	}
	c.store.SetComplete(0)
	u := c.find(bad).unit
	u.op = faulty{u.op}
	for range 2 {
		_, err = c.Eval(context.Background(), bad, 1000, nil)
		require.Equal(t, ReasonPanic, AsBail(err).Reason)
		_, err = c.Eval(context.Background(), good, 1000, nil)
		require.NoError(t, err)
	}
	require.Equal(t, uint64(2), c.Fallbacks(bad)[ReasonPanic])
}
