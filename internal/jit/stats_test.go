package jit

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/kernel/kerneltest"
)

func TestStats(t *testing.T) {
	m := here(t)
	now := time.Duration(0)
	l := openOn(t, Options{}, m, func() time.Duration { now += time.Microsecond; return now })
	p := nth(3)
	r, gone := l.Open(p, "up > 3"), l.Open(p, "up > 4")
	warm(t, l)
	b := kerneltest.Block(rand.New(rand.NewPCG(11, 11)), p, 10)
	for range 129 {
		r.Run(b)
	}
	gone.Run(b)
	gone.Close()
	s := l.Stats()
	require.Equal(t, Work{Runs: 130, Lanes: 1300 * 64, Time: 130 * time.Microsecond}, s.MachineCode,
		"timed are the runs 1, 65, 129 and another runner's first")
	k := l.Kernels()
	require.Len(t, k, 1)
	require.NotEmpty(t, k[0].ISA)
	require.Positive(t, k[0].CodeBytes)
	require.InDelta(t, 1000./640, k[0].NsPerLane, 1e-9)
	k[0].ISA, k[0].CodeBytes, k[0].NsPerLane = "", 0, 0
	require.Equal(t, KernelInfo{
		ID: r.ID(), Expression: "up > 3", Tier: 2, Instructions: len(p.Code), Users: 1, Runs: 130, Lanes: 1300 * 64,
	}, k[0])

	r.Close()
	require.Equal(t, s.MachineCode, l.Stats().MachineCode, "what was done stays when kernels leave")
	require.Empty(t, l.Kernels())
}

func TestMetrics(t *testing.T) {
	l := open(t, Options{})
	r := l.Open(nth(3), "up > 3")
	warm(t, l)
	r.Run(kerneltest.Block(rand.New(rand.NewPCG(12, 12)), nth(3), 10))
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(NewCollector(l)))
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += "," + label.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"tocsin_jit_kernels": 1, "tocsin_jit_kernels_compiled": 1, "tocsin_jit_kernels_shared": 0,
		"tocsin_jit_kernels_waiting": 0, "tocsin_jit_compiles_total": 1, "tocsin_jit_evictions_total": 0,
		"tocsin_jit_runs_total,1": 0, "tocsin_jit_runs_total,2": 1, "tocsin_jit_lanes_total,1": 0,
		"tocsin_jit_lanes_total,2": 640, "tocsin_jit_refused_total,full": 0, "tocsin_jit_refused_total,memory": 0,
		"tocsin_jit_refused_total,failed": 0, "tocsin_jit_refused_total,unsupported": 0,
	} {
		value, ok := got[name]
		require.True(t, ok, name)
		require.Equal(t, want, value, name)
	}
	for _, name := range []string{
		"tocsin_jit_compile_seconds_total", "tocsin_jit_code_bytes", "tocsin_jit_code_reserved_bytes", "tocsin_jit_run_seconds_total,2",
	} {
		require.Positive(t, got[name], name)
	}
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	require.Empty(t, problems)
}
