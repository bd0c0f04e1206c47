package threshold_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/jit"
	"github.com/tocsin/tocsin/internal/kernel"
	"github.com/tocsin/tocsin/internal/threshold"
)

// machineCode returns a runner of p in machine code, nil where there is none here.
func machineCode(t testing.TB, p *kernel.Program) kernel.Runner {
	l := jit.New(jit.Options{})
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	run := l.Open(p, "the slots of lanes")
	t.Cleanup(run.Close)
	require.NoError(t, l.WarmUp(context.Background()))
	if run.Tier() != 2 {
		return nil
	}
	return run
}

// runners are the ways to run p here.
func runners(t testing.TB, p *kernel.Program) map[string]kernel.Runner {
	all := map[string]kernel.Runner{"go": kernel.NewInterpreter(p)}
	if run := machineCode(t, p); run != nil {
		all["machine"] = run
	}
	return all
}

// TestMachineCode is TestLinesAgainstComparisons with a check in machine code.
func TestMachineCode(t *testing.T) {
	run := machineCode(t, threshold.Check())
	if run == nil {
		t.Skip("there is no machine code here")
	}
	seed := seedOf(t)
	for round := range uint64(20) {
		w := newWorld(t, dice{rand.New(rand.NewPCG(seed, round))})
		w.index = threshold.New(run)
		for range 60 {
			w.step()
		}
	}
}
